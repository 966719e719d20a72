"""Distance and cover of one place, as machine code; the formulas are those of `distance`."""

import math

from nearcast_compiling.native import compiled
from nearcast_geo.distance import EARTH_RADIUS_M

_RADIANS = math.pi / 180.0

# Of a longitude kept in 32 bits, in degrees.
LONGITUDE_ROUNDING = 2e-5


@compiled
def exact_distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Great-circle metres between two places in degrees."""
    phi1, phi2 = lat1 * _RADIANS, lat2 * _RADIANS
    v = math.sin((lon2 * _RADIANS - lon1 * _RADIANS) / 2.0)
    if v == 0.0:
        return EARTH_RADIUS_M * abs(phi2 - phi1)
    u = math.sin((phi2 - phi1) / 2.0)
    a = u * u + math.cos(phi1) * math.cos(phi2) * v * v
    return 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(min(a, 1.0)))


@compiled
def window_degrees(lat: float, arc_m: float, south: float, north: float) -> float:
    """How far east or west of the centre a circle can reach between two latitudes; 180 and more: all around.

    Below zero where it does not reach these latitudes at all.
    """
    half = arc_m / (2.0 * EARTH_RADIUS_M)
    if half >= math.pi / 2.0:
        return 360.0
    away = max(south - lat, lat - north, 0.0) * _RADIANS / 2.0
    if away > half:
        return -1.0
    reach = math.sin(half)
    gap = math.sin(away)
    thin = math.cos(lat * _RADIANS) * math.cos(max(abs(south), abs(north)) * _RADIANS)
    share = reach * reach - gap * gap
    if share >= thin * 0.999_999:
        return 360.0
    return 2.0 * math.asin(math.sqrt(max(share, 0.0) / thin)) / _RADIANS + LONGITUDE_ROUNDING
