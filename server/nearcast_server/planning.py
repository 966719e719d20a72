"""What a policy wants of the places of one page; of most pages nothing."""

from nearcast_bandit.arranging import Diversity
from nearcast_bandit.reserving import Budget
from nearcast_config.policy import Scenario
from nearcast_server.arranging import Plan
from nearcast_server.deciding import Decision
from nearcast_server.tenancy import View

_ANY = Diversity()


def plan_of(view: View, scenario: Scenario, decision: Decision, now: float) -> Plan | None:
    """The pins that hold now, diversity and what is kept for new items or from them.

    A uniform shuffle is kept uniform but for the pins.
    """
    policy = view.revision.policy
    wanted, newcomers = policy.diversity, policy.newcomers
    asks = newcomers.have_budget and not decision.choice.explore
    if not scenario.pins and not wanted.most_per_owner and not wanted.most_per_category and not asks:
        return None
    diversity = Diversity(wanted.most_per_owner, wanted.most_per_category, wanted.window)
    if decision.choice.explore or not diversity.is_on:
        diversity = _ANY
    first, served = decision.rank_offset + 1, decision.served
    pins = sorted(
        (pin.slot - first, pin.item_id)
        for pin in scenario.pins
        if pin.slot >= first and pin.span[0] <= now < pin.span[1]
    )
    if not pins and not diversity.is_on and not asks:
        return None
    before = served[max(len(served) - diversity.window + 1, 0) :] if diversity.is_on else ()
    if not asks:
        return Plan(diversity, pins, before)
    budget = Budget(newcomers.floor_share, newcomers.cap_share)
    return Plan(diversity, pins, before, budget, newcomers.until_exposures, first, decision.seed)
