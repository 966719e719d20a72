"""Which changes of a policy can be judged from logged decisions: those that a record tells all about.

A record holds what competed, with A and B of every kind; what an item is the catalogue tells, as long as it
has not changed. What would bring other candidates or count evidence otherwise is in neither, and a key that
is not known here is never guessed at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nearcast_cli.evaluating.refusals import FILTERS, NEWCOMERS, PRIORS, is_of, why_not
from nearcast_cli.evaluating.rules import only_fewer
from nearcast_config.mastery import Market
from nearcast_config.policy import Feed, Policy
from nearcast_config.policydiff import Change, policy_changes

_PREFIX = "policy."
_NOTHING_SAID = Market()
_FEEDS_ALONE = (
    "feeds.*.floor",
    *(
        f"master.{name}"
        for name in ("prior_mean", "prior_strength", "half_life_days", "goal", "min_sessions", "by_market")
    ),
    *("master.parent_strength", "segments.parent_strength"),
    "scenarios.*.feeds",
    "markets.*.feeds",
)
_JUDGED = (
    *_FEEDS_ALONE,
    *("exploration.share", "exploration.pool_size", "exploration.sharpness"),
    *("feeds.*.order", "feeds.*.kind", "kinds.*.weight"),
    *("diversity.*", "scenarios.*.boosts"),
)
# They change no slate of the people whom the bandits serve.
_IDLE = (
    *("decisions.*", "freshness.*", "draws.interval_minutes"),
    *("master.epoch_minutes", "master.default_feed", "master.holdout_share", "master.holdout_salt"),
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A change that cannot be judged; of one scenario or market, or of all when both are empty."""

    change: Change
    why: str
    scenario: str = ""
    market: str = ""

    def __str__(self) -> str:
        """One line for an operator."""
        return f"{self.change}: {self.why}"

    def concerns(self, scenario: str, market: str) -> bool:
        """Whether a decision of that scenario and market would have been touched."""
        return (not self.scenario or self.scenario == scenario) and (not self.market or self.market == market)


def obstacles(before: Policy, after: Policy) -> tuple[Obstacle, ...]:
    """All that stands between a record made under one policy and a judgement of the other."""
    return tuple(_obstacles(before, after))


def only_feeds_change(before: Policy, after: Policy) -> bool:
    """Whether items are ordered as before, by whatever feed, and only shares of feeds differ."""
    keys = [_key(change) for change in policy_changes(before, after)]
    touching = [key for key in keys if not (is_of(key, _IDLE) or _freezes_nothing(key, before, after))]
    return bool(touching) and all(is_of(key, _FEEDS_ALONE) for key in touching)


def _obstacles(before: Policy, after: Policy) -> Iterator[Obstacle]:
    for change in policy_changes(before, after):
        key = _key(change)
        realm, _, rest = key.partition(".")
        name = _named(rest, realm, before, after)
        if is_of(key, _JUDGED) and _is_known(key, name, before, after):
            continue
        if (
            is_of(key, _IDLE)
            or (is_of(key, PRIORS) and _is_told_of_priors(name, before, after))
            or _is_new_or_gone(key, name, before, after)
            or _freezes_nothing(key, before, after)
            or _leaves_less(key, name, before, after)
            or _is_told_who_is_new(key, before, after)
        ):
            continue
        yield Obstacle(
            change,
            _why(key, name, before),
            scenario=name if realm == "scenarios" else "",
            market=name if realm == "markets" else "",
        )


def _leaves_less(key: str, name: str, before: Policy, after: Policy) -> bool:
    """Whether a change only takes away from what was shown, or from what competed."""
    was, now = before.slate, after.slate
    if key == "slate.max_limit":
        return now.max_limit <= was.max_limit
    if key == "slate.default_limit":
        # Whether or not a request named its limit, it gets that many at most.
        return now.default_limit == now.max_limit <= min(was.default_limit, was.max_limit)
    if not is_of(key, FILTERS) or name not in before.scenarios or name not in after.scenarios:
        return False
    return only_fewer(key.rpartition(".")[2], before.scenarios[name], after.scenarios[name])


def _is_told_who_is_new(key: str, before: Policy, after: Policy) -> bool:
    """Only where places were kept for newcomers, or from them, do records say who is one."""
    if key == "newcomers.until_exposures":
        return not before.newcomers.have_budget and not after.newcomers.have_budget
    return is_of(key, NEWCOMERS) and (before.newcomers.have_budget or not after.newcomers.have_budget)


def _is_told_of_priors(name: str, before: Policy, after: Policy) -> bool:
    """Whether it is known with which prior an item began; what a market says of a kind is for its items."""
    return before.priors.mode == after.priors.mode == "fixed" and not _has_own(name, before)


def _has_own(kind: str, policy: Policy) -> bool:
    return any(kind in market.kinds for market in policy.markets.values())


def _is_known(key: str, name: str, before: Policy, after: Policy) -> bool:
    """A new kind is not in the records: as long as it weighs nothing it is not missed.

    Where people are taken to leave at kinds with a weight, another set of those is other evidence.
    """
    if not key.startswith("kinds.") or name not in after.kinds:
        return True
    if name not in before.kinds:
        return after.kinds[name].weight == 0
    weighs = [policy.kinds[name].weight > 0 for policy in (before, after)]
    return weighs[0] == weighs[1] or not any(_stops_by_weight(each) for each in (before, after))


def _stops_by_weight(policy: Policy) -> bool:
    return policy.exposure.mode == "cascade" and not policy.exposure.stops_at


def _named(rest: str, realm: str, before: Policy, after: Policy) -> str:
    """What the key is a setting of; ids of markets may have dots, and settings may have parts."""
    named = getattr(after, realm, None), getattr(before, realm, None)
    names = [name for table in named if isinstance(table, Mapping) for name in table]
    return max((name for name in names if rest.startswith(f"{name}.")), key=len, default="")


def _is_new_or_gone(key: str, name: str, before: Policy, after: Policy) -> bool:
    """A feed or kind that is no more, a new one that asks for nothing, a scenario that had no requests."""
    realm, setting = key.partition(".")[0], key.rpartition(".")[2]
    if realm == "feeds":
        if name in before.feeds and name in after.feeds:
            return False
        usual = Feed(order="draw")
        return name not in after.feeds or getattr(after.feeds[name], setting) == getattr(usual, setting)
    if realm == "kinds":
        return name not in after.kinds or (name not in before.kinds and after.kinds[name].weight == 0)
    return realm == "scenarios" and name not in before.scenarios


def _freezes_nothing(key: str, before: Policy, after: Policy) -> bool:
    """A market that is named for the first time, or no longer, is neither frozen nor lifted by that."""
    if not is_of(key, ("markets.*.frozen",)):
        return False
    name = key.removeprefix("markets.").removesuffix(".frozen")
    one, other = (policy.markets.get(name, _NOTHING_SAID) for policy in (before, after))
    return one.frozen == other.frozen


def _why(key: str, name: str, before: Policy) -> str:
    if key.endswith(".weight") and name in before.kinds:
        return (
            "people are taken to leave at kinds with a weight (exposure.stops_at), so it counts evidence anew"
        )
    if is_of(key, PRIORS) and _has_own(name, before):
        return "markets have priors of their own for it, and records do not say of which market an item is"
    return why_not(key)


def _key(change: Change) -> str:
    return change.key.removeprefix(_PREFIX)
