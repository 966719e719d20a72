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

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.evaluation.chances import DRAWS, chances, is_plain
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
    """One way a request may be answered, and the share of requests that are."""

    ordering: Ordering
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One policy on one request: its ways, and the candidates as it believes in them."""

    ways: Sequence[Way]
    pool: Pool

    def share_of(self, order: OrderName) -> float:
        """How many requests are ordered so."""
        return sum(way.share for way in self.ways if way.ordering.order == order)


@dataclass(frozen=True, slots=True, eq=False)
class TargetRows:
    """A target on one request, by position: see ShownItems."""

    target: Floats
    unsupported: Floats
    expected: Floats


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
        self._known: OrderedDict[tuple[bytes, Ordering, int], Floats] = OrderedDict()

    def of(self, record: DecisionRecord, side: Side, k: int) -> Floats:
        """P(candidate at position) by any of the ways that go by beliefs alone."""
        total, name = np.zeros((side.pool.postings.size, k)), _digest(side.pool)
        for way in side.ways:
            if way.share > 0 and way.ordering.order not in OWN_RECORDS:
                ordering = replaced(way.ordering, seed=0)
                taken = replace(record, ordering=ordering, pool=side.pool)
                total += way.share * self._one((name, ordering, k), taken)
        return total

    def _one(self, key: tuple[bytes, Ordering, int], record: DecisionRecord) -> Floats:
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.popitem(last=False)
            found = self._known[key] = chances(record, key[2], self.draws)
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
    by_beliefs = known.of(record, logged, reach)
    taken = _taken(record, logged, by_beliefs, drawn_places(record, k), 1 / known.draws)
    return SlateRows(
        taken.places,
        taken.chance,
        model[taken.shown],
        tuple(_target_rows(side, logged, known.of(record, side, reach), taken, model) for side in targets),
    )


def drawn_places(record: DecisionRecord, k: int) -> Integers:
    """Of the first k, counted from 0, those that chance has filled."""
    pinned = frozenset() if record.layout is None else record.layout.pinned
    shown = record.outcome.postings[:k]
    return np.array([place for place, posting in enumerate(shown) if posting not in pinned], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """What was shown at each place, by its row among the candidates, and how probable it was in the log.

    `own` is the order that only its own records know, `by_beliefs` what any record tells.
    """

    places: Integers
    shown: Integers
    chance: Floats
    by_beliefs: Floats
    own: OrderName | None


def _taken(record: DecisionRecord, logged: Side, by_beliefs: Floats, places: Integers, once: float) -> _Taken:
    shown = _shown(record, logged.pool, places)
    own = record.ordering.order if record.ordering.order in OWN_RECORDS else None
    found = by_beliefs[shown, places] if own is None else np.full(places.size, logged.share_of(own))
    # What was shown and never drawn again counts as drawn once.
    chance = np.clip(found, _LEAST if is_plain(record) else once, 1.0)
    return _Taken(places, shown, chance, by_beliefs, own)


def _target_rows(side: Side, logged: Side, wanted: Floats, taken: _Taken, model: Floats) -> TargetRows:
    """`wanted` is P(candidate at position) by any of the target's ways that go by beliefs alone."""
    absent = sum(side.share_of(order) for order in OWN_RECORDS if logged.share_of(order) <= 0)
    within_reach = np.where(taken.by_beliefs > _NEVER, taken.by_beliefs, 0.0)
    out_of_reach = unsupported_mass(wanted, within_reach)[taken.places]
    expected = (wanted * model[:, None]).sum(axis=0)[taken.places]
    if taken.own is None:
        target = np.minimum(wanted[taken.shown, taken.places], 1.0)
        return TargetRows(target, out_of_reach + absent, expected)
    target = np.full(taken.places.size, side.share_of(taken.own))
    # The candidates' order by distance or age is only here: what is expected of it is weighed like a reward.
    weighed = target / taken.chance * model[taken.shown]
    return TargetRows(target, out_of_reach + absent, expected + weighed)


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
