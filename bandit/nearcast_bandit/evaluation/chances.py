"""P(candidate at position) over all seeds, for one way to order the candidates of a logged decision.

The best k of plain draws are integrated. Everything else is drawn again by `redecide`, so that whatever a
replay honours is honoured here.
"""

from dataclasses import MISSING, fields, replace
from typing import Any

import msgspec
import numpy as np

from nearcast_bandit.arranging import DEEPEST, Layout, arranged
from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import SHAPE_CEILING, SHAPE_FLOOR
from nearcast_bandit.propensity import draw_propensities, floor_propensities
from nearcast_bandit.ranking import Ranking
from nearcast_bandit.record import DecisionRecord, Ordering, Pool
from nearcast_bandit.redeciding import redecide
from nearcast_bandit.replaying import replayed_propensities

# Enough for what is shown every twentieth time: n >= 100 / p.
DRAWS = 2_000
# So many times the places of a slate are looked at first, then so many times as many.
_FIRST_LOOK, _DEEPER = 3, 4
# What integrals know of, or nothing goes by. Anything else that a record says makes it be drawn again.
_PLAIN_RECORD = frozenset(
    {"circumstances", "choice", "ordering", "excluded", "outcome", "pool", "beginnings"}
)
_PLAIN_ORDERING = frozenset({"order", "kinds", "weights", "sharpness", "pool_size", "seed", "limit"})
# Owners, categories and who is new matter to a layout alone.
_PLAIN_POOL = frozenset(
    {"postings", "distances_m", "born_at", "kinds", "a", "b", "factors"}
    | {"owners", "categories", "is_new", "lines", "faded"}
)


def chances(record: DecisionRecord, k: int, draws: int = DRAWS) -> Floats:
    """A row per candidate of the pool, a column per position; what is drawn again is a share of `draws`.

    Raises ValueError for a record without its candidates, or without what its order goes by.
    """
    if record.pool is None:
        raise ValueError(f"the record holds no candidates: {record.circumstances.gap}")
    order = record.ordering.order
    if order == "draw" and any(record.ordering.weights):
        try:
            integrated = _drawn(record, record.pool, k, draws) if is_plain(record) else None
        except ValueError:  # a score that is certain has no density
            integrated = None
        if integrated is not None:
            return integrated
        if record.layout is not None and record.ordering.budget is None:
            return _arranged(record, record.pool, record.layout, k, draws)
        return _replayed(record, k, draws)
    if order == "explore":
        return _shuffled(record, record.pool, k) if is_plain(record) else _replayed(record, k, draws)
    # Which places are kept for newcomers goes by the seed, whatever the order.
    return _replayed(record, k, 1 if record.ordering.budget is None else draws)


def is_plain(record: DecisionRecord) -> bool:
    """Whether a slate is the best by independent draws, or an even shuffle, and nothing besides."""
    return not (
        _says_more(record, _PLAIN_RECORD)
        or _says_more(record.ordering, _PLAIN_ORDERING)
        or (record.pool is not None and _says_more(record.pool, _PLAIN_POOL))
    )


def _says_more(part: object, plain: frozenset[str]) -> bool:
    return any(
        name not in plain and not _is_off(getattr(part, name), default) for name, default in _defaults(part)
    )


def _defaults(part: Any) -> list[tuple[str, object]]:
    """Every field with what it is when it is not used."""
    if isinstance(part, msgspec.Struct):
        return [(each.name, each.default) for each in msgspec.structs.fields(part)]
    return [(each.name, None if each.default is MISSING else each.default) for each in fields(part)]


def _is_off(value: object, default: object) -> bool:
    if value is None or (isinstance(value, tuple | str) and not value):
        return True
    return not isinstance(value, np.ndarray) and value == default


def _drawn(record: DecisionRecord, pool: Pool, k: int, draws: int) -> Floats:
    ranking = _ranking(record.ordering, pool)
    try:
        return draw_propensities(ranking, k)
    except ValueError:  # too sharp beside the others for an even grid
        return replayed_propensities(ranking, k, draws)


def _ranking(ordering: Ordering, pool: Pool) -> Ranking:
    rows = [pool.kinds.index(kind) for kind in ordering.kinds]
    return Ranking(
        pool.postings,
        ordering.kinds,
        ordering.weights,
        np.clip(pool.a[rows], SHAPE_FLOOR, SHAPE_CEILING),
        np.clip(pool.b[rows], SHAPE_FLOOR, SHAPE_CEILING),
        ordering.sharpness,
        pool.factors,
    )


def _arranged(record: DecisionRecord, pool: Pool, layout: Layout, k: int, draws: int) -> Floats:
    """As `_replayed`, many seeds at once: pins and diversity need only the best of each."""
    candidates, row_of = pool.candidates, {posting: row for row, posting in enumerate(pool.postings.tolist())}
    if not layout.pinned <= row_of.keys():
        raise ValueError("what is pinned is not among the candidates")
    ranking, first = _ranking(record.ordering, pool), _FIRST_LOOK * layout.limit

    def arrange(order: Integers) -> Integers:
        best, depth, shown = order[:DEEPEST].tolist(), first, None
        while shown is None:
            ranked = [candidates[row] for row in best[:depth]]
            shown = arranged(ranked, layout, is_all=depth >= len(best))
            depth *= _DEEPER
        return np.array([row_of[posting] for posting in shown], np.int64)

    return replayed_propensities(ranking, k, draws, arrange)


def _shuffled(record: DecisionRecord, pool: Pool, k: int) -> Floats:
    whole = msgspec.structs.replace(record.ordering, limit=record.ordering.pool_size)
    shuffled = redecide(replace(record, ordering=whole)).postings
    return floor_propensities(pool.postings.size, np.flatnonzero(np.isin(pool.postings, shuffled)), k)


def _replayed(record: DecisionRecord, k: int, draws: int) -> Floats:
    """Shares of so many seeds; an order without draws needs one."""
    pool, ordering = record.pool, record.ordering
    assert pool is not None
    by_posting = np.argsort(pool.postings)
    tally = np.zeros((pool.postings.size, k))
    for seed in range(draws):
        seeded = msgspec.structs.replace(ordering, seed=seed, limit=max(ordering.limit, k))
        shown = redecide(replace(record, ordering=seeded)).postings[:k]
        rows = by_posting[np.searchsorted(pool.postings[by_posting], shown)]
        tally[rows, np.arange(rows.size)] += 1
    return tally / draws
