import pytest

from nearcast_geo.distance import distance_m
from nearcast_geo.geohash import (
    CLAMPED_LATITUDE,
    EDGE_MARGIN_M,
    LATITUDE_LIMIT,
    clamp_for_redis,
    decode,
    encode,
)
from nearcast_geo.point import Point, normalise

# Longitude, latitude, and the score that Redis gives.
SCORES = [
    (13.361389, 38.115556, 3479099956230698),
    (15.087269, 37.502669, 3479447370796909),
    (2.1909389952632, 41.433791470673, 3471609698139488),
    (2.1873744593677, 41.406342043777, 3471609625421029),
    (-74.0131604, 40.7126674, 1791873972053020),
    (-73.9903085, 40.7362513, 1791875485187452),
    (-73.9733487, 40.7648057, 1791875761332224),
    (-73.9564142, 40.7480973, 1791875796750882),
    (-73.9375699, 40.7498929, 1791875830079666),
    (-73.9454966, 40.747533, 1791875804419201),
    (-73.7858139, 40.6428986, 1791895905559723),
    (0.0, 0.0, 3377699720527872),
    (-0.0, -0.0, 3377699720527872),
]


@pytest.mark.parametrize(("lon", "lat", "score"), SCORES)
def test_encode_gives_the_score_of_redis(lon, lat, score):
    assert encode(lat, lon) == score


POSITIONS = [
    (13.361389, 38.115556, 13.36138933897018433, 38.11555639549629859),
    (15.087269, 37.502669, 15.08726745843887329, 37.50266842333162032),
    (0.0, 0.0, 0.00000268220901489, 0.00000126736058093),
    (2.0, 48.0, 2.00000256299972534, 48.00000065343533606),
]


@pytest.mark.parametrize(("lon", "lat", "stored_lon", "stored_lat"), POSITIONS)
def test_decode_gives_the_position_of_redis(lon, lat, stored_lon, stored_lat):
    point = decode(encode(lat, lon))
    assert point.lon == pytest.approx(stored_lon, abs=1e-14)
    assert point.lat == pytest.approx(stored_lat, abs=1e-14)


LIMITS = [
    (0.0, 180.0),
    (0.0, -180.0),
    (0.0, 179.99999999999997),
    (LATITUDE_LIMIT, 10.0),
    (-LATITUDE_LIMIT, 10.0),
    (90.0, 179.99999999999997),
    (-90.0, -180.0),
]


@pytest.mark.parametrize(("lat", "lon"), LIMITS)
def test_every_valid_point_gets_a_score_that_neighbours_can_find(lat, lon):
    point = normalise(lat, lon)
    score = encode(point.lat, point.lon)
    assert 0 <= score < 1 << 52
    assert distance_m(decode(score), clamp_for_redis(point)) < 0.35


def test_plus_and_minus_180_share_one_cell():
    points = [normalise(12.0, 180.0), normalise(12.0, -180.0)]
    assert len({encode(p.lat, p.lon) for p in points}) == 1


def test_clamp_moves_only_what_redis_cannot_hold():
    assert clamp_for_redis(Point(85.0511, 179.99)) == Point(85.0511, 179.99)
    assert clamp_for_redis(Point(-12.5, -180.0)) == Point(-12.5, -180.0)
    assert clamp_for_redis(Point(90.0, 10.0)) == Point(CLAMPED_LATITUDE, 10.0)
    assert clamp_for_redis(Point(-90.0, 10.0)) == Point(-CLAMPED_LATITUDE, 10.0)
    held = Point(LATITUDE_LIMIT, 179.99999999999997)
    assert 0.0 < distance_m(held, clamp_for_redis(held)) < 0.02 < EDGE_MARGIN_M
