"""What every store of seen items does, in memory and in Redis."""

from collections.abc import AsyncIterator

import pytest

from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.errors import SeenUnavailableError
from nearcast_store.seen.memory import MemorySeenStore
from nearcast_store.seen.protocol import SeenStore, Sightings
from nearcast_store.seen.redis import RedisSeenStore

ANN, BOB = b"ann.....", b"bob....."
KEEP_MS = 3_600_000


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
async def store(url: str | None) -> AsyncIterator[SeenStore]:
    if url is None:
        yield MemorySeenStore()
        return
    connection = RedisConnection(url)
    yield RedisSeenStore(connection)
    await connection.close()


def sightings(
    shown_ms: dict[int, int], *, who: bytes = ANN, tenant_id: int = 1, most: int = 5, since_ms: int = 0
) -> Sightings:
    return Sightings(tenant_id, who, shown_ms, most, since_ms, KEEP_MS)


async def seen(
    store: SeenStore, *who: bytes, tenant_id: int = 1, since_ms: int = 0, most: int = 5
) -> set[int]:
    return set(await store.seen_since(tenant_id, who or (ANN,), since_ms, most))


async def test_what_was_added_was_seen_by_that_person_of_that_tenant(store: SeenStore) -> None:
    await store.add([sightings({1: 10, 2: 20}), sightings({3: 10}, who=BOB), sightings({4: 1}, tenant_id=2)])
    assert await seen(store) == {1, 2}
    assert await seen(store, BOB) == {3}
    assert await seen(store, ANN, tenant_id=2) == {4}
    assert await seen(store, b"nobody..") == set()


async def test_a_person_known_by_two_hashes_is_one(store: SeenStore) -> None:
    await store.add([sightings({1: 10}), sightings({3: 10}, who=BOB)])
    assert await seen(store, ANN, BOB) == {1, 3}


async def test_the_last_ones_are_kept_in_whatever_order_they_come(store: SeenStore) -> None:
    await store.add([sightings({7: 70, 6: 60, 5: 50, 4: 40})])
    await store.add([sightings({1: 10, 2: 20, 3: 30})])
    assert await seen(store) == {7, 6, 5, 4, 3}
    assert await seen(store, most=2) == {7, 6}


async def test_repeats_change_nothing_and_an_older_look_is_no_newer(store: SeenStore) -> None:
    for _ in range(3):
        await store.add([sightings({1: 100, 2: 50})])
        await store.add([sightings({1: 10})])
    assert await seen(store, since_ms=60) == {1}


async def test_what_is_too_old_is_forgotten(store: SeenStore) -> None:
    await store.add([sightings({1: 10, 2: 20, 3: 30}, since_ms=20)])
    assert await seen(store) == {2, 3}
    assert await seen(store, since_ms=30) == {3}


async def test_a_set_that_nobody_adds_to_goes_by_itself(redis_url: str) -> None:
    connection = RedisConnection(redis_url)
    await RedisSeenStore(connection).add([sightings({1: 10})])
    left_ms = await connection.execute("PTTL", redis_keys.seen(1, ANN))
    await connection.close()
    assert KEEP_MS - 60_000 < left_ms <= KEEP_MS


async def test_trouble_with_one_person_is_told_and_spares_the_others(redis_url: str) -> None:
    connection = RedisConnection(redis_url)
    store = RedisSeenStore(connection)
    await connection.execute("SET", redis_keys.seen(1, ANN), "no set")
    with pytest.raises(SeenUnavailableError):
        await store.add([sightings({1: 10}), sightings({3: 10}, who=BOB)])
    assert await seen(store, BOB) == {3}
    with pytest.raises(SeenUnavailableError):
        await seen(store, ANN)
    await connection.close()
    with pytest.raises(SeenUnavailableError):
        await seen(store, BOB)
