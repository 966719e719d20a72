"""The kernel's answer by numpy alone: for hosts without machine code, and to hold the kernel against."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast_bandit.draw import SHAPE_CEILING, SHAPE_FLOOR
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k, weighted_scores
from nearcast_geo.distance import EARTH_RADIUS_M, distances_m
from nearcast_geo.native import window_degrees
from nearcast_geo.outline import holds
from nearcast_geo.reach import BUCKETS, bucket_radius_m
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.areas import outline_at
from nearcast_replica.bands import band_of
from nearcast_replica.columns import unpack_stats
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.factoring import boosts_of, products
from nearcast_replica.layout import (
    BAND_DEGREES,
    CLASS_BAND_COUNT,
    CLASS_FIRST_BAND,
    CLASS_OFFSET,
    DEAD,
    FIRST_AREA_CLASS,
    OWN_AREA,
    OWN_REACH,
    REPLACES,
    SEVERAL_PLACES,
    Segment,
)
from nearcast_replica.lookup import id_of
from nearcast_replica.query import (
    ANY_MARKET,
    UNIFORM_PRIOR,
    Found,
    Mode,
    Query,
    Terms,
    region_of,
    terms_of,
    weighted_kinds,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_CLASS_RADII_M = (0.0, *(bucket_radius_m(bucket) for bucket in BUCKETS))
_ROUNDING_M = 0.01
_MULTIPLIED = {Mode.DRAW, Mode.MOST, Mode.EXPLORE}


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """Items that may be within reach, each once, at its nearest place."""

    rows: Integers
    slots: Integers
    distances: Floats

    def only(self, chosen: Booleans | Integers) -> "_Near":
        return _Near(self.rows[chosen], self.slots[chosen], self.distances[chosen])


class Twin:
    """Answers questions of any segment."""

    def __init__(self) -> None:
        self._competitors: Integers = np.empty(0, np.int64)
        self._factors: Floats | None = None

    def answer(self, segment: Segment, dictionaries: Dictionaries, query: Query) -> Found:
        """The best items; equal to what the kernel answers."""
        terms = terms_of(query, dictionaries)
        near = _measured(segment, query, _cover(segment, query))
        rungs = _rungs(segment, query, near)
        near, rungs = near.only(rungs < len(query.radii_m)), rungs[rungs < len(query.radii_m)]
        ok = _eligible(segment, query, terms, near.slots) & _in_region(segment, query, near)
        rung, truncated = _answering(query, rungs, ok)
        near, ok = near.only(rungs <= rung), ok[rungs <= rung]
        if truncated:
            kept = _nearest(segment, near, query.most)
            near, ok = near.only(kept), ok[kept]
        near = near.only(ok)
        self._competitors = near.slots
        self._factors = _factors(segment, dictionaries, query, near)
        order, scores, newcomers = _chosen(segment, query, near, self._factors)
        best = near.only(order)
        return Found(
            slots=best.slots,
            postings=segment["posting"][best.slots],
            distances_m=best.distances,
            places=segment["row_place"][best.rows].astype(np.int64),
            scores=scores,
            eligible=near.slots.size,
            radius_used_m=query.radii_m[rung],
            truncated=truncated,
            exhausted=truncated or rung == len(query.radii_m) - 1,
            newcomers=newcomers,
        )

    def competitors(self) -> Integers:
        """Slots of everything that the last answer was chosen from, in no order."""
        return self._competitors.copy()

    def factors(self) -> Floats | None:
        """What the scores of `competitors` were multiplied with, None where with nothing."""
        return self._factors


def _cover(segment: Segment, query: Query) -> Integers:
    """Rows that hold everything within reach, and more."""
    parts = [np.arange(segment.shape.sorted_rows, segment.rows)]
    parts += _all_of_areas(segment)
    for klass, radius_m in enumerate(_CLASS_RADII_M):
        arc_m = (radius_m or max(query.radii_m)) + _ROUNDING_M
        table, degrees = segment["classes"][klass], math.degrees(arc_m / EARTH_RADIUS_M) + 1e-9
        first, count = int(table[CLASS_FIRST_BAND]), int(table[CLASS_BAND_COUNT])
        low, high = band_of(np.array([query.center.lat - degrees, query.center.lat + degrees])).tolist()
        for band in range(max(low, first), min(high, first + count - 1) + 1):
            at = int(table[CLASS_OFFSET]) + band - first
            begin, end = segment["band_starts"][at : at + 2].tolist()
            if begin < end:
                parts += _window(segment, query, arc_m, band, begin, end)
    return np.concatenate(parts)


def _all_of_areas(segment: Segment) -> list[Integers]:
    """Whether an area holds the centre, its outline tells."""
    tables, starts = segment["classes"][FIRST_AREA_CLASS:], segment["band_starts"]
    return [
        np.arange(*starts[[table[CLASS_OFFSET], table[CLASS_OFFSET] + table[CLASS_BAND_COUNT]]].tolist())
        for table in tables
    ]


def _window(segment: Segment, query: Query, arc_m: float, band: int, begin: int, end: int) -> list[Integers]:
    south = band * BAND_DEGREES - 90.0 - 1e-9
    north = min(south + BAND_DEGREES + 2e-9, 90.0)
    half = window_degrees(query.center.lat, arc_m, max(south, -90.0), north)
    if half < 0.0:
        return []
    apart = np.abs(segment["lon"][begin:end].astype(np.float64) - query.center.lon)
    return [begin + np.flatnonzero(np.minimum(apart, 360.0 - apart) <= half)]


def _measured(segment: Segment, query: Query, rows: Integers) -> _Near:
    slots = segment["row_slot"][rows].astype(np.int64)
    alive = segment["expires"][slots] != DEAD
    rows, slots = rows[alive], slots[alive]
    center = query.center
    distances = distances_m(center.lat, center.lon, segment["row_lat"][rows], segment["row_lon"][rows])
    order = np.lexsort((segment["row_place"][rows], distances, slots))
    firsts = np.flatnonzero(np.diff(slots[order], prepend=-1))
    near = _Near(rows, slots, distances).only(order[firsts])
    if np.any(segment["flags"][near.slots] & REPLACES):
        # Of two slots of one posting the later counts.
        by_slot = near.only(np.argsort(-near.slots))
        near = by_slot.only(np.unique(segment["posting"][by_slot.slots], return_index=True)[1])
    return near


def _rungs(segment: Segment, query: Query, near: _Near) -> Integers:
    """The first rung that holds each item; of one out of reach, a number beyond the last."""
    rungs = np.searchsorted(np.array(query.radii_m), near.distances, side="left")
    own = (segment["flags"][near.slots] & OWN_REACH) != 0
    within = near.distances <= segment["reach_m"][near.slots]
    within &= _in_own_area(segment, query, near.slots)
    found: Integers = np.where(own, np.where(within, 0, len(query.radii_m)), rungs)
    return found


def _in_own_area(segment: Segment, query: Query, slots: Integers) -> Booleans:
    """Whether the area of each item holds the centre; an item without one lets it be anywhere."""
    center, inside = query.center, np.ones(slots.size, np.bool_)
    for index in np.flatnonzero(segment["flags"][slots] & OWN_AREA):
        inside[index] = holds(outline_at(segment, int(slots[index])), center.lat, center.lon)
    return inside


def _in_region(segment: Segment, query: Query, near: _Near) -> Booleans:
    """Whether one of its places is where places have to lie."""
    region, slots = region_of(query), near.slots
    if region is None:
        return np.ones(slots.size, np.bool_)
    inside = region.covers_each(segment["row_lat"][near.rows], segment["row_lon"][near.rows])
    pool = segment["place_pool"]
    for index in np.flatnonzero(~inside & (segment["flags"][slots] & SEVERAL_PLACES > 0)):
        ref = int(segment["place_ref"][slots[index]])
        places = pool[ref + 1 : ref + 1 + 2 * int(pool[ref])]
        inside[index] = np.any(region.covers_each(places[::2], places[1::2]))
    return inside


def _answering(query: Query, rungs: Integers, ok: Booleans) -> tuple[int, bool]:
    rung, truncated = 0, False
    for rung in range(len(query.radii_m)):
        held = rungs <= rung
        truncated = int(np.count_nonzero(held)) > query.most
        if truncated or int(np.count_nonzero(held & ok)) >= query.enough:
            break
    return rung, truncated


def _nearest(segment: Segment, near: _Near, count: int) -> Integers:
    """The nearest, equal distances by item id."""
    order = np.argsort(near.distances, kind="stable")
    ordered = near.distances[order]
    if not np.any(ordered[1:] == ordered[:-1]):
        return order[:count]
    ranked = sorted(
        range(order.size), key=lambda index: (near.distances[index], id_of(segment, int(near.slots[index])))
    )
    return np.array(ranked[:count], np.int64)


def _eligible(segment: Segment, query: Query, terms: Terms, slots: Integers) -> Booleans:
    ok = (segment["starts_at"][slots] <= query.now) & (query.now < segment["expires_at"][slots])
    ok &= _marked(terms.is_open, segment["hours"][slots])
    if terms.categories is not None:
        ok &= _marked(terms.categories, segment["category"][slots])
    if terms.market != ANY_MARKET:
        ok &= segment["market"][slots] == terms.market
    if query.left_out.size:
        ok &= ~np.isin(segment["posting"][slots], query.left_out)
    if query.capped.size:
        ok &= ~np.isin(segment["posting"][slots], query.capped)
    if any(terms.masks):
        every, some, none, other = (np.uint64(mask) for mask in terms.masks)
        masks = segment["tag_mask"][slots]
        ok &= ((masks & every) == every) & ((masks & some) != 0 if some else True)
        ok &= (masks & other) != 0 if other else True
        unsure = ok if every or some or other else ok & ((masks & none) != 0)
        for index in np.flatnonzero(unsure):
            ok[index] = _has_wanted_tags(segment, terms, int(slots[index]))
    return ok


def _marked(table: NDArray[np.uint8], numbers: NDArray[np.uint16]) -> Booleans:
    known = numbers < table.size
    marked: Booleans = known & (table[np.where(known, numbers, 0)] != 0)
    return marked


def _has_wanted_tags(segment: Segment, terms: Terms, slot: int) -> bool:
    pool, ref = segment["tag_pool"], int(segment["tag_ref"][slot])
    held = set(pool[ref + 1 : ref + 1 + int(pool[ref])].tolist())
    every, some, none, other = (numbers.tolist() for numbers in terms.tags)
    if (some and held.isdisjoint(some)) or (other and held.isdisjoint(other)):
        return False
    return held.issuperset(every) and held.isdisjoint(none)


def _factors(segment: Segment, dictionaries: Dictionaries, query: Query, near: _Near) -> Floats | None:
    factors = query.factors
    if factors is None:
        return None
    boosts = boosts_of(factors, dictionaries, query.now)
    return products(segment, boosts, factors, near.slots, near.distances)


def _chosen(
    segment: Segment, query: Query, near: _Near, factors: Floats | None
) -> tuple[Integers, Floats, int]:
    """Indices of the best and their scores, best first; how many of them are new, if that is asked."""
    order, postings = query.order, segment["posting"][near.slots]
    if order.mode is Mode.LISTED:
        listed = _nearest(segment, near, query.limit)
        return listed, -near.distances[listed], 0
    scores, newcomers = _scores(segment, query, near, postings), 0
    if factors is not None and order.mode in _MULTIPLIED:
        scores = scores * factors
    if order.mode is Mode.EXPLORE:
        pool = top_k(scores, postings, order.pool)
        chosen = pool[shuffle_order(query.seed, postings[pool])][: query.limit]
    elif query.parts_newcomers:
        fresh, known = (
            stretch[top_k(scores[stretch], postings[stretch], query.limit)]
            for stretch in _parted(segment, query, near)
        )
        chosen, newcomers = np.concatenate((fresh, known)), fresh.size
    else:
        chosen = top_k(scores, postings, query.limit)
    return chosen, scores[chosen], newcomers


def _parted(segment: Segment, query: Query, near: _Near) -> tuple[Integers, Integers]:
    """Indices of the new items, and of the others."""
    impressions = segment["stats"][segment.shape.kinds.index(IMPRESSION)][near.slots]
    is_new = impressions < np.uint64(query.new_until)
    return np.flatnonzero(is_new), np.flatnonzero(~is_new)


def _scores(segment: Segment, query: Query, near: _Near, postings: Integers) -> Floats:
    order = query.order
    if order.mode is Mode.NEAREST:
        return -near.distances
    if order.mode is Mode.NEWEST:
        born: Floats = segment["born_at"][near.slots]
        return born
    kinds = weighted_kinds(order, segment.shape)
    if not kinds:
        return np.zeros(near.slots.size)
    rows, numbers, weights = [list(each) for each in zip(*kinds, strict=True)]
    a, b = unpack_stats(segment["stats"][rows][:, near.slots])
    for row, kind in enumerate(numbers):
        untold = (a[row] == 0.0) & (b[row] == 0.0)
        a[row, untold], b[row, untold] = order.priors.get(kind, UNIFORM_PRIOR)
    if order.mode is not Mode.DRAW:
        return mean_scores(weights, a, b)
    a, b = np.clip(a, SHAPE_FLOOR, SHAPE_CEILING), np.clip(b, SHAPE_FLOOR, SHAPE_CEILING)
    return weighted_scores(query.seed, postings, numbers, weights, a, b, order.sharpness)
