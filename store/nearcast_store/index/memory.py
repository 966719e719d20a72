"""The index in memory: every item is looked at, in arrays."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast_catalogue.item import ServedItem
from nearcast_geo.area import Area
from nearcast_geo.distance import EARTH_RADIUS_M, HALF_CIRCUMFERENCE_M, Floats, distances_m
from nearcast_geo.point import Point
from nearcast_store.index.protocol import Found, Hit
from nearcast_store.index.reaching import ALWAYS_M, NEVER_M, reach_area

# A chord is compared before the exact distance is; a millimetre covers the rounding between the two.
_MARGIN_M = 1e-3
_ROUNDING = 1e-15


class MemoryGeoIndex:
    """For simulations, tests and a few thousand items; changes cost nothing until the next question."""

    def __init__(self) -> None:
        self._worlds: defaultdict[int, _World] = defaultdict(_World)

    def put(self, tenant_id: int, served: ServedItem) -> None:
        """Add an item, or replace what is known of its posting."""
        world = self._worlds[tenant_id]
        world.items[served.posting] = served
        world.columns = None

    def remove(self, tenant_id: int, posting: int) -> None:
        """Forget a posting; it need not be known."""
        world = self._worlds[tenant_id]
        if world.items.pop(posting, None) is not None:
            world.columns = None

    async def near(self, tenant_id: int, center: Point, radius_m: float, most: int) -> Found:
        """Items near the centre; of more than `most` the nearest are kept and `truncated` is set."""
        world = self._worlds.get(tenant_id)
        if world is None or not world.items:
            return Found((), truncated=False)
        if world.columns is None:
            world.columns = _columns(world.items.values())
        return _near(world.columns, center, radius_m, most)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Items in the order of their ids, and one row per place; `owner` is the item's rank in that order."""

    items: list[ServedItem]
    owner: NDArray[np.int64]
    place: NDArray[np.int64]
    lat: Floats
    lon: Floats
    axes: tuple[Floats, Floats, Floats]
    has_reach: NDArray[np.bool_]
    reach_m: Floats
    reach_chord2: Floats
    several_places: bool
    areas: list[tuple[int, Area | None]]


class _World:
    """One tenant's items; the columns are made anew when a question follows a change."""

    __slots__ = ("columns", "items")

    def __init__(self) -> None:
        self.items: dict[int, ServedItem] = {}
        self.columns: _Columns | None = None


def _columns(unordered: Iterable[ServedItem]) -> _Columns:
    items = sorted(unordered, key=lambda served: served.item.item_id)
    places = [len(served.item.places) for served in items]
    owner = np.repeat(np.arange(len(items)), places)
    lat = np.array([place.latitude for served in items for place in served.item.places])
    lon = np.array([place.longitude for served in items for place in served.item.places])
    reaches = [NEVER_M if served.item.reach_area else served.item.reach_m for served in items]
    reach_m = np.array([np.nan if reach is None else reach for reach in reaches])[owner]
    return _Columns(
        items=items,
        owner=owner,
        place=np.concatenate([np.arange(count) for count in places]),
        lat=lat,
        lon=lon,
        axes=_axes(lat, lon),
        has_reach=~np.isnan(reach_m),
        reach_m=reach_m,
        reach_chord2=_chord2(reach_m),
        several_places=len(owner) > len(items),
        areas=[
            (rank, reach_area(served.item.reach_area))
            for rank, served in enumerate(items)
            if served.item.reach_area
        ],
    )


def _near(columns: _Columns, center: Point, radius_m: float, most: int) -> Found:
    limits_m, chords2 = _limits(columns, center, radius_m)
    rows = _sifted(columns, center, chords2)
    distances = distances_m(center.lat, center.lon, columns.lat[rows], columns.lon[rows])
    inside = distances <= limits_m[rows]
    rows, distances = rows[inside], distances[inside]
    order = np.lexsort((columns.owner[rows], distances))
    rows, distances = rows[order], distances[order]
    if columns.several_places:
        firsts = np.sort(np.unique(columns.owner[rows], return_index=True)[1])
        rows, distances = rows[firsts], distances[firsts]
    kept = rows[:most]
    served = map(columns.items.__getitem__, columns.owner[kept].tolist())
    hits = list(map(Hit, served, distances[:most].tolist(), columns.place[kept].tolist()))
    return Found(hits, truncated=len(rows) > most)


def _limits(columns: _Columns, center: Point, radius_m: float) -> tuple[Floats, Floats]:
    """Up to which distance each row is found, and up to which square of the chord it may be."""
    limits_m = np.where(columns.has_reach, columns.reach_m, radius_m)
    chords2 = np.where(columns.has_reach, columns.reach_chord2, _chord2(np.array(radius_m)))
    for rank, area in columns.areas:
        if area is not None and area.covers(center.lat, center.lon):
            rows = columns.owner == rank
            limits_m[rows], chords2[rows] = ALWAYS_M, np.inf
    return limits_m, chords2


def _sifted(columns: _Columns, center: Point, chords2: Floats) -> NDArray[np.int64]:
    """Rows that may be inside, by their chord through the earth: no trigonometry per row."""
    x, y, z = columns.axes
    cx, cy, cz = _axes(np.array(center.lat), np.array(center.lon))
    chord2 = np.square(x - cx)
    chord2 += np.square(y - cy)
    chord2 += np.square(z - cz)
    return np.flatnonzero(chord2 <= chords2)


def _axes(lat: Floats, lon: Floats) -> tuple[Floats, Floats, Floats]:
    phi, lam = np.radians(lat), np.radians(lon)
    return np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)


def _chord2(arc_m: Floats) -> Floats:
    half = np.minimum(arc_m + _MARGIN_M, HALF_CIRCUMFERENCE_M) / (2.0 * EARTH_RADIUS_M)
    chord2: Floats = np.square(2.0 * np.sin(half)) + _ROUNDING
    return chord2
