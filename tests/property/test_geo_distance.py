"""The sphere behaves like one, and a cell is never far from the point it stands for."""

from hypothesis import given
from hypothesis import strategies as st

from nearcast_geo.distance import HALF_CIRCUMFERENCE_M, distance_m
from nearcast_geo.geohash import EDGE_MARGIN_M, clamp_for_redis, decode, encode
from nearcast_geo.point import Point, normalise

latitudes = st.one_of(
    st.floats(-90.0, 90.0), st.sampled_from([-90.0, -85.05112878, -85.0, 0.0, 85.0, 85.05112878, 90.0])
)
longitudes = st.one_of(st.floats(-180.0, 180.0), st.sampled_from([-180.0, -0.0, 179.9999999, 180.0]))
points = st.builds(normalise, latitudes, longitudes)

# Near its antipode a haversine loses digits: 0.2 m at most.
ROUNDING_M = 0.2


@given(points, points)
def test_distance_is_the_same_both_ways(p, q):
    assert abs(distance_m(p, q) - distance_m(q, p)) <= 1e-6
    assert 0.0 <= distance_m(p, q) <= HALF_CIRCUMFERENCE_M + 1e-6


@given(points)
def test_distance_to_itself_is_nothing(p):
    assert distance_m(p, p) == 0.0


@given(points, points, points)
def test_no_detour_is_shorter(p, q, r):
    assert distance_m(p, r) <= distance_m(p, q) + distance_m(q, r) + ROUNDING_M


@given(points, st.floats(0.0, 1e-3), st.floats(0.0, 1e-3))
def test_no_detour_is_shorter_among_neighbours(p, north, east):
    q = Point(min(p.lat + north, 90.0), p.lon)
    r = Point(q.lat, min(p.lon + east, 180.0))
    assert distance_m(p, r) <= distance_m(p, q) + distance_m(q, r) + 1e-6


@given(points)
def test_both_spellings_of_the_antimeridian_are_one_place(p):
    east, west = distance_m(p, Point(3.0, 180.0)), distance_m(p, Point(3.0, -180.0))
    assert abs(east - west) <= ROUNDING_M


@given(points)
def test_cell_is_within_a_third_of_a_metre_of_the_clamped_point(p):
    moved_m = distance_m(decode(encode(p.lat, p.lon)), clamp_for_redis(p))
    assert moved_m <= 0.35 < EDGE_MARGIN_M


@given(points)
def test_middle_of_a_cell_lies_in_that_cell(p):
    score = encode(p.lat, p.lon)
    middle = decode(score)
    assert encode(middle.lat, middle.lon) == score
