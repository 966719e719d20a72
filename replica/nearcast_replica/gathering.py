"""Machine code for one pass over a segment: cover, distance, eligibility, and never more kept than asked."""

import math

from nearcast_compiling.memory import (
    fixed,
    fixed_f8,
    load_f4,
    load_f8,
    load_i4,
    load_i8,
    load_latest,
    load_u1,
    load_u2,
    load_u4,
    store_f8,
    store_i4,
    store_i8,
    store_u1,
)
from nearcast_compiling.native import compiled, compiled_inline
from nearcast_geo.containment import outline_holds
from nearcast_geo.distance import EARTH_RADIUS_M
from nearcast_geo.native import LONGITUDE_ROUNDING, window_degrees
from nearcast_geo.reach import MAX_REACH_M
from nearcast_replica.judging import (
    is_eligible,
    nearest_place,
    outline_of_slot,
    perhaps_within,
    rung_of,
    surely_within,
    within,
)
from nearcast_replica.layout import (
    ANY_CHORD2,
    AREA_SPANS,
    BAND_DEGREES,
    BANDS,
    CLASS_BAND_COUNT,
    CLASS_FIRST_BAND,
    CLASS_OFFSET,
    CLASS_WORDS,
    CLASSES,
    DEAD,
    FIRST_AREA_CLASS,
    OWN_AREA,
    OWN_REACH,
    REPLACES,
    SEVERAL_PLACES,
    STATE_ROWS,
)
from nearcast_replica.registers import WORLD, WORLD_SORTED_ROWS, Ask, Fact, Pad, Tally
from nearcast_replica.selecting import kth_smallest

# What a pass answers instead of its last rung.
TOO_MANY, TOO_FULL = -1, -2

_X, _Y, _Z, _LON, _ROW_SLOT = WORLD["x"], WORLD["y"], WORLD["z"], WORLD["lon"], WORLD["row_slot"]
_EXPIRES, _FLAGS, _ROW_PLACE, _REACH = (
    WORLD["expires"],
    WORLD["flags"],
    WORLD["row_place"],
    WORLD["reach_m"],
)
_STATE, _TAIL, _CLASS_TABLE, _STARTS = (
    WORLD["state"],
    WORLD["tail_chord2"],
    WORLD["classes"],
    WORLD["band_starts"],
)
_DEGREES = 180.0 / math.pi
_ROUNDING_DEGREES = 1e-9
_ROUNDING_M = 0.01
_FEW_ROWS_PER_BAND = 8


@compiled
def gather(world: int, ask: int, facts: int, pad: int) -> int:
    """Items within reach up to a rung; the last rung that can still be the answer, or a code below 0.

    Keeping all: those of the answer's rung, eligible or not, and more than `most` of them only as far as
    they may be the nearest. Otherwise the eligible ones of one rung, TOO_MANY if more than `most` are within.
    """
    tally, limits, last = fixed(pad, Pad.TALLY), fixed(pad, Pad.LIMITS), load_i8(pad, Pad.LAST_RUNG)
    for word in range(Tally.WORDS):
        store_i8(tally, word, 0)
    for rung in range(last + 1):
        radius_m = fixed_f8(facts, Fact.FIRST_RADIUS + rung)
        store_f8(limits, 2 * rung, surely_within(radius_m))
        store_f8(limits, 2 * rung + 1, perhaps_within(radius_m))
    for klass in range(CLASSES):
        last = _gather_class(world, ask, facts, pad, klass, last)
        if last < 0:
            return last
    return _gather_tail(world, ask, facts, pad, last)


@compiled
def _class_radius_m(facts: int, klass: int, last: int) -> float:
    if klass == 0:
        return fixed_f8(facts, Fact.FIRST_RADIUS + last)
    return min(1000.0 * (1 << (klass - 1)), MAX_REACH_M)


@compiled
def _class_degrees(facts: int, klass: int, last: int) -> float:
    """How far north or south of the centre a row may be sorted in."""
    if klass >= FIRST_AREA_CLASS:
        return AREA_SPANS[klass - FIRST_AREA_CLASS] + _ROUNDING_DEGREES
    radius_m = _class_radius_m(facts, klass, last)
    return (radius_m + _ROUNDING_M) / EARTH_RADIUS_M * _DEGREES + _ROUNDING_DEGREES


@compiled
def _class_window(facts: int, klass: int, last: int, south: float, north: float) -> float:
    """How far east or west of the centre a row of a band may be sorted in; below 0: no row is."""
    if klass >= FIRST_AREA_CLASS:
        return AREA_SPANS[klass - FIRST_AREA_CLASS] + LONGITUDE_ROUNDING
    radius_m = _class_radius_m(facts, klass, last)
    return window_degrees(fixed_f8(facts, Fact.LAT), radius_m + _ROUNDING_M, south, north)


@compiled
def _gather_class(world: int, ask: int, facts: int, pad: int, klass: int, last: int) -> int:
    table = fixed(world, _CLASS_TABLE) + 8 * CLASS_WORDS * klass
    first, count = load_i8(table, CLASS_FIRST_BAND), load_i8(table, CLASS_BAND_COUNT)
    starts = fixed(world, _STARTS) + 4 * load_i8(table, CLASS_OFFSET)
    if count == 0:
        return last
    store_i8(pad, Pad.KLASS, klass)
    lat, arc = fixed_f8(facts, Fact.LAT), _class_degrees(facts, klass, last)
    low, high = max(_band(lat - arc), first), min(_band(lat + arc), first + count - 1)
    if low > high:
        return last
    begin, end = load_i4(starts, low - first), load_i4(starts, high + 1 - first)
    if end - begin <= _FEW_ROWS_PER_BAND * (high - low + 1):
        return _gather_rows(world, ask, facts, pad, begin, end, last)
    # From the middle outwards, so that a rung that is found to be enough cuts what is still to come.
    middle = min(max(_band(lat), low), high)
    for step in range(2 * max(middle - low, high - middle) + 1):
        band = middle + ((step + 1) // 2 if step % 2 else -(step // 2))
        if low <= band <= high:
            last = _gather_band(world, ask, facts, pad, band, last)
            if last < 0:
                return last
    return last


@compiled
def _band(lat: float) -> int:
    return min(max(math.floor((lat + 90.0) / BAND_DEGREES), 0), BANDS - 1)


@compiled
def _gather_band(world: int, ask: int, facts: int, pad: int, band: int, last: int) -> int:
    klass = load_i8(pad, Pad.KLASS)
    table = fixed(world, _CLASS_TABLE) + 8 * CLASS_WORDS * klass
    at = load_i8(table, CLASS_OFFSET) + band - load_i8(table, CLASS_FIRST_BAND)
    begin, end = load_i4(fixed(world, _STARTS), at), load_i4(fixed(world, _STARTS), at + 1)
    if begin == end:
        return last
    south = band * BAND_DEGREES - 90.0 - _ROUNDING_DEGREES
    north = min(south + BAND_DEGREES + 2.0 * _ROUNDING_DEGREES, 90.0)
    lon, half = fixed_f8(facts, Fact.LON), _class_window(facts, klass, last, max(south, -90.0), north)
    if half < 0.0:
        return last
    if half >= 179.9:
        return _gather_rows(world, ask, facts, pad, begin, end, last)
    west, east = lon - half, lon + half
    # 180 itself may be the spelling, in 32 bits, of a place just before it.
    if west < -180.0:
        wrapped = _first_from(world, begin, end, west + 360.0)
        last = _gather_rows(world, ask, facts, pad, wrapped, end, last)
    elif east >= 180.0:
        wrapped = _first_from(world, begin, end, east - 360.0 + 1e-5)
        last = _gather_rows(world, ask, facts, pad, begin, wrapped, last)
    if last < 0:
        return last
    begin = _first_from(world, begin, end, west)
    end = _first_from(world, begin, end, east)
    return _gather_rows(world, ask, facts, pad, begin, end, last)


@compiled
def _first_from(world: int, begin: int, end: int, lon: float) -> int:
    """The first row whose longitude is not before this one."""
    lons = fixed(world, _LON)
    while begin < end:
        middle = (begin + end) // 2
        if load_f4(lons, middle) < lon:
            begin = middle + 1
        else:
            end = middle
    return begin


@compiled
def _limit(facts: int, pad: int, klass: int, last: int) -> float:
    if klass == 0:
        return load_f8(fixed(pad, Pad.LIMITS), 2 * last + 1)
    if klass >= FIRST_AREA_CLASS:
        return ANY_CHORD2
    return perhaps_within(_class_radius_m(facts, klass, last))


@compiled
def _gather_rows(world: int, ask: int, facts: int, pad: int, begin: int, end: int, last: int) -> int:
    klass = load_i8(pad, Pad.KLASS)
    cx, cy, cz = fixed_f8(facts, Fact.X), fixed_f8(facts, Fact.Y), fixed_f8(facts, Fact.Z)
    xs, ys, zs = fixed(world, _X), fixed(world, _Y), fixed(world, _Z)
    limit = _limit(facts, pad, klass, last)
    for row in range(begin, end):
        dx, dy, dz = load_f4(xs, row) - cx, load_f4(ys, row) - cy, load_f4(zs, row) - cz
        chord2 = dx * dx + dy * dy + dz * dz
        if chord2 <= limit:
            reached = _take(world, ask, facts, pad, row, chord2, last)
            if reached != last:
                if reached < 0:
                    return reached
                last = reached
                limit = _limit(facts, pad, klass, last)
    return last


@compiled
def _gather_tail(world: int, ask: int, facts: int, pad: int, last: int) -> int:
    """Looks for the end of the tail again after each stretch: what moved meanwhile is then found here."""
    cx, cy, cz = fixed_f8(facts, Fact.X), fixed_f8(facts, Fact.Y), fixed_f8(facts, Fact.Z)
    xs, ys, zs = fixed(world, _X), fixed(world, _Y), fixed(world, _Z)
    first, reaches = fixed(world, WORLD_SORTED_ROWS), fixed(world, _TAIL)
    state, row = fixed(world, _STATE), fixed(world, WORLD_SORTED_ROWS)
    end = load_latest(state, STATE_ROWS)
    while row < end:
        while row < end:
            dx, dy, dz = load_f4(xs, row) - cx, load_f4(ys, row) - cy, load_f4(zs, row) - cz
            chord2 = dx * dx + dy * dy + dz * dz
            limit = load_f4(reaches, row - first)
            if limit < 0.0:
                limit = load_f8(fixed(pad, Pad.LIMITS), 2 * last + 1)
            if chord2 <= limit:
                last = _take(world, ask, facts, pad, row, chord2, last)
                if last < 0:
                    return last
            row += 1
        end = load_latest(state, STATE_ROWS)
    return last


@compiled_inline
def _take(world: int, ask: int, facts: int, pad: int, row: int, chord2: float, last: int) -> int:
    """Judge one row and keep its item if it is the answer's; the last rung that can still be the answer."""
    slot = load_i4(fixed(world, _ROW_SLOT), row)
    expires = load_u4(fixed(world, _EXPIRES), slot)
    if expires == DEAD:
        return last
    flags = load_u2(fixed(world, _FLAGS), slot)
    if flags & SEVERAL_PLACES:
        place = load_u1(fixed(world, _ROW_PLACE), row)
        if nearest_place(world, facts, slot)[1] != place:
            return last
    if flags & OWN_REACH:
        rung = 0 if _reaches(world, facts, row, chord2, slot) else -1
    else:
        rung = rung_of(world, facts, pad, row, chord2, last)
    if rung < 0:
        return last
    ok = is_eligible(world, ask, facts, pad, slot, row, expires)
    tally = fixed(pad, Pad.TALLY)
    if ok or load_i8(pad, Pad.KEEPS_ALL):
        held = load_i8(tally, Tally.HELD)
        store_i4(fixed(pad, Pad.SLOT), held, slot)
        store_i4(fixed(pad, Pad.ROW), held, row)
        store_f8(fixed(pad, Pad.CHORD2), held, chord2)
        store_u1(fixed(pad, Pad.RUNG), held, rung)
        store_u1(fixed(pad, Pad.OK), held, 1 if ok else 0)
        store_i8(tally, Tally.HELD, held + 1)
        if flags & REPLACES and row >= fixed(world, WORLD_SORTED_ROWS):
            store_i8(tally, Tally.REPLACING, load_i8(tally, Tally.REPLACING) + 1)
    return _counted(ask, pad, rung, ok, last)


@compiled
def _reaches(world: int, facts: int, row: int, chord2: float, slot: int) -> bool:
    """Whether an item with a reach of its own reaches the centre."""
    if load_u2(fixed(world, _FLAGS), slot) & OWN_AREA:
        outline = outline_of_slot(world, slot)
        return outline_holds(outline, fixed_f8(facts, Fact.LAT), fixed_f8(facts, Fact.LON))
    return within(world, facts, row, chord2, load_f8(fixed(world, _REACH), slot))


@compiled_inline
def _counted(ask: int, pad: int, rung: int, ok: bool, last: int) -> int:
    tally, most, keeps_all = fixed(pad, Pad.TALLY), fixed(ask, Ask.MOST), load_i8(pad, Pad.KEEPS_ALL)
    for at in range(rung, last + 1):
        within_reach = load_i8(tally, Tally.ALL + at) + 1
        eligible = load_i8(tally, Tally.ELIGIBLE + at) + (1 if ok else 0)
        store_i8(tally, Tally.ALL + at, within_reach)
        store_i8(tally, Tally.ELIGIBLE + at, eligible)
        if within_reach > most:
            if not keeps_all:
                return TOO_MANY
            last = at
            break
        if keeps_all and eligible >= fixed(ask, Ask.ENOUGH):
            last = at
            break
    if load_i8(tally, Tally.HELD) == fixed(pad, Pad.CAPACITY) and not _made_room(ask, pad, last):
        return TOO_FULL
    return last


@compiled
def _made_room(ask: int, pad: int, last: int) -> bool:
    """Drop what lies beyond the last rung, and of that rung what cannot be among the nearest `most`."""
    tally = fixed(pad, Pad.TALLY)
    drop_beyond(pad, last, math.inf)
    held, most = load_i8(tally, Tally.HELD), fixed(ask, Ask.MOST)
    if held > most:
        keys, chords = fixed(pad, Pad.KEY), fixed(pad, Pad.CHORD2)
        for index in range(held):
            store_f8(keys, index, load_f8(chords, index))
        drop_beyond(pad, last, surely_farther(kth_smallest(keys, held, most - 1)))
    return load_i8(tally, Tally.HELD) < fixed(pad, Pad.CAPACITY) * 3 // 4


@compiled
def surely_farther(chord2: float) -> float:
    """The squared chord from which a place is farther than another for certain, both measured in 32 bits."""
    chord = math.sqrt(chord2) + 4e-7
    return chord * chord


@compiled
def drop_beyond(pad: int, last: int, chord2: float) -> None:
    """Keep the items up to the rung `last`, those of that rung only up to a squared chord."""
    tally, kept = fixed(pad, Pad.TALLY), 0
    rungs, chords = fixed(pad, Pad.RUNG), fixed(pad, Pad.CHORD2)
    for index in range(load_i8(tally, Tally.HELD)):
        rung = load_u1(rungs, index)
        if rung < last or (rung == last and load_f8(chords, index) <= chord2):
            move(pad, index, kept)
            kept += 1
    store_i8(tally, Tally.HELD, kept)


@compiled
def move(pad: int, source: int, target: int) -> None:
    """Put what is kept at one index at another."""
    slots, rows, chords = fixed(pad, Pad.SLOT), fixed(pad, Pad.ROW), fixed(pad, Pad.CHORD2)
    rungs, oks = fixed(pad, Pad.RUNG), fixed(pad, Pad.OK)
    store_i4(slots, target, load_i4(slots, source))
    store_i4(rows, target, load_i4(rows, source))
    store_f8(chords, target, load_f8(chords, source))
    store_u1(rungs, target, load_u1(rungs, source))
    store_u1(oks, target, load_u1(oks, source))
