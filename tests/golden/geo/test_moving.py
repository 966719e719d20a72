"""An item that moves while others look for it is seen at its old place or its new one: once, and always."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from nearcast_geo.point import Point
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection
from nearcast_store.index.protocol import Hit
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.servedworlds import served

TENANT = 9
LOOKS = 150

# Two lives of one item, both within 30 km of the centre: each kind of border that is between them.
MOVES = {
    "over a cell": (Point(45.0, 90.0), {"a": (45.0, 89.9999)}, {"a": (45.0, 90.0001)}),
    "over the equator": (Point(0.0, 0.0), {"a": (0.01, -0.01)}, {"a": (-0.01, 0.01)}),
    "over the date line": (Point(10.0, -180.0), {"a": (10.0, 179.99)}, {"a": (10.0, -179.99)}),
    "into the polar cap": (Point(85.0, 20.0), {"a": (84.99, 20.0)}, {"a": (85.01, 20.0)}),
    "over the pole": (Point(90.0, 0.0), {"a": (89.95, 0.0)}, {"a": (89.95, -180.0)}),
    "to a reach of its own": (Point(59.9, 10.7), {"a": (59.9, 10.7)}, {"a": (59.9, 10.7), "reach_m": 900.0}),
    "to a wider reach": (
        Point(59.9, 10.7),
        {"a": (59.9, 10.7), "reach_m": 900.0},
        {"a": (59.91, 10.7), "reach_m": 100_000.0},
    ),
    "to more places": (Point(59.9, 10.7), {"a": (59.9, 10.7)}, {"a": (59.91, 10.7), "b": (59.92, 10.7)}),
}


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url, command_timeout_s=20.0)
    yield connection
    await connection.close()


@pytest.mark.parametrize(("center", "before", "after"), MOVES.values(), ids=MOVES)
async def test_whoever_looks_while_it_moves_sees_it_once(
    redis_url: str, connection: RedisConnection, center: Point, before: dict, after: dict
) -> None:
    lives = [
        served(1, *[place for name, place in life.items() if name != "reach_m"], reach_m=life.get("reach_m"))
        for life in (before, after)
    ]
    index, moves = RedisGeoIndex(connection), 0
    seen: list[Sequence[Hit]] = []
    async with open_client(redis_url) as client:
        writer = RedisIndexWriter(client)
        await writer.apply(TENANT, [Change(1, 1, lives[0])])

        async def move() -> None:
            nonlocal moves
            while len(seen) < LOOKS:
                moves += 1
                await writer.apply(TENANT, [Change(moves + 1, 1, lives[moves % 2])])

        async def look() -> None:
            while len(seen) < LOOKS:
                seen.append((await index.near(TENANT, center, 30_000.0, 10)).hits)

        await asyncio.gather(move(), look())
    assert moves > LOOKS / 10
    assert [len(hits) for hits in seen] == [1] * len(seen)
    assert {hits[0].served.item.places for hits in seen} == {life.item.places for life in lives}
