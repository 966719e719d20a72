"""What the index does when its Redis is not as it should be."""

from collections.abc import AsyncIterator

import pytest

from nearcast_geo.point import Point
from nearcast_store import redis_keys
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.servedworlds import seen, served

TENANT = 3
HERE = Point(59.91, 10.75)


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    async with open_client(redis_url) as client:
        changes = [Change(n, n, served(n, (59.91 + n / 1000, 10.75))) for n in range(1, 6)]
        await RedisIndexWriter(client).apply(TENANT, changes)
    yield connection
    await connection.close()


async def test_members_without_an_item_are_skipped_and_counted(connection: RedisConnection) -> None:
    orphans: list[int] = []
    index = RedisGeoIndex(connection, note_orphans=orphans.append)
    await connection.execute("HDEL", redis_keys.items(TENANT), 2)
    await connection.execute("HSET", redis_keys.items(TENANT), 4, b"\xc1 no item")
    found = await index.near(TENANT, HERE, 5000.0, 10)
    assert [name for name, _ in seen(found)] == ["item-1", "item-3", "item-5"]
    assert orphans == [2]


async def test_nothing_but_orphans_is_nothing(connection: RedisConnection) -> None:
    await connection.execute("DEL", redis_keys.items(TENANT))
    found = await RedisGeoIndex(connection).near(TENANT, HERE, 5000.0, 0)
    assert (found.hits, found.truncated) == ((), False)


async def test_an_item_that_changed_is_never_answered_from_memory(
    connection: RedisConnection, redis_url: str
) -> None:
    index = RedisGeoIndex(connection, most_unpacked=2)
    await index.near(TENANT, HERE, 5000.0, 10)
    async with open_client(redis_url) as client:
        moved = served(1, (59.95, 10.75))
        await RedisIndexWriter(client).apply(TENANT, [Change(6, 1, moved)])
    found = await index.near(TENANT, HERE, 5000.0, 10)
    assert [hit.served.posting for hit in found.hits] == [2, 3, 4, 5, 1]
    assert found.hits[-1].served == moved


async def test_a_key_of_the_wrong_type_is_the_index_not_answering(connection: RedisConnection) -> None:
    await connection.execute("SET", redis_keys.reach(TENANT, 3), "no geo set")
    with pytest.raises(IndexUnavailableError, match="WRONGTYPE"):
        await RedisGeoIndex(connection).near(TENANT, HERE, 5000.0, 10)


async def test_no_redis_is_the_index_not_answering(tmp_path: object) -> None:
    connection = RedisConnection(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(IndexUnavailableError, match="does not answer"):
        await RedisGeoIndex(connection).near(TENANT, HERE, 5000.0, 10)
    await connection.close()
