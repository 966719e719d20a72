"""Both indexes find items by their own areas as the areas themselves say, anywhere on the earth."""

import math
import random
from collections.abc import AsyncIterator

import pytest

from nearcast_catalogue.item import ServedItem
from nearcast_geo.distance import distance_m
from nearcast_geo.geojson import SMALL_LIMITS, read_area
from nearcast_geo.point import Point
from nearcast_store.connection import RedisConnection
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.geojsons import polygon
from tests.servedworlds import in_batches, random_point, served

TENANT = 7
HEARTS = [
    Point(59.91, 10.75),
    Point(-17.8, 179.99),
    Point(0.0, -180.0),
    Point(88.0, 20.0),
    Point(-89.9, -90.0),
]


def random_area(rng: random.Random, heart: Point) -> str:
    """A ring around a point near the heart; edges may cross the antimeridian, and the ring a pole."""
    middle = random_point(rng, heart, 100_000.0)
    size = 10 ** rng.uniform(-2.0, 1.0)
    stretch = 1.0 / max(math.cos(math.radians(middle.lat)), 0.05)
    angles = [math.tau * (step + rng.uniform(0.0, 0.8)) / 7 for step in range(7)]
    ring = []
    for angle in angles:
        lat = max(-90.0, min(90.0, middle.lat + size * math.sin(angle)))
        lon = (middle.lon + size * stretch * math.cos(angle) + 180.0) % 360.0 - 180.0
        ring.append((lon, lat))
    return polygon(ring)


def world_of(rng: random.Random, heart: Point) -> list[ServedItem]:
    items = []
    for posting in range(1, 200):
        place = random_point(rng, heart, 200_000.0)
        area = "" if rng.random() < 0.4 else random_area(rng, heart)
        try:
            area and read_area(area, SMALL_LIMITS)
        except ValueError:
            area = ""  # a ring that crosses itself at a pole: an item like any other
        items.append(served(posting, (place.lat, place.lon), reach_area=area))
    return items


def expected(items: list[ServedItem], center: Point, radius_m: float) -> set[str]:
    found = set()
    for each in items:
        (place,) = each.item.places
        if each.item.reach_area:
            inside = read_area(each.item.reach_area, SMALL_LIMITS).covers(center.lat, center.lon)
        else:
            inside = distance_m(center, Point(place.latitude, place.longitude)) <= radius_m
        if inside:
            found.add(str(each.item.item_id))
    return found


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url, command_timeout_s=20.0)
    yield connection
    await connection.close()


@pytest.mark.parametrize("heart", HEARTS)
async def test_both_indexes_find_areas_as_they_are(
    redis_url: str, connection: RedisConnection, heart: Point
) -> None:
    rng = random.Random(f"{heart}")
    items, memory, redis = world_of(rng, heart), MemoryGeoIndex(), RedisGeoIndex(connection)
    for each in items:
        memory.put(TENANT, each)
    async with open_client(redis_url) as client:
        await RedisIndexWriter(client).refill(TENANT, 1, in_batches(items))
    by_area = 0
    for _ in range(40):
        center, radius_m = random_point(rng, heart, 200_000.0), 10 ** rng.uniform(3.0, 5.5)
        right = expected(items, center, radius_m)
        for index in (memory, redis):
            found = await index.near(TENANT, center, radius_m, 500)
            assert {hit.served.item.item_id for hit in found.hits} == right
        by_area += sum(bool(items[int(name.removeprefix("item-")) - 1].item.reach_area) for name in right)
    assert by_area > 100
