"""Which feeds a request can be given, by what is known before anything is searched for.

The mask is settled by that alone: never by what the search finds, so that a feed's probability is known and a
visit keeps its feed.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import product

from nearcast_config.orders.registry import ORDERS
from nearcast_config.orders.way import Need
from nearcast_config.policy import Feed, Policy

NEEDS: tuple[Need, ...] = ("person", "market")


def needs_of(feed: Feed) -> frozenset[Need]:
    """Those of the feed, and of the order that it comes in."""
    order = ORDERS.get(feed.order)
    return frozenset((*feed.needs, *(order.needs if order else ())))


def is_conditional(feed: Feed) -> bool:
    """Whether there are requests that cannot be given the feed."""
    return feed.min_candidates > 0 or bool(needs_of(feed))


def admitted(policy: Policy, feeds: Iterable[str], known: Collection[Need], items: float) -> tuple[str, ...]:
    """Those of these feeds that a request can be given, in their order; `items` are those of its market."""
    return tuple(
        name
        for name in feeds
        if policy.feeds[name].min_candidates <= items and needs_of(policy.feeds[name]).issubset(known)
    )


def feed_sets(policy: Policy) -> set[frozenset[str]]:
    """Every set of feeds that a request can choose from: of each surface, in and outside markets."""
    every = frozenset(policy.feeds)
    surfaces = {every, *(frozenset(surface.feeds or every) for surface in policy.scenarios.values())}
    places = {every, *(frozenset(market.feeds or every) for market in policy.markets.values())}
    whole = {surface & place for surface in surfaces for place in places}
    return {frozenset(mask) for feeds in whole for mask in _masks(policy, feeds) if mask}


def _masks(policy: Policy, feeds: Collection[str]) -> Iterator[tuple[str, ...]]:
    """What may be left of these feeds, all cases; some come twice."""
    needed = [need for need in NEEDS if any(need in needs_of(policy.feeds[name]) for name in feeds)]
    levels = sorted({0, *(policy.feeds[name].min_candidates for name in feeds)})
    for met in product((False, True), repeat=len(needed)):
        known = [need for need, is_met in zip(needed, met, strict=True) if is_met]
        for items in levels:
            yield admitted(policy, feeds, known, items)


def counts_items(policy: Policy) -> bool:
    """Whether an epoch has to say how many items each market holds."""
    return any(feed.min_candidates for feed in policy.feeds.values())
