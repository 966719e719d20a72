"""Both indexes find what brute force finds, anywhere on the earth, and Redis what its own search finds."""

import random
from collections.abc import AsyncIterator

import pytest

from nearcast_catalogue.item import ServedItem
from nearcast_geo.distance import distance_m
from nearcast_geo.point import Point, normalise
from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.index.protocol import Found, GeoIndex
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.servedworlds import brute_force, in_batches, random_crowd, random_point, random_world, served

TENANT = 7
HEARTS = [
    Point(59.91, 10.75),
    Point(0.0, -180.0),
    Point(-17.8, 179.99),
    Point(84.9, 20.0),
    Point(85.051, -180.0),
    Point(88.0, 0.0),
    Point(-89.5, 120.0),
    Point(90.0, 0.0),
]
SPREADS_M = [2_000.0, 30_000.0, 300_000.0]

# The vectorised distance and the plain one agree to a micrometre; whoever is that near the edge may differ.
EDGE_M = 1e-6


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url, command_timeout_s=20.0)
    yield connection
    await connection.close()


@pytest.fixture
async def writer(redis_url: str) -> AsyncIterator[RedisIndexWriter]:
    async with open_client(redis_url) as client:
        yield RedisIndexWriter(client)


def agree(found: Found, expected: list[tuple[float, str, int]], most: int) -> None:
    assert found.truncated is (len(expected) > most)
    assert [hit.distance_m for hit in found.hits] == pytest.approx(
        [distance for distance, _, _ in expected[:most]], abs=EDGE_M
    )
    for hit, (distance, name, place) in zip(found.hits, expected, strict=False):
        if (hit.served.item.item_id, hit.place) != (
            name,
            place,
        ):  # the order may hang on a micrometre
            same = [row for row in expected if abs(row[0] - distance) <= EDGE_M]
            assert hit.served.item.item_id in {row[1] for row in same}


async def ask_at_random(
    index: GeoIndex, rng: random.Random, heart: Point, spread_m: float, world: list[ServedItem]
) -> None:
    for _ in range(12):
        center = random_point(rng, heart, spread_m)
        radius_m, most = spread_m * 10 ** rng.uniform(-1.5, 0.7), rng.choice([1, 7, 40, 1000])
        expected = brute_force(world, center, radius_m)
        agree(await index.near(TENANT, center, radius_m, most), expected, most)


@pytest.mark.parametrize("heart", HEARTS, ids=str)
async def test_redis_finds_what_brute_force_finds(
    connection: RedisConnection, writer: RedisIndexWriter, heart: Point
) -> None:
    index = RedisGeoIndex(connection)
    for seed, spread_m in enumerate(SPREADS_M):
        rng = random.Random(f"{heart}{seed}")
        world = random_world(rng, heart, spread_m, 250)
        await writer.refill(TENANT, 1, in_batches(world))
        await ask_at_random(index, rng, heart, spread_m, world)


@pytest.mark.parametrize("heart", HEARTS, ids=str)
async def test_memory_finds_what_brute_force_finds(heart: Point) -> None:
    for seed, spread_m in enumerate(SPREADS_M):
        rng = random.Random(f"{heart}{seed}")
        world = random_world(rng, heart, spread_m, 250)
        index = MemoryGeoIndex()
        for each in world:
            index.put(TENANT, each)
        await ask_at_random(index, rng, heart, spread_m, world)


@pytest.mark.parametrize("lat", [0.0, 59.91, 84.9999, 85.0001, 87.0, -89.9])
@pytest.mark.parametrize("spread_m", [0.3, 400.0, 20_000.0])
async def test_in_a_crowd_the_nearest_few_are_the_nearest(
    connection: RedisConnection, writer: RedisIndexWriter, lat: float, spread_m: float
) -> None:
    """Redis ranks by cells, and places beyond 85 degrees by where it holds them: its first are not enough."""
    rng = random.Random(f"{lat}{spread_m}")
    world = random_crowd(rng, Point(lat, 30.0), spread_m, 1500)
    await writer.refill(TENANT, 1, in_batches(world))
    index = RedisGeoIndex(connection)
    for _ in range(8):
        spot = rng.choice(world).item.places[0]
        center = Point(spot.latitude, spot.longitude)
        most = rng.choice([1, 5, 30])
        expected = brute_force(world, center, 3.0 * spread_m)
        agree(await index.near(TENANT, center, 3.0 * spread_m, most), expected, most)


async def test_away_from_edges_redis_itself_agrees(
    connection: RedisConnection, writer: RedisIndexWriter
) -> None:
    """Redis measures to the middle of a cell, 0.4 m off: who is that near the edge may differ."""
    rng = random.Random(11)
    heart = Point(40.0, -3.7)
    points = {n: random_point(random.Random(n), heart, 8_000.0) for n in range(1, 1500)}
    inland = {n: point for n, point in points.items() if abs(point.lat) < 80.0 and abs(point.lon) < 170.0}
    world = [served(n, (point.lat, point.lon)) for n, point in inland.items()]
    await writer.refill(TENANT, 1, in_batches(world))
    index = RedisGeoIndex(connection)
    hits = 0
    for _ in range(40):
        center = normalise(heart.lat + rng.gauss(0, 0.1), heart.lon + rng.gauss(0, 0.1))
        radius_m = rng.uniform(500.0, 12_000.0)
        circle = ("FROMLONLAT", center.lon, center.lat, "BYRADIUS", radius_m, "m")
        names = await connection.execute("GEOSEARCH", redis_keys.geo(TENANT), *circle)
        plain = {redis_keys.read_member(name)[0] for name in names}
        found = await index.near(TENANT, center, radius_m, 5000)
        ours = {hit.served.posting for hit in found.hits}
        hits += len(ours)
        assert all(abs(distance_m(center, inland[n]) - radius_m) < 0.5 for n in plain ^ ours)
    assert hits > 4000
