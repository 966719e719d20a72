import math
from itertools import pairwise

import numpy as np
import pytest

from nearcast_geo.distance import EARTH_RADIUS_M, distance_m, distances_m
from nearcast_geo.geohash import decode, encode
from nearcast_geo.point import Point, normalise


def at(lon, lat):
    return normalise(lat, lon)


def stored(lon, lat):
    """Where Redis holds a member, which is where its answers measure to."""
    return decode(encode(lat, lon))


PALERMO, CATANIA = (13.361389, 38.115556), (15.087269, 37.502669)

BETWEEN_MEMBERS = [
    (PALERMO, CATANIA, 166274.1516, 5e-5),
    (PALERMO, PALERMO, 0.0, 5e-5),
    ((2.1909389952632, 41.433791470673), (2.1873744593677, 41.406342043777), 3067.4157, 5e-5),
    ((10, 85.05112878), (10, 85.0511), 3.2422, 0.35),
    ((0, 85.05112878), (180, 85.05112878), 1100889.27, 0.35),
    ((2.35, 48.85), (2.35, 48.8950), 5005.3436, 5e-5),
    ((2.35, 48.85), (2.4184, 48.85), 5006.3563, 5e-5),
    ((0, 0), (0, 0.044957), 5000.2689, 5e-5),
    ((-0.15307903289794921875, 85), (0.3515625, 85.00019260486917), 4891.9380, 5e-5),
]


@pytest.mark.parametrize(("p", "q", "metres", "tolerance_m"), BETWEEN_MEMBERS)
def test_distance_between_two_members_is_what_redis_says(p, q, metres, tolerance_m):
    assert distance_m(stored(*p), stored(*q)) == pytest.approx(metres, abs=tolerance_m)


# Centre, member, metres as Redis answers a search from the exact centre; it prints km to 0.1 m.
FROM_A_CENTRE = [
    ((-73.9798091, 40.7598464), (-73.9733487, 40.7648057), 775.0, 0.051),
    ((-73.9798091, 40.7598464), (-73.9903085, 40.7362513), 2769.7, 0.051),
    ((-73.9798091, 40.7598464), (-73.9564142, 40.7480973), 2365.1, 0.051),
    ((-73.9798091, 40.7598464), (-73.9454966, 40.747533), 3199.1, 0.051),
    ((-73.9798091, 40.7598464), (-73.7858139, 40.6428986), 20899.5, 0.051),
    ((2.191, 41.433), (2.1909389952632, 41.433791470673), 88.050606984093008, 1e-8),
    ((0, 0), (0.5, 0.5), 78648.3, 0.051),
    ((15, 37), CATANIA, 56441.3, 0.051),
    ((15, 37), PALERMO, 190442.4, 0.051),
    ((15, 37), (17.241510, 38.788135), 279740.3, 0.051),
    ((15, 37), (12.758489, 38.788135), 279740.5, 0.051),
    ((179, 37), (179.5, 36), 119873.7, 0.051),
    ((179, 37), (-179.5, 36), 174231.3, 0.051),
    ((-179, 37), (-179.5, 36), 119873.7, 0.051),
    ((-179, 37), (179.5, 36), 174231.3, 0.051),
    ((-180, 0), (179.99, 0), 1112.5, 0.4),
    ((180, 0), (-179.99, 0), 1112.5, 0.4),
    ((2, 48), (2, 48), 0.2041, 5e-5),
    ((0, 0), (0.0449, 0), 4993.8, 0.4),
    ((0, 0), (0.044915, 0), 4995.6, 0.4),
    ((2.35, 48.85), (2.35, 48.8949), 4994.0, 0.4),
    ((2.35, 48.85), (2.4182, 48.85), 4991.7, 0.4),
    ((-4.952118, 85), (11.25, 85.0511), 155848.3353, 0.4),
    ((-45, 65.509), (90, 85.0511), 3136004.8437, 0.4),
    ((0, 0), (-47.271613776683807, -54.534504198047678), 7431677.4, 0.051),
    ((-122.407107, 37.7943), (-122.227336, 37.7943), 9.8182 * 1609.34, 0.2),
]


@pytest.mark.parametrize(("centre", "member", "metres", "tolerance_m"), FROM_A_CENTRE)
def test_distance_from_a_centre_is_what_redis_says(centre, member, metres, tolerance_m):
    assert distance_m(at(*centre), stored(*member)) == pytest.approx(metres, abs=tolerance_m)


EXACT = [
    ((1.25, 4.5), (1.23, 4.55), 5987.15, 0.4),
    ((1.25, 4.5), (1.24, 4.56), 6765.06, 0.4),
    ((1.25, 4.5), (1.22, 4.56), 7456.63, 0.4),
    ((1.25, 4.5), (1.23, 4.57), 8095.49, 0.4),
    ((1.25, 4.5), (1.26, 4.5), 1108.83, 0.4),
    ((-115.02, 33.02), (-115.01, 33.01), 1451.55, 0.005),
    ((179.9, 0), (-179.9, 0), 22245, 0.5),
    ((180, 0), (179.9999, 0), 11.12, 0.01),
]


@pytest.mark.parametrize(("p", "q", "metres", "tolerance_m"), EXACT)
def test_distance_between_exact_points(p, q, metres, tolerance_m):
    assert distance_m(at(*p), at(*q)) == pytest.approx(metres, abs=tolerance_m)


# Members, centre, radius in metres, and who is inside from near to far.
NEW_YORK = {
    "wtc one": (-74.0131604, 40.7126674),
    "union square": (-73.9903085, 40.7362513),
    "central park n/q/r": (-73.9733487, 40.7648057),
    "4545": (-73.9564142, 40.7480973),
    "q4": (-73.9375699, 40.7498929),
    "lic market": (-73.9454966, 40.747533),
    "jfk": (-73.7858139, 40.6428986),
}
ACROSS = {"west": (179.99, 0), "east": (-179.99, 0)}
SICILY = {
    "Palermo": PALERMO,
    "Catania": CATANIA,
    "edge1": (12.758489, 38.788135),
    "edge2": (17.241510, 38.788135),
}
PARIS = {"n-in": (2.35, 48.8949), "n-out": (2.35, 48.8950), "e-in": (2.4182, 48.85), "e-out": (2.4184, 48.85)}
ORIGIN = {"e-in": (0.0449, 0), "e-edge": (0.044915, 0), "n-out": (0, 0.044957)}
NEAR_POLE = {"a": (0, 85.05112878), "b": (90, 85.05112878), "c": (180, 85.05112878), "d": (-90, 85.05112878)}
WORLDS = [
    (NEW_YORK, (-73.9798091, 40.7598464), 3000, ["central park n/q/r", "4545", "union square"]),
    (
        NEW_YORK,
        (-73.9798091, 40.7598464),
        30000,
        ["central park n/q/r", "4545", "union square", "lic market", "q4", "wtc one", "jfk"],
    ),
    (SICILY, (15, 37), 200000, ["Catania", "Palermo"]),
    (SICILY, (15, 37), 300000, ["Catania", "Palermo", "edge2", "edge1"]),
    (PARIS, (2.35, 48.85), 5000, ["e-in", "n-in"]),
    (ORIGIN, (0, 0), 5000, ["e-in", "e-edge"]),
    (ACROSS, (-180, 0), 5000, ["east", "west"]),
    (ACROSS, (180, 0), 5000, ["east", "west"]),
    ({"line": (180, 0)}, (179.9999, 0), 1000, ["line"]),
    ({"edge": (10, 85.05112878)}, (10, 85.0511), 10, ["edge"]),
    (NEAR_POLE, (0, 85.05112878), 1101000, ["a", "b", "d", "c"]),
    ({"place": (2, 48)}, (2, 48), 1, ["place"]),
    ({"place": (2, 48)}, (2, 48), 0.2, []),
]


@pytest.mark.parametrize(("members", "centre", "radius_m", "inside"), WORLDS)
def test_circle_holds_whom_it_should(members, centre, radius_m, inside):
    metres = {name: distance_m(at(*centre), stored(*place)) for name, place in members.items()}
    found = sorted(name for name in members if metres[name] <= radius_m)
    assert found == sorted(inside)
    assert all(metres[p] <= metres[q] + 0.4 for p, q in pairwise(inside))


def test_limit_itself_is_inside():
    p, q = at(2.35, 48.85), at(2.35, 48.90)
    limit_m = distance_m(p, q)
    assert limit_m <= distance_m(q, p)
    assert distance_m(p, at(2.35, 48.9000001)) > limit_m


def test_distance_to_the_antipode_is_half_the_way_round():
    assert distance_m(Point(0.0, 0.0), Point(0.0, -180.0)) == pytest.approx(math.pi * EARTH_RADIUS_M, abs=0.1)
    assert distance_m(Point(90.0, 17.0), Point(-90.0, -3.0)) == pytest.approx(
        math.pi * EARTH_RADIUS_M, abs=0.1
    )


def test_order_holds_at_twenty_centimetres():
    centre = at(15, 37)
    nearer, farther = stored(17.241510, 38.788135), stored(12.758489, 38.788135)
    assert 0.1 < distance_m(centre, farther) - distance_m(centre, nearer) < 0.3


def test_many_distances_equal_single_ones():
    rng = np.random.default_rng(7)
    lats, lons = rng.uniform(-90, 90, 2000), rng.uniform(-180, 180, 2000)
    lats[:3], lons[:3] = [48.0, 48.0, -48.0], [2.0, 2.00001, -178.0]
    many = distances_m(48.0, 2.0, lats, lons)
    single = [distance_m(Point(48.0, 2.0), Point(lat, lon)) for lat, lon in zip(lats, lons, strict=True)]
    near = np.asarray(single) < 1e7
    np.testing.assert_allclose(many[near], np.asarray(single)[near], rtol=0, atol=1e-6)
    np.testing.assert_allclose(many, single, rtol=0, atol=0.5)
    assert many[0] == 0.0


def test_many_distances_of_none_is_none():
    assert distances_m(1.0, 2.0, np.empty(0), np.empty(0)).shape == (0,)
