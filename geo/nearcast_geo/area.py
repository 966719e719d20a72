"""A piece of the earth with straight borders on the map of degrees; its border belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from nearcast_geo.distance import Floats

Shape = Polygon | MultiPolygon
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Polygons that lie within the map, longitude -180 to 180; whoever makes one has checked them.

    The meridian of 180 degrees has two places on the map and a pole has a whole line: a point there is in
    if any of its places is.
    """

    shape: Shape
    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, shape: Shape) -> "Area":
        """The area of a shape, prepared for many questions."""
        shapely.prepare(shape)
        west, south, east, north = shape.bounds
        return cls(shape, west, south, east, north)

    @classmethod
    def from_wkb(cls, raw: bytes) -> "Area":
        """The area that `wkb` wrote."""
        shape = shapely.from_wkb(raw)
        if not isinstance(shape, Polygon | MultiPolygon):
            raise TypeError("these bytes are no polygon")
        return cls.of(shape)

    @property
    def wkb(self) -> bytes:
        """The shape in well-known binary, every coordinate exactly."""
        return shapely.to_wkb(self.shape)

    def covers(self, lat: float, lon: float) -> bool:
        """Whether a normalised point is in it or on its border."""
        if abs(lat) == 90.0:
            return self._has_pole(lat)
        if not self.south <= lat <= self.north:
            return False
        if self.west <= lon <= self.east and shapely.intersects_xy(self.shape, lon, lat):
            return True
        return lon == -180.0 and self.east == 180.0 and bool(shapely.intersects_xy(self.shape, 180.0, lat))

    def covers_each(self, lats: Floats, lons: Floats) -> Flags:
        """The same for many normalised points."""
        inside: Flags = shapely.intersects_xy(self.shape, lons, lats)
        seam = np.flatnonzero(lons == -180.0)
        inside[seam] |= shapely.intersects_xy(self.shape, np.full(len(seam), 180.0), lats[seam])
        for pole in (-90.0, 90.0):
            inside[lats == pole] = self._has_pole(pole)
        return inside

    def _has_pole(self, pole: float) -> bool:
        return self.north == pole if pole > 0 else self.south == pole


def edges_of(areas: Sequence[Area]) -> tuple[Floats, Floats, Floats, Floats]:
    """Every edge of every border: longitudes and latitudes of where they begin, and of where they end."""
    rings = shapely.get_rings(shapely.get_parts([area.shape for area in areas]))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    goes_on = ring[1:] == ring[:-1]
    begin, end = points[:-1][goes_on], points[1:][goes_on]
    return begin[:, 0], begin[:, 1], end[:, 0], end[:, 1]
