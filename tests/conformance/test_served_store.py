"""What every store of served counts does, in memory and in Postgres."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nearcast_store.postgres import open_pool
from nearcast_store.served.memory import MemoryServedStore
from nearcast_store.served.postgres import PostgresServedStore
from nearcast_store.served.protocol import ServedKey, ServedStore


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def store(dsn: str | None) -> AsyncIterator[ServedStore]:
    if dsn is None:
        yield MemoryServedStore()
        return
    pool = await open_pool(dsn, size=4, timeout_s=10.0)
    yield PostgresServedStore(pool)
    await pool.close()


def key(posting: int, *, tenant_id: int = 1, position: int = 1, bucket: int = 497_222) -> ServedKey:
    return ServedKey(tenant_id, posting, 0, bucket, position, 2, explore=False)


async def test_counts_of_all_places_and_hours_are_added_up(store: ServedStore) -> None:
    await store.add({})
    await store.add({key(1): 2, key(1, position=2): 3, key(2): 4, key(9, tenant_id=2): 7})
    await store.add({key(1): 1, key(1, bucket=497_223): 10})
    assert await store.served_of(1, [1, 2, 3]) == {1: 16, 2: 4}
    assert await store.served_of(2, [1, 9]) == {9: 7}
    assert await store.served_of(1, []) == {}
    by_position = await store.served_at(1, [2, 1, 3])
    assert list(by_position.items()) == [((1, 1), 13), ((1, 2), 3), ((2, 1), 4)]


async def test_gateways_that_write_the_same_items_at_once_lose_nothing(store: ServedStore) -> None:
    postings = range(1, 200)
    forward, backward = ({key(posting): 1 for posting in order} for order in (postings, reversed(postings)))
    await asyncio.gather(*(store.add(counts) for counts in (forward, backward) * 4))
    assert await store.served_of(1, list(postings)) == dict.fromkeys(postings, 8)
