"""Metres between points, on the very sphere that Redis uses, so that both agree on who is inside."""

import math

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.point import Point

EARTH_RADIUS_M = 6372797.560856
HALF_CIRCUMFERENCE_M = math.pi * EARTH_RADIUS_M

Floats = NDArray[np.float64]


def distance_m(p: Point, q: Point) -> float:
    """Return the great-circle distance; a limit compared with it includes its edge (<=)."""
    lat1, lat2 = math.radians(p.lat), math.radians(q.lat)
    v = math.sin((math.radians(q.lon) - math.radians(p.lon)) / 2.0)
    if v == 0.0:
        return EARTH_RADIUS_M * abs(lat2 - lat1)
    u = math.sin((lat2 - lat1) / 2.0)
    a = u * u + math.cos(lat1) * math.cos(lat2) * v * v
    return 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(a, 1.0)))


def distances_m(lat: float, lon: float, lats: Floats, lons: Floats) -> Floats:
    """Return the distances from one point to many, each within 1e-6 m of `distance_m` up to 10,000 km."""
    lat1, lats2 = math.radians(lat), np.radians(lats)
    u = np.sin((lats2 - lat1) / 2.0)
    v = np.sin((np.radians(lons) - math.radians(lon)) / 2.0)
    a = u * u + math.cos(lat1) * np.cos(lats2) * v * v
    distances: Floats = 2.0 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(a, 1.0)))
    return distances
