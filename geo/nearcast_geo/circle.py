"""What the circle of a query needs: the searches that together miss nobody inside."""

import math
from dataclasses import dataclass

from nearcast_geo.distance import EARTH_RADIUS_M, HALF_CIRCUMFERENCE_M, distance_m
from nearcast_geo.geohash import EDGE_MARGIN_M, clamp_for_redis
from nearcast_geo.point import Point

POLAR_LATITUDE = 85.0

# Redis loses members when a circle holds a pole (Valkey 9.1: a quarter at 552 km around 85.05 degrees).
# For a centre in the polar cap it is asked from outside instead; from here a query of up to 505 km never
# needs a circle that touches the pole.
_STAND_IN_LATITUDE = 84.0


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Where to look; what is found is a superset with repeats, to be measured again by the exact distance.

    Redis is searched unless the circle lies in a polar cap altogether; the polar set if it touches a cap.
    """

    redis_center: Point
    redis_radius_m: float
    needs_redis: bool
    needs_polar: bool


def search_plan(center: Point, radius_m: float) -> SearchPlan:
    """Return where to look; beyond 505 km, a circle that holds a pole asks Redis for the whole world."""
    wide_m = radius_m + EDGE_MARGIN_M
    needs_polar = is_polar(center, radius_m)
    if abs(center.lat) - _arc_degrees(wide_m) > POLAR_LATITUDE:
        return SearchPlan(clamp_for_redis(center), EDGE_MARGIN_M, needs_redis=False, needs_polar=needs_polar)
    asked, asked_m = clamp_for_redis(center), wide_m
    if abs(center.lat) > POLAR_LATITUDE:
        asked = Point(math.copysign(_STAND_IN_LATITUDE, center.lat), asked.lon)
        asked_m = _radius_from_outside_m(center, asked, wide_m) + EDGE_MARGIN_M
    if abs(asked.lat) + _arc_degrees(asked_m) >= 90.0:
        asked_m = HALF_CIRCUMFERENCE_M + EDGE_MARGIN_M
    return SearchPlan(asked, asked_m, needs_redis=True, needs_polar=needs_polar)


def is_polar(point: Point, reach_m: float | None = None) -> bool:
    """Return whether the point or its circle goes beyond 85 degrees; such items are in the polar set."""
    if reach_m is None:
        return abs(point.lat) > POLAR_LATITUDE
    return abs(point.lat) + _arc_degrees(reach_m + EDGE_MARGIN_M) > POLAR_LATITUDE


def _radius_from_outside_m(center: Point, asked: Point, radius_m: float) -> float:
    """Return how far what a polar circle holds outside the cap is from `asked`, on the same meridian.

    The farthest points are the two where the circle cuts the edge of the cap.
    """
    to_center = math.radians(90.0 - abs(center.lat))
    to_edge = math.radians(90.0 - POLAR_LATITUDE)
    side = _haversine(radius_m / EARTH_RADIUS_M) - _haversine(to_edge - to_center)
    scale = math.sin(to_center) * math.sin(to_edge)
    if side >= scale:
        return HALF_CIRCUMFERENCE_M
    angle = 2.0 * math.asin(math.sqrt(max(side, 0.0) / scale))
    cut = Point(math.copysign(POLAR_LATITUDE, center.lat), asked.lon + math.degrees(angle))
    return distance_m(asked, cut)


def _haversine(angle: float) -> float:
    return math.sin(angle / 2.0) ** 2


def _arc_degrees(distance: float) -> float:
    return math.degrees(distance / EARTH_RADIUS_M)
