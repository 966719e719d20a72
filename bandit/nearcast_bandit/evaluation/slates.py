"""One logged request as rows of an evaluation: what was shown, how probable that was, and under each target.

A request is answered in one of several ways: by a feed that draws, by one without draws, by the shuffle of
the floor. A row's probability is that over all ways that could have been taken: those that go by beliefs
alone can be worked out from any record, so they stand in for each other. Distances and ages are only in the
records that were ordered by them: such a way is known from its own records alone, which all ways of that
order share.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b

import numpy as np
from msgspec.structs import replace as replaced

from nearcast_bandit.arranging import Layout
from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.evaluation.chances import DRAWS, chances
from nearcast_bandit.evaluation.support import unsupported_mass
from nearcast_bandit.record import DecisionRecord, Ordering, OrderName, Pool

OWN_RECORDS: tuple[OrderName, ...] = ("nearest", "newest")
# Below, a propensity is an error of the integral.
_NEVER = 1e-9
# What was shown was possible, however little of it an integral finds.
_LEAST = 1e-12
_MOST_KNOWN = 64


@dataclass(frozen=True, slots=True)
class Way:
    """One way a request may be answered, and the share of requests that are.

    `is_weighed`: whether the factors of candidates are for it. `layout` is how its places are given, None
    where they go by score alone.
    """

    ordering: Ordering
    share: float
    is_weighed: bool = True
    layout: Layout | None = None

    def is_like(self, other: "Way") -> bool:
        """Whether places are given alike, by orders that are the same."""
        one, another = self.ordering, other.ordering
        return (one.budget, one.limit, self.layout) == (another.budget, another.limit, other.layout)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but scores decides who stands where."""
        return self.layout is None and self.ordering.budget is None


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One policy on one request: its ways, and the candidates as it believes in them.

    The pool has the candidates of the record, in their order; those that are `barred` do not compete.
    """

    ways: Sequence[Way]
    pool: Pool
    barred: Booleans | None = None

    def share_of(self, order: OrderName) -> float:
        """How many requests are ordered so."""
        return sum(way.share for way in self.ways if way.ordering.order == order)

    @property
    def limit(self) -> int:
        """How many places there are."""
        return min((way.ordering.limit for way in self.ways), default=0)

    def competing(self, *, are_weighed: bool) -> Pool:
        """Those that are not barred, with factors or without."""
        pool = self.pool if are_weighed else replace(self.pool, factors=None)
        return pool if self.barred is None else pool.only(~self.barred)


@dataclass(frozen=True, slots=True, eq=False)
class TargetRows:
    """A target on one request, by position: see ShownItems. What it does not show has no row there."""

    target: Floats
    unsupported: Floats
    expected: Floats
    shows: Booleans


@dataclass(frozen=True, slots=True, eq=False)
class SlateRows:
    """One request, a row for each of its `places`, which count from 0."""

    places: Integers
    logged: Floats
    modelled: Floats
    targets: tuple[TargetRows, ...]


class Chances:
    """Those of every way that was asked for lately: where little changes, many requests are alike."""

    def __init__(self, draws: int = DRAWS) -> None:
        self.draws = draws
        self._known: OrderedDict[tuple[bytes, Ordering, Layout | None, int], Floats] = OrderedDict()

    def of(self, record: DecisionRecord, side: Side, k: int) -> Floats:
        """P(candidate at position) by any of the ways that go by beliefs alone."""
        total = np.zeros((side.pool.postings.size, k))
        for way in side.ways:
            if way.share > 0 and way.ordering.order not in OWN_RECORDS:
                total += way.share * self.by(record, side, way, k)
        return total

    def by(self, record: DecisionRecord, side: Side, way: Way, k: int) -> Floats:
        """P(candidate at position) by one way, for each candidate of the record."""
        pool, ordering = side.competing(are_weighed=way.is_weighed), replaced(way.ordering, seed=0)
        taken = replace(record, ordering=ordering, pool=pool, layout=way.layout)
        found = self._one((_digest(pool), ordering, way.layout, k), taken)
        total = np.zeros((side.pool.postings.size, k))
        total[slice(None) if side.barred is None else ~side.barred] = found
        total[:, side.limit :] = 0
        return total

    def _one(self, key: tuple[bytes, Ordering, Layout | None, int], record: DecisionRecord) -> Floats:
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.popitem(last=False)
            found = self._known[key] = chances(record, key[3], self.draws)
        return found


def slate_rows(
    record: DecisionRecord,
    logged: Side,
    targets: Sequence[Side],
    model: Floats,
    k: int,
    known: Chances,
) -> SlateRows:
    """The first k positions of a request; `model` is the reward that is expected of each candidate.

    Raises ValueError for a record that shows what is not among its candidates.
    """
    reach = len(record.outcome.postings[:k])
    taken = _taken(record, logged, known, reach, drawn_places(record, k))
    return SlateRows(
        taken.places,
        taken.chance,
        model[taken.shown],
        tuple(_target_rows(record, side, logged, known, taken, model) for side in targets),
    )


def drawn_places(record: DecisionRecord, k: int) -> Integers:
    """Of the first k, counted from 0, those that chance has filled."""
    pinned = frozenset() if record.layout is None else record.layout.pinned
    shown = record.outcome.postings[:k]
    return np.array([place for place, posting in enumerate(shown) if posting not in pinned], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """What was shown at each place, by its row among the candidates, and how probable it was in the log.

    `way` is the one that only its own records know, and `by_way` what it shows; `by_beliefs` is what any
    record tells.
    """

    places: Integers
    shown: Integers
    chance: Floats
    by_beliefs: Floats
    way: Way | None
    by_way: Floats


def _taken(record: DecisionRecord, logged: Side, known: Chances, reach: int, places: Integers) -> _Taken:
    shown, by_beliefs = _shown(record, logged.pool, places), known.of(record, logged, reach)
    way = _own_way(record, logged)
    by_way = np.zeros_like(by_beliefs)
    if way is not None and way.ordering.budget is None:
        by_way[shown, places] = 1.0
    elif way is not None:
        by_way = known.by(record, logged, way, reach)
    found = (by_beliefs if way is None else way.share * by_way)[shown, places]
    # What was shown and never drawn again counts as drawn once.
    least = _LEAST if all(each.is_plain for each in logged.ways) else 1 / known.draws
    return _Taken(places, shown, np.clip(found, least, 1.0), by_beliefs, way, by_way)


def _own_way(record: DecisionRecord, side: Side) -> Way | None:
    """That of the record's order, where only its own records know it; all feeds of the order are alike."""
    order = record.ordering.order
    ways = [way for way in side.ways if way.ordering.order == order]
    if order not in OWN_RECORDS or not ways:
        return None
    return replace(ways[0], share=side.share_of(order))


def _target_rows(
    record: DecisionRecord, side: Side, logged: Side, known: Chances, taken: _Taken, model: Floats
) -> TargetRows:
    places, shown = taken.places, taken.shown
    wanted = known.of(record, side, taken.by_beliefs.shape[1])
    absent = sum(side.share_of(order) for order in OWN_RECORDS if logged.share_of(order) <= 0)
    within_reach = np.where(taken.by_beliefs > _NEVER, taken.by_beliefs, 0.0)
    out_of_reach = unsupported_mass(wanted, within_reach)[places] + absent
    expected = (wanted * model[:, None]).sum(axis=0)[places]
    shows = places < side.limit
    if taken.way is None:
        return TargetRows(np.minimum(wanted[shown, places], 1.0), out_of_reach, expected, shows)
    own = _own_way(record, side)
    if own is None:
        return TargetRows(np.zeros(places.size), out_of_reach, expected, shows)
    # The candidates' order by distance or age is only here: these requests stand for all that are ordered so.
    is_same = own.is_like(taken.way) and side.barred is None
    by_way = taken.by_way if is_same else known.by(record, side, own, taken.by_beliefs.shape[1])
    for_each = own.share / taken.way.share
    lost = for_each * unsupported_mass(by_way, taken.by_way)[places]
    weighed = for_each * (by_way * model[:, None]).sum(axis=0)[places]
    target = np.minimum(own.share * by_way[shown, places], 1.0)
    return TargetRows(target, out_of_reach + lost, expected + weighed, shows)


def _shown(record: DecisionRecord, pool: Pool, places: Integers) -> Integers:
    """Where among the candidates those are that were shown there."""
    wanted = np.array(record.outcome.postings, np.int64)[places]
    order = np.argsort(pool.postings)
    rows = np.minimum(np.searchsorted(pool.postings[order], wanted), max(pool.postings.size - 1, 0))
    if pool.postings.size == 0 or (pool.postings[order][rows] != wanted).any():
        raise ValueError("the record shows what is not among its candidates")
    found: Integers = order[rows]
    return found


def _digest(pool: Pool) -> bytes:
    digest = blake2b(digest_size=16)
    for each in fields(pool):
        value = getattr(pool, each.name)
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return digest.digest()
