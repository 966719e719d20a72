"""No search plan ever misses a point of its circle, at the poles and the antimeridian too."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast_geo.circle import is_polar, search_plan
from nearcast_geo.distance import EARTH_RADIUS_M, distance_m, distances_m
from nearcast_geo.geohash import decode, encode
from nearcast_geo.point import Point, normalise
from nearcast_geo.reach import MAX_REACH_M, bucket_radius_m, reach_bucket

centre_latitudes = st.one_of(
    st.floats(-90.0, 90.0),
    st.floats(80.0, 90.0),
    st.floats(-90.0, -80.0),
    st.sampled_from([-90.0, -85.0, 0.0, 84.9999999, 85.0, 85.0000001, 85.05112878, 90.0]),
)
centre_longitudes = st.one_of(st.floats(-180.0, 180.0), st.sampled_from([-180.0, 179.9999999, 180.0]))
centres = st.builds(normalise, centre_latitudes, centre_longitudes)
radii = st.one_of(
    st.floats(1.0, 500_000.0), st.floats(0.0, 20_000_000.0), st.sampled_from([5000.0, 100_000.0, 500_000.0])
)
bearings = st.floats(0.0, 2.0 * math.pi)
shares = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.999999, 1.0]))


def walk(start: Point, bearing: float, metres: float) -> Point:
    """Where one ends who leaves in a direction and goes straight on."""
    arc, lat = metres / EARTH_RADIUS_M, math.radians(start.lat)
    rise = math.sin(lat) * math.cos(arc) + math.cos(lat) * math.sin(arc) * math.cos(bearing)
    turn = math.atan2(math.sin(bearing) * math.sin(arc) * math.cos(lat), math.cos(arc) - math.sin(lat) * rise)
    lon = (start.lon + math.degrees(turn) + 180.0) % 360.0 - 180.0
    return normalise(math.degrees(math.asin(max(-1.0, min(1.0, rise)))), lon)


def is_found(plan, item: Point) -> bool:
    stored = decode(encode(item.lat, item.lon))
    in_redis = plan.needs_redis and distance_m(plan.redis_center, stored) <= plan.redis_radius_m
    return in_redis or (plan.needs_polar and is_polar(item))


@given(centres, radii, bearings, shares)
def test_whoever_is_inside_is_found(centre, radius_m, bearing, share):
    item = walk(centre, bearing, radius_m * share)
    if distance_m(centre, item) <= radius_m:
        assert is_found(search_plan(centre, radius_m), item)


@given(centres, st.floats(1.0, MAX_REACH_M), bearings, shares)
def test_whoever_reaches_the_centre_is_found_by_the_search_of_its_bucket(centre, reach_m, bearing, share):
    item = walk(centre, bearing, reach_m * share)
    if distance_m(centre, item) > reach_m:
        return
    plan = search_plan(centre, bucket_radius_m(reach_bucket(reach_m)))
    stored = decode(encode(item.lat, item.lon))
    in_redis = plan.needs_redis and distance_m(plan.redis_center, stored) <= plan.redis_radius_m
    assert in_redis or (plan.needs_polar and is_polar(item, reach_m))


@given(centres, st.floats(1.0, 500_000.0))
def test_redis_is_never_asked_for_a_circle_that_holds_a_pole(centre, radius_m):
    plan = search_plan(centre, radius_m)
    pole = Point(math.copysign(90.0, centre.lat), 0.0)
    assert distance_m(plan.redis_center, pole) > plan.redis_radius_m


@pytest.mark.parametrize("seed", range(12))
def test_plan_finds_a_random_world_as_brute_force_does(seed):
    """Each world is crowded where its centre is: anywhere, at a pole, or on the antimeridian."""
    rng = np.random.default_rng(seed)
    heart = [rng.uniform(-90, 90), 90.0, -90.0, 85.0][seed % 4]
    lats = np.clip(heart + rng.normal(0, 4, 20_000), -90, 90)
    lons = (180.0 + rng.normal(0, 40, 20_000) + 180.0) % 360.0 - 180.0
    stored = [decode(encode(lat, lon)) for lat, lon in zip(lats, lons, strict=True)]
    stored_lats, stored_lons = np.array([(point.lat, point.lon) for point in stored]).T
    for _ in range(40):
        centre = normalise(float(np.clip(heart + rng.normal(0, 3), -90, 90)), float(rng.uniform(170, 180)))
        radius_m = float(10 ** rng.uniform(3, math.log10(500_000)))
        plan = search_plan(centre, radius_m)
        inside = distances_m(centre.lat, centre.lon, lats, lons) <= radius_m
        asked = plan.redis_center
        in_redis = distances_m(asked.lat, asked.lon, stored_lats, stored_lons) <= plan.redis_radius_m
        found = (in_redis & plan.needs_redis) | ((np.abs(lats) > 85.0) & plan.needs_polar)
        assert not np.any(inside & ~found)
