"""Any world: every index finds whom brute force finds, and Redis misses somebody around poles only."""

import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import redis
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from nearcast_catalogue.item import Place, ServedItem
from nearcast_geo.distance import EARTH_RADIUS_M, distance_m
from nearcast_geo.geohash import clamp_for_redis, decode, encode
from nearcast_geo.point import Point, normalise
from tests.golden.geo.indexes import INDEXES, Index, Near, open_index
from tests.servedworlds import brute_force, served
from tests.unit.replica.worlds import beside

# Metres in which two ways to the same distance may differ, up to 10,000 km; a haversine of more loses digits.
ROUNDING_M, FAR_ROUNDING_M, FAR_M = 1e-5, 0.5, 1e7

HEARTS = (
    Point(59.91, 10.75),
    Point(0.0, 0.0),
    Point(0.0, -180.0),
    Point(-17.8, 179.9999999),
    Point(84.99, 20.0),
    Point(85.051128, -180.0),
    Point(88.0, 0.0),
    Point(-89.9, 120.0),
    Point(90.0, 0.0),
    Point(-90.0, 0.0),
)


@dataclass(frozen=True, slots=True)
class World:
    """Items around a heart, and a circle."""

    items: tuple[ServedItem, ...]
    center: Point
    radius_m: float


@st.composite
def worlds(draw: st.DrawFn, reaches: bool = True) -> World:
    anywhere = st.builds(normalise, st.floats(-90.0, 90.0), st.floats(-180.0, 180.0))
    heart = draw(st.one_of(st.sampled_from(HEARTS), anywhere))
    spread_m = draw(st.sampled_from([1.0, 500.0, 20_000.0, 400_000.0]))
    metres = st.one_of(st.sampled_from([0.0, spread_m]), st.floats(-spread_m, spread_m))
    near = st.builds(lambda north, east: beside(heart, north, east), metres, metres)
    awkward = st.sampled_from([(heart.lat, 180.0), (90.0, 0.0), (-90.0, 5.0), (85.05112878, heart.lon)])
    places = st.one_of(near, near, near, st.builds(_place, st.one_of(anywhere, awkward.map(_point))))
    reach_m = st.one_of(st.none(), st.none(), st.floats(0.1, 500_000.0) if reaches else st.none())
    drawn = draw(st.lists(st.tuples(st.lists(places, min_size=1, max_size=3), reach_m), max_size=25))
    wide = st.floats(0.0, 2.0 * spread_m)
    radius_m = st.one_of(wide, wide, wide, st.sampled_from([spread_m, 3e6, 20_100_000.0]))
    where = draw(st.one_of(st.just(heart), near.map(_point_of)))
    return World(tuple(_item(number, *each) for number, each in enumerate(drawn, 1)), where, draw(radius_m))


def _item(number: int, places: list[Place], reach_m: float | None) -> ServedItem:
    """Ids are not in the order of postings."""
    name = f"item {number * 37 % 101:03}"
    return served(number, *((at.latitude, at.longitude) for at in places), reach_m=reach_m, item_id=name)


def _point(pair: tuple[float, float]) -> Point:
    return normalise(*pair)


def _place(point: Point) -> Place:
    return Place(point.lat, point.lon)


def _point_of(place: Place) -> Point:
    return Point(place.latitude, place.longitude)


def rounding_m(metres: float) -> float:
    return ROUNDING_M if metres < FAR_M else FAR_ROUNDING_M


def is_on_an_edge(world: World) -> bool:
    """Whether rounding decides who is within."""
    for each in world.items:
        limit_m = world.radius_m if each.item.reach_m is None else each.item.reach_m
        for place in each.item.places:
            away_m = distance_m(world.center, _point_of(place))
            if 0.0 < abs(away_m - limit_m) < rounding_m(away_m):
                return True
    return False


@pytest.fixture(params=INDEXES)
async def index(request: pytest.FixtureRequest) -> AsyncIterator[Index]:
    async with open_index(request.param, lambda: request.getfixturevalue("redis_url")) as index:
        yield index


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(world=worlds())
async def test_an_index_finds_whom_brute_force_finds(index: Index, world: World) -> None:
    assume(not is_on_an_edge(world))
    await index.fill(world.items)
    found = await index.near(world.center, world.radius_m)
    right = {name: away_m for away_m, name, _ in brute_force(world.items, world.center, world.radius_m)}
    assert sorted(each.name for each in found) == sorted(right)
    for each in found:
        assert each.distance_m == pytest.approx(right[each.name], abs=rounding_m(each.distance_m))
    assert [(each.distance_m, each.name) for each in found] == sorted(
        (each.distance_m, each.name) for each in found
    )
    assert_places(world, found)


def assert_places(world: World, found: list[Near]) -> None:
    """Each is told at a place that no other of its places is nearer than."""
    items = {str(each.item.item_id): each.item for each in world.items}
    for each in found:
        at = _point_of(items[each.name].places[each.place])
        assert distance_m(world.center, at) == pytest.approx(each.distance_m, abs=rounding_m(each.distance_m))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, protocol=2, decode_responses=True) as client:
        yield client


def searched(client: redis.Redis, center: Point, radius_m: float) -> list[str]:
    circle = ("FROMLONLAT", center.lon, center.lat, "BYRADIUS", radius_m, "m")
    return client.execute_command("GEOSEARCH", "world", *circle)


AROUND = tuple(served(n, (85.0, 5.0 * n - 180.0)) for n in range(72))
BESIDE_THE_POLE, PAST_THE_POLE_M = Point(85.05, 0.0), 552_000.0


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(world=worlds(reaches=False))
@example(world=World(AROUND, BESIDE_THE_POLE, PAST_THE_POLE_M))
def test_redis_finds_the_same_unless_the_circle_holds_a_pole(client: redis.Redis, world: World) -> None:
    """Of points as they are stored, clamped and in cells; what it finds is never too much."""
    places = [_point_of(place) for each in world.items for place in each.item.places]
    held = [clamp_for_redis(place) for place in places]
    client.delete("world")
    for number, point in enumerate(held):
        client.geoadd("world", [point.lon, point.lat, str(number)])
    center = clamp_for_redis(world.center)
    found = {int(name) for name in searched(client, center, world.radius_m)}
    away_m = [distance_m(center, decode(encode(point.lat, point.lon))) for point in held]
    sure = {number for number, away in enumerate(away_m) if abs(away - world.radius_m) > rounding_m(away)}
    inside = {number for number in sure if away_m[number] < world.radius_m}
    assert found & sure <= inside
    if abs(center.lat) + math.degrees(world.radius_m / EARTH_RADIUS_M) < 90.0:
        assert found & sure == inside


def test_redis_does_miss_somebody_when_the_circle_holds_a_pole(client: redis.Redis) -> None:
    """Were it right one day, we could ask it there."""
    places = [_point_of(each.item.places[0]) for each in AROUND]
    client.geoadd("world", [part for n, at in enumerate(places) for part in (at.lon, at.lat, str(n))])
    found = searched(client, BESIDE_THE_POLE, PAST_THE_POLE_M)
    right = [at for at in places if distance_m(BESIDE_THE_POLE, at) < PAST_THE_POLE_M - 1.0]
    assert 0 < len(found) < len(right) < len(AROUND)
