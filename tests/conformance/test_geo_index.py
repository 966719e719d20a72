"""What every index of items does, in memory and in Redis."""

import math
from collections.abc import AsyncIterator

import pytest

from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.index.protocol import Found
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.geojsons import box
from tests.servedworlds import seen, served

TENANT, OTHER = 1, 2
HERE = Point(59.91, 10.75)
HERE_PLACE = (HERE.lat, HERE.lon)
NORTH_1_KM = (59.919, 10.75)
NORTH_3_KM = (59.937, 10.75)


class MemoryWorld:
    def __init__(self) -> None:
        self.index = MemoryGeoIndex()

    async def put(self, *items: ServedItem, tenant: int = TENANT) -> None:
        for item in items:
            self.index.put(tenant, item)

    async def remove(self, posting: int, tenant: int = TENANT) -> None:
        self.index.remove(tenant, posting)


class RedisWorld:
    def __init__(self, index: RedisGeoIndex, writer: RedisIndexWriter) -> None:
        self.index = index
        self._writer = writer

    async def put(self, *items: ServedItem, tenant: int = TENANT) -> None:
        position = await self._writer.position(tenant) or 0
        changes = [Change(position + n, item.posting, item) for n, item in enumerate(items, 1)]
        await self._writer.apply(tenant, changes)

    async def remove(self, posting: int, tenant: int = TENANT) -> None:
        position = await self._writer.position(tenant) or 0
        await self._writer.apply(tenant, [Change(position + 1, posting, None)])


World = MemoryWorld | RedisWorld


@pytest.fixture(params=["memory", "redis"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    url = request.getfixturevalue("redis_url")
    connection = RedisConnection(url, command_timeout_s=10.0)
    async with open_client(url) as client:
        yield RedisWorld(RedisGeoIndex(connection), RedisIndexWriter(client))
    await connection.close()


async def near(world: World, center: Point = HERE, radius_m: float = 5000.0, most: int = 100) -> Found:
    return await world.index.near(TENANT, center, radius_m, most)


async def test_an_unknown_tenant_has_nothing_near(world: World) -> None:
    assert await near(world) == Found((), truncated=False)


async def test_items_come_nearest_first_with_their_distance(world: World) -> None:
    await world.put(served(1, NORTH_3_KM), served(2, NORTH_1_KM), served(3, (60.9, 10.75)))
    found = await near(world)
    assert seen(found) == [("item-2", 0), ("item-1", 0)]
    assert [round(hit.distance_m) for hit in found.hits] == [1001, 3003]
    assert found.hits[0].served == served(2, NORTH_1_KM)
    assert not found.truncated


async def test_items_at_one_spot_come_in_the_order_of_their_ids(world: World) -> None:
    ids = {1: "b", 2: "a", 3: "c", 4: "é", 5: "Z"}
    await world.put(*[served(posting, NORTH_1_KM, item_id=name) for posting, name in ids.items()])
    assert [name for name, _ in seen(await near(world))] == ["Z", "a", "b", "c", "é"]


async def test_the_radius_includes_its_edge(world: World) -> None:
    await world.put(served(1, NORTH_1_KM))
    edge_m = (await near(world)).hits[0].distance_m
    assert seen(await near(world, radius_m=edge_m)) == [("item-1", 0)]
    assert not (await near(world, radius_m=math.nextafter(edge_m, 0.0))).hits


async def test_an_item_here_is_found_by_the_smallest_radius(world: World) -> None:
    await world.put(served(1, (HERE.lat, HERE.lon)))
    assert seen(await near(world, radius_m=0.0)) == [("item-1", 0)]


async def test_an_item_of_several_places_comes_once_at_the_nearest(world: World) -> None:
    await world.put(served(1, NORTH_3_KM, (0.0, 0.0), NORTH_1_KM))
    assert seen(await near(world)) == [("item-1", 2)]


async def test_a_reach_takes_the_place_of_the_radius(world: World) -> None:
    far, near_by = (60.045, 10.75), (59.946, 10.75)  # 15.0 and 4.0 km
    await world.put(served(1, far, reach_m=20_000.0), served(2, near_by, reach_m=3_000.0))
    assert seen(await near(world)) == [("item-1", 0)]
    south_21_km = Point(59.855, 10.75)
    assert seen(await near(world, center=south_21_km)) == []


AROUND_HERE = box(10.7, 59.9, 10.8, 59.92)


async def test_an_area_takes_the_place_of_the_radius(world: World) -> None:
    await world.put(served(1, NORTH_3_KM, reach_area=AROUND_HERE), served(2, NORTH_1_KM))
    assert seen(await near(world, radius_m=1.0)) == [("item-1", 0)]
    assert seen(await near(world)) == [("item-2", 0), ("item-1", 0)]
    beyond = Point(*NORTH_3_KM)
    assert seen(await near(world, center=beyond)) == [("item-2", 0)]
    assert seen(await near(world, center=Point(59.92, 10.8), radius_m=1.0)) == [("item-1", 0)]


async def test_an_area_that_is_given_up_or_gone_leaves_nothing(world: World) -> None:
    await world.put(
        served(1, NORTH_3_KM, reach_area=AROUND_HERE), served(2, NORTH_3_KM, reach_area=AROUND_HERE)
    )
    await world.put(served(1, NORTH_3_KM))
    assert seen(await near(world, radius_m=1.0)) == [("item-2", 0)]
    assert seen(await near(world)) == [("item-1", 0), ("item-2", 0)]
    await world.remove(2)
    assert seen(await near(world)) == [("item-1", 0)]


async def test_areas_count_among_the_nearest_like_others(world: World) -> None:
    crowd = [served(n, (59.91 + n * 1e-5, 10.75)) for n in range(1, 80)]
    await world.put(
        *crowd,
        served(100, NORTH_3_KM, reach_area=AROUND_HERE),
        served(101, HERE_PLACE, reach_area=AROUND_HERE),
    )
    found = await near(world, most=3)
    assert seen(found) == [("item-101", 0), ("item-1", 0), ("item-2", 0)]
    assert found.truncated
    assert seen(await near(world, most=100))[-1] == ("item-100", 0)


async def test_an_area_that_cannot_be_read_is_nowhere(world: World) -> None:
    await world.put(served(1, HERE_PLACE, reach_area="{}"))
    assert seen(await near(world)) == []
    await world.remove(1)
    assert seen(await near(world)) == []


@pytest.mark.parametrize("reach_m", [0.5, 1000.0, 1000.5, 64_000.0, 500_000.0])
async def test_a_reach_includes_its_edge(world: World, reach_m: float) -> None:
    degrees = math.degrees(reach_m / 6372797.560856)
    await world.put(served(1, (HERE.lat - degrees * 0.999999, HERE.lon), reach_m=reach_m))
    await world.put(served(2, (HERE.lat - degrees * 1.000001, HERE.lon), reach_m=reach_m))
    assert seen(await near(world, radius_m=1.0)) == [("item-1", 0)]


async def test_of_more_than_asked_the_nearest_stay(world: World) -> None:
    await world.put(*[served(n, (59.91 + n / 10_000, 10.75)) for n in range(1, 41)])
    found = await near(world, most=7)
    assert [hit.served.posting for hit in found.hits] == [1, 2, 3, 4, 5, 6, 7]
    assert found.truncated


async def test_exactly_as_many_as_asked_is_not_truncated(world: World) -> None:
    await world.put(*[served(n, NORTH_1_KM) for n in range(1, 8)])
    found = await near(world, most=7)
    assert (len(found.hits), found.truncated) == (7, False)


async def test_places_of_one_item_do_not_crowd_out_another(world: World) -> None:
    around = [(59.91 + n / 100_000, 10.75) for n in range(16)]
    await world.put(*[served(posting, *around) for posting in range(1, 9)], served(9, NORTH_3_KM))
    found = await near(world, most=9)
    assert [hit.served.posting for hit in found.hits] == [*range(1, 9), 9]
    assert not found.truncated


async def test_items_out_of_their_reach_do_not_crowd_out_those_within(world: World) -> None:
    """A thousand items that reach 600 m are nearer than the one that reaches far enough."""
    ring = [served(n, (59.916 + n / 1e7, 10.75), reach_m=600.0) for n in range(1, 201)]
    await world.put(*ring, served(999, (59.9185, 10.75), reach_m=990.0))
    assert seen(await near(world, most=3)) == [("item-999", 0)]


async def test_a_moved_item_is_found_only_where_it_is(world: World) -> None:
    await world.put(served(1, NORTH_1_KM, NORTH_3_KM))
    await world.put(served(1, (10.0, 10.0)))
    assert not (await near(world)).hits
    assert seen(await near(world, center=Point(10.0, 10.001))) == [("item-1", 0)]


async def test_a_removed_item_is_found_no_more(world: World) -> None:
    await world.put(served(1, NORTH_1_KM), served(2, NORTH_1_KM, reach_m=9000.0))
    await world.remove(1)
    await world.remove(2)
    assert not (await near(world)).hits


async def test_a_tenant_sees_its_own_items_only(world: World) -> None:
    await world.put(served(1, NORTH_1_KM))
    await world.put(served(2, NORTH_1_KM), tenant=OTHER)
    assert seen(await near(world)) == [("item-1", 0)]
    assert seen(await world.index.near(OTHER, HERE, 5000.0, 10)) == [("item-2", 0)]


async def test_the_antimeridian_is_no_border(world: World) -> None:
    await world.put(served(1, (0.0, 179.99)), served(2, (0.0, -179.99)), served(3, (0.0, -180.0)))
    for lon in (-180.0, 179.9999, -179.9999):
        assert {name for name, _ in seen(await near(world, Point(0.0, lon)))} == {
            "item-1",
            "item-2",
            "item-3",
        }


async def test_items_around_a_pole_are_near_each_other(world: World) -> None:
    await world.put(served(1, (89.99, 0.0)), served(2, (89.99, 180.0)), served(3, (-90.0, 0.0)))
    assert seen(await near(world, Point(89.99, -90.0))) == [("item-1", 0), ("item-2", 0)]
    assert seen(await near(world, Point(-89.99, 55.0))) == [("item-3", 0)]


async def test_a_radius_around_the_world_finds_everyone(world: World) -> None:
    places = [(59.9, 10.7), (-59.91, -169.25), (0.0, 0.0), (90.0, 0.0), (-88.0, 20.0)]
    await world.put(*[served(n, place) for n, place in enumerate(places, 1)])
    assert len((await near(world, radius_m=20_100_000.0)).hits) == 5
