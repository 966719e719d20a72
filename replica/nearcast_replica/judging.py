"""Machine code for one row: how far it is, and whether its item may be shown now."""

import math
from typing import Any

import numpy as np

from nearcast_compiling.memory import fixed, fixed_f8, load_f8, load_i8, load_u1, load_u2, load_u4, load_u8
from nearcast_compiling.native import compiled, compiled_inline
from nearcast_geo.containment import outline_holds
from nearcast_geo.distance import EARTH_RADIUS_M, HALF_CIRCUMFERENCE_M
from nearcast_geo.native import exact_distance_m
from nearcast_replica.layout import LATEST, SEVERAL_PLACES
from nearcast_replica.registers import WORLD, Ask, Fact, Pad

_GOLDEN = np.uint64(0x9E37_79B9_7F4A_7C15)
_signed: Any = np.int64
FREE = -(2**63)

# A unit vector in 32 bits is within 6e-8 of the place it stands for.
_CHORD_MARGIN = 2e-7

_EXPIRES_AT, _STARTS, _STARTS_AT = WORLD["expires_at"], WORLD["starts"], WORLD["starts_at"]
_HOURS, _CATEGORY, _MARKET = WORLD["hours"], WORLD["category"], WORLD["market"]
_TAG_MASK, _TAG_REF, _TAG_POOL = WORLD["tag_mask"], WORLD["tag_ref"], WORLD["tag_pool"]
_POSTING, _PLACE_REF, _PLACE_POOL = WORLD["posting"], WORLD["place_ref"], WORLD["place_pool"]
_ROW_LAT, _ROW_LON, _FLAGS = WORLD["row_lat"], WORLD["row_lon"], WORLD["flags"]


@compiled
def chord_of(arc_m: float) -> float:
    """The straight line through the unit sphere under an arc."""
    return 2.0 * math.sin(min(arc_m, HALF_CIRCUMFERENCE_M) / (2.0 * EARTH_RADIUS_M))


@compiled
def surely_within(arc_m: float) -> float:
    """The squared chord, measured in 32 bits, up to which a place is within the arc for certain."""
    chord = chord_of(arc_m) - _CHORD_MARGIN
    return chord * chord if chord > 0.0 else -1.0


@compiled
def perhaps_within(arc_m: float) -> float:
    """The squared chord, measured in 32 bits, beyond which no place within the arc can be."""
    chord = chord_of(arc_m) + _CHORD_MARGIN
    return chord * chord


@compiled
def row_distance_m(world: int, facts: int, row: int) -> float:
    """The exact distance of a row."""
    lat, lon = load_f8(fixed(world, _ROW_LAT), row), load_f8(fixed(world, _ROW_LON), row)
    return exact_distance_m(fixed_f8(facts, Fact.LAT), fixed_f8(facts, Fact.LON), lat, lon)


@compiled
def nearest_place(world: int, facts: int, slot: int) -> tuple[float, int]:
    """Distance and number of the nearest place of an item that has several; of equals the first."""
    pool = fixed(world, _PLACE_POOL)
    ref = load_u4(fixed(world, _PLACE_REF), slot)
    lat, lon = fixed_f8(facts, Fact.LAT), fixed_f8(facts, Fact.LON)
    nearest, at = math.inf, 0
    for place in range(int(load_f8(pool, ref))):
        spot = ref + 1 + 2 * place
        distance = exact_distance_m(lat, lon, load_f8(pool, spot), load_f8(pool, spot + 1))
        if distance < nearest:
            nearest, at = distance, place
    return nearest, at


@compiled
def within(world: int, facts: int, row: int, chord2: float, arc_m: float) -> bool:
    """Whether a row is at most an arc away."""
    if chord2 <= surely_within(arc_m):
        return True
    return chord2 <= perhaps_within(arc_m) and row_distance_m(world, facts, row) <= arc_m


@compiled_inline
def rung_of(world: int, facts: int, pad: int, row: int, chord2: float, last: int) -> int:
    """The first rung, up to the last one asked for, that holds the row; below zero: none."""
    limits = fixed(pad, Pad.LIMITS)
    distance = -1.0
    for rung in range(last + 1):
        if chord2 <= load_f8(limits, 2 * rung):
            return rung
        if chord2 <= load_f8(limits, 2 * rung + 1):
            if distance < 0.0:
                distance = row_distance_m(world, facts, row)
            if distance <= fixed_f8(facts, Fact.FIRST_RADIUS + rung):
                return rung
    return -1


@compiled_inline
def is_eligible(world: int, ask: int, facts: int, pad: int, slot: int, row: int, expires: int) -> bool:
    """Whether the item of a slot may be shown now, to this question.

    `expires` is its own, as just read, and the row any of its own.
    """
    now = fixed_f8(facts, Fact.NOW)
    if expires <= now:
        return False
    if (expires - 1 < now or expires == LATEST) and load_f8(fixed(world, _EXPIRES_AT), slot) <= now:
        return False
    starts = load_u4(fixed(world, _STARTS), slot)
    if starts + 1 > now and (starts > now or load_f8(fixed(world, _STARTS_AT), slot) > now):
        return False
    hours = load_u2(fixed(world, _HOURS), slot)
    if hours > 0 and not _marked(fixed(ask, Ask.OPEN), fixed(ask, Ask.OPEN_COUNT), hours):
        return False
    return (
        _has_wanted_tags(world, ask, slot)
        and _is_wanted_kind(world, ask, slot)
        and not is_left_out(ask, pad, load_i8(fixed(world, _POSTING), slot))
        and not _is_capped(ask, load_i8(fixed(world, _POSTING), slot))
        and (fixed(ask, Ask.REGION) == 0 or _lies_in_region(world, fixed(ask, Ask.REGION), slot, row))
    )


@compiled
def _lies_in_region(world: int, region: int, slot: int, row: int) -> bool:
    """Whether the outline at this address holds a place of the item."""
    if load_u2(fixed(world, _FLAGS), slot) & SEVERAL_PLACES == 0:
        return outline_holds(
            region, load_f8(fixed(world, _ROW_LAT), row), load_f8(fixed(world, _ROW_LON), row)
        )
    pool, ref = fixed(world, _PLACE_POOL), load_u4(fixed(world, _PLACE_REF), slot)
    for place in range(int(load_f8(pool, ref))):
        spot = ref + 1 + 2 * place
        if outline_holds(region, load_f8(pool, spot), load_f8(pool, spot + 1)):
            return True
    return False


@compiled
def outline_of_slot(world: int, slot: int) -> int:
    """The address of the outline of an item's own area, which lies behind its places."""
    pool, ref = fixed(world, _PLACE_POOL), load_u4(fixed(world, _PLACE_REF), slot)
    return pool + 8 * (ref + 1 + 2 * int(load_f8(pool, ref)))


@compiled_inline
def _marked(table: int, count: int, number: int) -> bool:
    return number < count and load_u1(table, number) != 0


@compiled_inline
def _is_wanted_kind(world: int, ask: int, slot: int) -> bool:
    categories, market = fixed(ask, Ask.CATEGORIES), fixed(ask, Ask.MARKET)
    if categories != 0:
        category = load_u2(fixed(world, _CATEGORY), slot)
        if not _marked(categories, fixed(ask, Ask.CATEGORY_COUNT), category):
            return False
    return market == -1 or market == load_u2(fixed(world, _MARKET), slot)


@compiled_inline
def _has_wanted_tags(world: int, ask: int, slot: int) -> bool:
    """The mask settles nearly all: only where a bit that is asked for is set are the numbers read."""
    every, some, none = load_u8(ask, Ask.ALL_MASK), load_u8(ask, Ask.ANY_MASK), load_u8(ask, Ask.NONE_MASK)
    also = load_u8(ask, Ask.ALSO_MASK)
    if (every | some | none | also) == 0:
        return True
    mask = load_u8(fixed(world, _TAG_MASK), slot)
    if (mask & every) != every or (some != 0 and (mask & some) == 0) or (also != 0 and (mask & also) == 0):
        return False
    ref = load_u4(fixed(world, _TAG_REF), slot)
    tags = fixed(world, _TAG_POOL) + 4 * ref
    if every != 0 and _held(tags, ask, Ask.ALL) < fixed(ask, Ask.ALL_COUNT):
        return False
    if some != 0 and _held(tags, ask, Ask.ANY) == 0:
        return False
    if also != 0 and _held(tags, ask, Ask.ALSO) == 0:
        return False
    return (mask & none) == 0 or _held(tags, ask, Ask.NONE) == 0


@compiled
def _held(tags: int, ask: int, asked: int) -> int:
    """How many of the tags asked for are among those of an item, which are a count and so many numbers."""
    numbers, count, held = fixed(ask, asked), load_u4(tags, 0), 0
    for wanted in range(fixed(ask, asked + 1)):
        number = load_u4(numbers, wanted)
        for index in range(1, count + 1):
            if load_u4(tags, index) == number:
                held += 1
                break
    return held


@compiled_inline
def left_out_spot(pad: int, posting: int) -> int:
    """Where a posting is, or would be, in the table of those left out."""
    table, size = fixed(pad, Pad.LEFT_OUT), fixed(pad, Pad.LEFT_OUT_CAPACITY)
    spot: int = _signed((np.uint64(posting) * _GOLDEN) >> np.uint64(40)) & (size - 1)
    while True:
        held = load_i8(table, spot)
        if held in (posting, FREE):
            return spot
        spot = (spot + 1) & (size - 1)


@compiled_inline
def is_left_out(ask: int, pad: int, posting: int) -> bool:
    """Whether the question names this posting."""
    if fixed(ask, Ask.LEFT_OUT_COUNT) == 0:
        return False
    return load_i8(fixed(pad, Pad.LEFT_OUT), left_out_spot(pad, posting)) == posting


@compiled_inline
def _is_capped(ask: int, posting: int) -> bool:
    """Whether a posting is among those that pause; of nearly all others their mark tells at once."""
    if fixed(ask, Ask.CAPPED_COUNT) == 0:
        return False
    mark = _signed((np.uint64(posting) * _GOLDEN) >> np.uint64(40)) & (fixed(ask, Ask.MARK_COUNT) - 1)
    return load_u1(fixed(ask, Ask.MARKS), mark) != 0 and _stands_in(ask, posting)


@compiled
def _stands_in(ask: int, posting: int) -> bool:
    """Whether it is found in the order of those that pause."""
    capped, begin, end = fixed(ask, Ask.CAPPED), 0, fixed(ask, Ask.CAPPED_COUNT)
    while begin < end:
        middle = (begin + end) // 2
        held = load_i8(capped, middle)
        if held == posting:
            return True
        if held < posting:
            begin = middle + 1
        else:
            end = middle
    return False
