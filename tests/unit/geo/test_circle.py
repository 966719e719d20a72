import math

import pytest

from nearcast_geo.circle import is_polar, search_plan
from nearcast_geo.distance import EARTH_RADIUS_M, HALF_CIRCUMFERENCE_M, distance_m
from nearcast_geo.geohash import EDGE_MARGIN_M, decode, encode
from nearcast_geo.point import Point

KM = 1000.0
DEGREE_M = math.radians(1.0) * EARTH_RADIUS_M


def test_plan_in_the_open_is_the_circle_and_a_margin():
    plan = search_plan(Point(59.91, 10.75), 5 * KM)
    assert plan.redis_center == Point(59.91, 10.75)
    assert plan.redis_radius_m == 5 * KM + EDGE_MARGIN_M
    assert plan.needs_redis
    assert not plan.needs_polar


@pytest.mark.parametrize(
    ("lat", "radius_m", "needs_redis", "needs_polar"),
    [
        (84.9, 5 * KM, True, False),
        (84.9, 12 * KM, True, True),
        (-84.9, 12 * KM, True, True),
        (85.0, 1.0, True, True),
        (85.1, 5 * KM, False, True),
        (85.1, 12 * KM, True, True),
        (-85.1, 12 * KM, True, True),
        (90.0, 500 * KM, False, True),
        (90.0, 557 * KM, True, True),
        (0.0, 100 * KM, True, False),
    ],
)
def test_plan_asks_the_polar_set_and_redis_only_where_their_items_are(
    lat, radius_m, needs_redis, needs_polar
):
    plan = search_plan(Point(lat, 33.0), radius_m)
    assert (plan.needs_redis, plan.needs_polar) == (needs_redis, needs_polar)


@pytest.mark.parametrize("lat", [84.99, 85.0, 85.01, 87.0, 88.5, -86.0, -88.0, 89.9])
@pytest.mark.parametrize("radius_m", [1.0, 5 * KM, 100 * KM, 300 * KM, 400 * KM, 500 * KM])
def test_redis_is_never_asked_for_a_circle_that_holds_a_pole(lat, radius_m):
    plan = search_plan(Point(lat, -40.0), radius_m)
    pole = Point(math.copysign(90.0, lat), 0.0)
    assert distance_m(plan.redis_center, pole) > plan.redis_radius_m


@pytest.mark.parametrize(("lat", "radius_m"), [(60.0, 4000 * KM), (88.0, 2000 * KM), (85.0, 600 * KM)])
def test_a_greater_circle_with_a_pole_inside_asks_for_the_whole_world(lat, radius_m):
    assert search_plan(Point(lat, 20.0), radius_m).redis_radius_m > HALF_CIRCUMFERENCE_M


def test_plan_from_the_polar_cap_reaches_every_item_below_it():
    """480 km around 88 degrees cut the edge of the cap 59 degrees to each side."""
    plan = search_plan(Point(88.0, 10.0), 480 * KM)
    for bearing in range(-58, 59):
        member = decode(encode(85.0, 10.0 + bearing))
        assert distance_m(Point(88.0, 10.0), member) <= 480 * KM
        assert distance_m(plan.redis_center, member) <= plan.redis_radius_m


def test_widening_the_circle_never_shrinks_the_plan():
    radii = [100 * KM, 200 * KM, 330 * KM, 400 * KM, 500 * KM, 2000 * KM, 20000 * KM]
    asked = [search_plan(Point(87.5, 0.0), radius_m).redis_radius_m for radius_m in radii]
    assert asked == sorted(asked)


@pytest.mark.parametrize(
    ("lat", "reach_m", "polar"),
    [
        (85.0, None, False),
        (85.0001, None, True),
        (-85.0001, None, True),
        (-90.0, None, True),
        (84.0, 100 * KM, False),
        (84.0, 112 * KM, True),
        (-84.0, 112 * KM, True),
        (80.6, 500 * KM, True),
        (80.4, 500 * KM, False),
        (86.0, 1.0, True),
    ],
)
def test_items_beyond_85_degrees_or_reaching_beyond_are_polar(lat, reach_m, polar):
    assert is_polar(Point(lat, 10.0), reach_m) is polar
