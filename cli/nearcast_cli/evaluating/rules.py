"""What rules of a policy do to the candidates of a logged request, beside what is believed of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from nearcast_bandit.arranging import NOBODY, Diversity, Layout
from nearcast_bandit.arrays import Booleans, Integers
from nearcast_bandit.record import Ordering, Pool
from nearcast_bandit.reserving import Budget
from nearcast_config.orders.registry import ORDERS
from nearcast_config.policy import EXPLORE_FEED, Policy, Scenario
from nearcast_store.decisions.reading import Candidate

_ANY = Diversity()
_FILTERS = (
    *("categories", "exclude_categories", "tags_all", "tags_any", "exclude_tags"),
    "exclude_item_ids",
)


def diversity_of(policy: Policy) -> Diversity:
    """As the places of slates are given by it."""
    wanted = policy.diversity
    found = Diversity(wanted.most_per_owner, wanted.most_per_category, wanted.window)
    return found if found.is_on else _ANY


def budget_of(policy: Policy) -> Budget | None:
    """What is kept for newcomers or from them."""
    newcomers = policy.newcomers
    return Budget(newcomers.floor_share, newcomers.cap_share) if newcomers.have_budget else None


def has_factors(scenario: Scenario) -> bool:
    """Whether scores are multiplied with anything."""
    return bool(scenario.boosts) or scenario.distance_half_m > 0 or scenario.seen_way == "fade"


def is_weighed(policy: Policy, feed: str) -> bool:
    """Whether factors are for this feed."""
    return feed == EXPLORE_FEED or ORDERS[policy.feeds[feed].order].weighs


def filters_differ(before: Scenario, after: Scenario) -> bool:
    """Whether a surface shows other items."""
    return any(getattr(before, name) != getattr(after, name) for name in _FILTERS)


def only_fewer(name: str, before: Scenario, after: Scenario) -> bool:
    """Whether whatever passes that filter of a surface now has passed the one before."""
    was, now = set(getattr(before, name)), set(getattr(after, name))
    if name in ("categories", "tags_any"):
        return not was or (bool(now) and now <= was)
    return was <= now


def needs_traits(before: Policy, after: Policy, scenario: str) -> bool:
    """Whether a record made under one policy does not hold all that the other one goes by."""
    old, new = before.scenarios[scenario], after.scenarios[scenario]
    was, wanted = diversity_of(before), diversity_of(after)
    return (
        old.boosts != new.boosts
        or filters_differ(old, new)
        or (wanted.by_owner and not was.by_owner)
        or (wanted.by_category and not was.by_category)
    )


def barred(before: Scenario, after: Scenario, candidates: Sequence[Candidate] | None) -> Booleans | None:
    """Which candidates would not have competed; None where the same would."""
    if candidates is None or not filters_differ(before, after):
        return None
    return np.array([not _passes(each, after) for each in candidates], np.bool)


def still_pinned(recorded: Layout | None, pool: Pool, out: Booleans | None) -> Layout | None:
    """The places of the record without the pins of what would not have competed: those were for nobody."""
    if recorded is None or out is None:
        return recorded
    gone = frozenset(pool.postings[out].tolist())
    return msgspec.structs.replace(
        recorded, pins=tuple(pin for pin in recorded.pins if pin[1].posting not in gone)
    )


def _passes(item: Candidate, scenario: Scenario) -> bool:
    tags = set(item.tags)
    return (
        (not scenario.categories or item.category in scenario.categories)
        and item.category not in scenario.exclude_categories
        and tags.issuperset(scenario.tags_all)
        and (not scenario.tags_any or bool(tags.intersection(scenario.tags_any)))
        and not tags.intersection(scenario.exclude_tags)
        and item.item_id not in scenario.exclude_item_ids
    )


def boosted(pool: Pool, before: Scenario, after: Scenario, candidates: Sequence[Candidate] | None) -> Pool:
    """The pool with the boosts of another policy instead of those it was recorded with."""
    if candidates is None or before.boosts == after.boosts:
        return pool
    ratios = np.array([_boost(each, after) / _boost(each, before) for each in candidates])
    return replace(pool, factors=ratios if pool.factors is None else pool.factors * ratios)


def _boost(item: Candidate, scenario: Scenario) -> float:
    factor = 1.0
    for boost in scenario.boosts:
        applies = (
            (boost.category and boost.category == item.category)
            or (boost.owner and boost.owner == item.owner)
            or (boost.tag and boost.tag in item.tags)
        )
        if applies:
            factor *= boost.factor
    return factor


def told(pool: Pool, policy: Policy, candidates: Sequence[Candidate] | None) -> Pool:
    """The pool with owners and categories, where places are given by them and it has none."""
    wanted = diversity_of(policy)
    if candidates is None:
        return pool
    if wanted.by_owner and pool.owners is None:
        pool = replace(pool, owners=_numbered(candidates, lambda item: item.owner))
    if wanted.by_category and pool.categories is None:
        pool = replace(pool, categories=_numbered(candidates, lambda item: item.category))
    return pool


def _numbered(candidates: Sequence[Candidate], name_of: Callable[[Candidate], str]) -> Integers:
    numbers = {"": NOBODY}
    return np.array([numbers.setdefault(name_of(each), len(numbers)) for each in candidates], np.int64)


def placed(
    ordering: Ordering, recorded: Layout | None, pool: Pool, policy: Policy
) -> tuple[Ordering, Layout | None]:
    """How a policy gives the places of a first page, with the pins of the record."""
    explores = ordering.order == "explore"
    diversity = _ANY if explores else diversity_of(policy)
    budget = None if explores else budget_of(policy)
    ordering = Ordering(
        ordering.order,
        ordering.kinds,
        ordering.weights,
        ordering.sharpness,
        ordering.pool_size,
        ordering.seed,
        min(ordering.limit, policy.slate.max_limit),
        budget,
    )
    pins = () if recorded is None else recorded.pins
    if not pins and not diversity.is_on and budget is None:
        return ordering, None
    of = {each.posting: each for each in pool.candidates} if pins else {}
    pinned = tuple((slot, of.get(candidate.posting, candidate)) for slot, candidate in pins)
    return ordering, Layout(ordering.limit, diversity, pinned)
