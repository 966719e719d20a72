"""Items that are found from within an area: its outline, and where their rows are sorted in."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.geojson import SMALL_LIMITS, AreaError, read_area
from nearcast_geo.outline import EAST, NORTH, NOWHERE, SOUTH, WEST, outline_of
from nearcast_replica.bands import band_of
from nearcast_replica.layout import AREA_SPANS, BANDS, FIRST_AREA_CLASS, Array, Segment

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def outlines_of(geometries: Iterable[str]) -> list[Floats]:
    """The outline of each; none for an item without an area."""
    return [_outline(geometry) if geometry else _NONE for geometry in geometries]


_NONE: Floats = np.empty(0)


@lru_cache(maxsize=256)
def _outline(geometry: str) -> Floats:
    """Of a geometry that this version cannot read: nobody finds the item then."""
    try:
        return outline_of(read_area(geometry, SMALL_LIMITS))
    except AreaError:
        return NOWHERE


def sorted_in(outlines: Floats, begins: Integers) -> tuple[Integers, Floats]:
    """Cell and longitude that the rows of these areas are sorted by; each outline begins where it is said."""
    south, north, west, east = (outlines[begins + word] for word in (SOUTH, NORTH, WEST, EAST))
    half = np.maximum(north - south, east - west) / 2.0
    # A pole is a point of every longitude.
    half[(south == -90.0) | (north == 90.0)] = AREA_SPANS[-1]
    klass = FIRST_AREA_CLASS + np.searchsorted(AREA_SPANS[:-1], half)
    return klass * BANDS + band_of((south + north) / 2.0), (west + east) / 2.0


def outline_begins(pool: Array, refs: Array) -> Integers:
    """Where the outlines are in a place pool: behind the places, which are counted."""
    counted = refs.astype(np.int64)
    begins: Integers = counted + 1 + 2 * pool[counted].astype(np.int64)
    return begins


def outline_at(segment: Segment, slot: int) -> Floats:
    """The outline of the item in a slot, which must have an area."""
    pool = segment["place_pool"]
    begin = int(outline_begins(pool, segment["place_ref"][slot : slot + 1])[0])
    outline: Floats = pool[begin : begin + int(pool[begin])]
    return outline
