"""What is asked of a segment, and what it answers; kernel and twin read the same plain numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast_bandit.factors import Factors
from nearcast_catalogue.eligibility import Filter
from nearcast_geo.area import Area
from nearcast_geo.point import Point
from nearcast_replica.dictionaries import Dictionaries, Dictionary
from nearcast_replica.layout import TAG_BUCKETS, Shape

Integers = NDArray[np.int64]
Numbers = NDArray[np.uint32]

UNIFORM_PRIOR = (1.0, 1.0)
NO_INTEGERS: Integers = np.empty(0, np.int64)
_NO_NUMBERS: Numbers = np.empty(0, np.uint32)
ANY_MARKET, NO_MARKET = -1, -2


class Mode(IntEnum):
    """By what items are ordered. Equal scores go by posting; LISTED is NEAREST with equal ones by item id."""

    DRAW = 0
    NEAREST = 1
    LISTED = 2
    NEWEST = 3
    MOST = 4
    EXPLORE = 5


@dataclass(frozen=True, slots=True)
class Order:
    """How to order: `weights` by kind of event; EXPLORE shuffles the `pool` best by weighted mean.

    MOST goes by the weighted mean; DRAW leaves kinds of weight 0 out. A and B of `priors`, by kind, stand for
    statistics that nobody has told yet, which are a word of zeros.
    """

    mode: Mode
    weights: Sequence[tuple[int, float]] = ()
    sharpness: float = 1.0
    pool: int = 0
    priors: Mapping[int, tuple[float, float]] = field(default_factory=dict)


class Query(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One question. `radii_m` are the rungs, growing: the first at which `enough` are eligible is the answer.

    Of more than `most` items within reach the nearest are looked at, eligible or not. `left_out` are
    postings that count as not eligible, and so are those of `capped`, which are many and in their order;
    `limit` is how many items are wanted, best first. `factors` are for the scores of DRAW, MOST and EXPLORE.
    With `new_until` that many are wanted of those with fewer impressions, and behind them as many of the
    others; not of a list or of EXPLORE.
    """

    center: Point
    radii_m: Sequence[float]
    enough: int
    most: int
    now: float
    order: Order
    limit: int
    seed: int = 0
    wanted: Filter = Filter()
    left_out: Integers = msgspec.field(default_factory=lambda: NO_INTEGERS)
    factors: Factors | None = None
    capped: Integers = msgspec.field(default_factory=lambda: NO_INTEGERS)
    new_until: int = 0

    @property
    def parts_newcomers(self) -> bool:
        """Whether new items and others are answered apart."""
        return self.new_until > 0 and self.order.mode not in {Mode.LISTED, Mode.EXPLORE}


class Found(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The best items, and all that was looked at. `exhausted`: no wider look would follow.

    `slots` are those of the segment that was asked; `eligible` counts also what did not fit the limit. The
    first `newcomers` are the best new items, where those were asked for apart.
    """

    slots: Integers
    postings: Integers
    distances_m: NDArray[np.float64]
    places: Integers
    scores: NDArray[np.float64]
    eligible: int
    radius_used_m: float
    truncated: bool
    exhausted: bool
    newcomers: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """A filter in the numbers of one segment; a table holds a byte for every number known so far."""

    categories: NDArray[np.uint8] | None
    is_open: NDArray[np.uint8]
    market: int
    tags: tuple[Numbers, Numbers, Numbers, Numbers]  # all, any and none of them, and any of others
    masks: tuple[int, int, int, int]


def terms_of(query: Query, dictionaries: Dictionaries) -> Terms:
    """The same filter is asked for again and again: what it comes to is remembered."""
    wanted, memo = query.wanted, dictionaries.memo_at(query.now)
    asked = (
        wanted.categories,
        wanted.tags_all,
        wanted.tags_any,
        wanted.tags_none,
        wanted.market,
        wanted.categories_none,
        wanted.also,
    )
    terms: Terms | None = memo.get(asked)
    if terms is None:
        terms = memo[asked] = _terms(query, dictionaries)
    return terms


def region_of(query: Query) -> Area | None:
    """Where places have to lie. Raises TypeError for what is no area: a segment cannot be asked by it."""
    region = query.wanted.region
    if region is None or isinstance(region, Area):
        return region
    raise TypeError("a segment is asked by areas alone: other regions look at places one by one")


def _terms(query: Query, dictionaries: Dictionaries) -> Terms:
    """Names nobody has match nothing."""
    wanted, also = query.wanted, query.wanted.also or _ANYTHING
    categories = _categories((wanted, also), dictionaries.categories)
    tags, all_names = dictionaries.tags, wanted.tags_all | also.tags_all
    every, some = _numbers(all_names, tags), _numbers(wanted.tags_any, tags)
    other = _numbers(also.tags_any, tags)
    is_asked_in_vain = (wanted.tags_any and not some.size) or (also.tags_any and not other.size)
    if len(every) < len(all_names) or is_asked_in_vain:
        categories = _NOTHING
    none = _numbers(wanted.tags_none | also.tags_none, tags)
    market = ANY_MARKET
    if wanted.market is not None:
        number = dictionaries.markets.find(wanted.market)
        market = NO_MARKET if number is None else number
    masks = (tag_mask(every), tag_mask(some), tag_mask(none), tag_mask(other))
    return Terms(categories, dictionaries.open_at(query.now), market, (every, some, none, other), masks)


_NOTHING, _ANYTHING = np.zeros(1, np.uint8), Filter()


def _categories(filters: Sequence[Filter], known: Dictionary[str]) -> NDArray[np.uint8] | None:
    """Those that all filters let through; None where each lets all through."""
    wanted = [_table(each.categories, known) for each in filters if each.categories]
    wanted += [1 - _table(each.categories_none, known) for each in filters if each.categories_none]
    return np.bitwise_and.reduce(wanted) if wanted else None


def tag_mask(numbers: Numbers) -> int:
    """The bits of these tags."""
    mask = 0
    for number in numbers.tolist():
        mask |= 1 << (number % TAG_BUCKETS)
    return mask


def _table(names: frozenset[str], known: Dictionary[str]) -> NDArray[np.uint8]:
    table = np.zeros(max(len(known), 1), np.uint8)
    for name in names:
        number = known.find(name)
        if number is not None:
            table[number] = 1
    return table


def _numbers(names: frozenset[str], known: Dictionary[str]) -> Numbers:
    if not names:
        return _NO_NUMBERS
    found = (known.find(name) for name in names)
    return np.array([number for number in found if number is not None], np.uint32)


def weighted_kinds(order: Order, shape: Shape) -> list[tuple[int, int, float]]:
    """Row of the statistics, number and weight of each kind that the order goes by."""
    if order.mode in {Mode.NEAREST, Mode.LISTED, Mode.NEWEST}:
        return []
    kinds = [(shape.kinds.index(kind), kind, weight) for kind, weight in order.weights]
    return [each for each in kinds if each[2] > 0] if order.mode is Mode.DRAW else kinds
