"""Which of several areas a point lies in: exactly one or none, also on borders and where areas overlap."""

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import STRtree

from nearcast_geo.area import Area, edges_of
from nearcast_geo.distance import Floats
from nearcast_geo.strips import UNSETTLED, lay_strips

Integers = NDArray[np.int64]

NOWHERE = -1
_POLES = (-90.0, 90.0)


class Territories:
    """Areas by rank: of those that cover a point, border included, the first has it.

    `at` tells the place of that area in the sequence, or NOWHERE. Never changed after it was built.
    """

    def __init__(self, areas: Sequence[Area]) -> None:
        self._areas = areas
        self._count = len(areas)
        self._shapes = np.array([area.shape for area in areas], dtype=object)
        self._tree = STRtree(self._shapes)
        # For one point the bounds of all are looked through in a fraction of what it costs to ask the tree.
        self._bounds = [
            np.array([getattr(area, side) for area in areas]) for side in ("west", "south", "east", "north")
        ]
        self._poles = {pole: _first(areas, pole) for pole in _POLES}
        self.strips = lay_strips(edges_of(areas), self._settled) if areas else None

    def at(self, lat: float, lon: float) -> int:
        """Where a normalised point lies."""
        if self.strips is None:
            return NOWHERE
        if lon != -180.0 and abs(lat) != 90.0:
            value = self.strips.value(lat, lon)
            if value != UNSETTLED:
                return value
        return self._exactly_at(lat, lon)

    def each(self, lats: Floats, lons: Floats) -> Integers:
        """The same for many normalised points."""
        if self.strips is None:
            return np.full(len(lats), NOWHERE)
        found = self.strips.each(lats, lons).astype(np.int64)
        open_ = np.flatnonzero((found == UNSETTLED) | (lons == -180.0) | (np.abs(lats) == 90.0))
        found[open_] = self.exactly(lats[open_], lons[open_])
        return found

    def exactly(self, lats: Floats, lons: Floats) -> Integers:
        """The same without the table: every point against the areas that may have it."""
        best = self._settled(lats, lons)
        seam = np.flatnonzero(lons == -180.0)
        if len(seam):
            twins = self._settled(lats[seam], np.full(len(seam), 180.0))
            best[seam] = _earlier(best[seam], twins)
        for pole, first in self._poles.items():
            best[lats == pole] = first
        return best

    def _exactly_at(self, lat: float, lon: float) -> int:
        if lon == -180.0 or abs(lat) == 90.0:
            return int(self.exactly(np.array([lat]), np.array([lon]))[0])
        west, south, east, north = self._bounds
        near = np.flatnonzero((south <= lat) & (lat <= north) & (west <= lon) & (lon <= east))
        return next((place for place in near.tolist() if self._areas[place].covers(lat, lon)), NOWHERE)

    def _settled(self, lats: Floats, lons: Floats) -> Integers:
        """By the map alone, on which a pole is a line and the antimeridian two."""
        best = np.full(len(lats), self._count)
        points, areas = self._tree.query(shapely.points(lons, lats))
        inside = shapely.intersects_xy(self._shapes[areas], lons[points], lats[points])
        np.minimum.at(best, points[inside], areas[inside])
        best[best == self._count] = NOWHERE
        return best


def _first(areas: Sequence[Area], pole: float) -> int:
    return next((place for place, area in enumerate(areas) if area.covers(pole, 0.0)), NOWHERE)


def _earlier(one: Integers, other: Integers) -> Integers:
    """The earlier of two places, where there are any."""
    return np.where((one == NOWHERE) | ((other != NOWHERE) & (other < one)), other, one)
