"""Who can be shown where: the truth about distance that slates are measured against."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.distance import EARTH_RADIUS_M
from nearcast_geo.point import Point
from nearcast_town.backend import TownItem

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Neighbourhood:
    """An unchanging set of items, asked by place.

    Compares cosines of angles, exact to less than a millimetre at a town's distances.
    """

    def __init__(self, items: Sequence[TownItem]) -> None:
        lats = np.radians([item.point.lat for item in items])
        lons = np.radians([item.point.lon for item in items])
        self._vectors = np.column_stack(
            (np.cos(lats) * np.cos(lons), np.cos(lats) * np.sin(lons), np.sin(lats))
        )
        self._reaches_m = np.array([math.nan if item.reach_m is None else item.reach_m for item in items])
        self._cosines: dict[float, Floats] = {}

    def seen_from(self, point: Point, radius_m: float) -> Integers:
        """Places, in the order given at the start, of the items that may be shown at the point."""
        least = self._cosines.get(radius_m)
        if least is None:
            least = self._cosines[radius_m] = self._least_cosines(radius_m)
        lat, lon = math.radians(point.lat), math.radians(point.lon)
        level = math.cos(lat)
        here = np.array((level * math.cos(lon), level * math.sin(lon), math.sin(lat)))
        return np.flatnonzero(self._vectors @ here >= least)

    def _least_cosines(self, radius_m: float) -> Floats:
        reaches_m = np.where(np.isnan(self._reaches_m), radius_m, self._reaches_m)
        cosines: Floats = np.cos(np.minimum(reaches_m / EARTH_RADIUS_M, math.pi))
        return cosines
