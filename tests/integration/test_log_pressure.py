"""What a gateway reads of the log: age of the oldest unfinished entry, how full Redis is, entries."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from nearcast_ledger.event import Durability
from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.log.pressure import RedisLogPressure
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.log.source import RedisEventSource
from nearcast_store.redis_client import open_client
from tests.acceptedevents import entry

SHARDS = 2
TENANTS = [1, 2, 3]
HOUR_MS = 3_600_000


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    made = RedisConnection(redis_url)
    yield made
    await made.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with open_client(redis_url) as client:
        yield client


@pytest.fixture
def pressure(connection: RedisConnection) -> RedisLogPressure:
    return RedisLogPressure(connection, SHARDS)


@pytest.fixture
async def log(connection: RedisConnection) -> AsyncIterator[RedisEventLog]:
    made = RedisEventLog(connection, shards=SHARDS, durability=Durability.MEMORY, choose=lambda _: 1)
    made.start()
    yield made
    await made.close()


async def old_entry(redis: Redis, tenant_id: int, hours: int, shard: int = 0) -> None:
    """An entry as if appended so many hours ago."""
    at_ms = int(time.time() * 1000) - hours * HOUR_MS
    await redis.xadd(redis_keys.log(tenant_id, shard), {"e": b"no entry"}, id=f"{at_ms}-0")


async def test_a_log_that_nobody_wrote_to_presses_nothing(pressure: RedisLogPressure) -> None:
    for tenants in ([], TENANTS):
        found = await pressure.read(tenants)
        assert (found.backlog_s, found.entries) == (0.0, 0)
        assert found.memory_share is not None
        assert 0.0 < found.memory_share < 1.0


async def test_the_oldest_unread_entry_of_all_streams_is_found(
    pressure: RedisLogPressure, redis: Redis
) -> None:
    """Also of one that no keeper has ever looked at."""
    for tenant_id, hours, shard in ((1, 2, 0), (2, 5, 1), (3, 3, 0)):
        await old_entry(redis, tenant_id, hours, shard)
    found = await pressure.read(TENANTS)
    assert found.backlog_s == pytest.approx(5 * 3600, abs=60)
    assert found.entries == 3
    assert (await pressure.read([1, 3])).backlog_s == pytest.approx(3 * 3600, abs=60)


async def test_what_was_read_is_finished_only_when_it_is_acknowledged(
    pressure: RedisLogPressure, redis: Redis, log: RedisEventLog
) -> None:
    source = RedisEventSource(redis, "keeper-1", SHARDS)
    await old_entry(redis, 1, 4)
    await log.append(entry(1))
    records = []
    while more := await source.read(TENANTS, 100, 0.01):
        records += more
    assert sorted(record.shard for record in records) == [0, 1]
    assert (await pressure.read(TENANTS)).backlog_s == pytest.approx(4 * 3600, abs=60)
    await source.acknowledge([record for record in records if record.shard == 0])
    recent = await pressure.read(TENANTS)
    assert 0 < recent.backlog_s < 60
    assert recent.entries == 2
    await source.acknowledge(records)
    found = await pressure.read(TENANTS)
    assert (found.backlog_s, found.entries) == (0.0, 2)


async def test_many_streams_are_looked_at_in_turns_and_the_others_remembered(
    connection: RedisConnection, redis: Redis
) -> None:
    pressure, tenants = RedisLogPressure(connection, SHARDS, most_streams=4), list(range(1, 11))
    await old_entry(redis, 10, 7, shard=1)
    found = [await pressure.read(tenants) for _ in range(5)]
    assert [each.entries for each in found] == [0, 0, 0, 0, 1]
    await redis.delete(redis_keys.log(10, 1))
    found = [await pressure.read(tenants) for _ in range(5)]
    assert [each.entries for each in found] == [1, 1, 1, 1, 0]
    assert found[-1].backlog_s == 0.0


async def test_the_share_is_of_the_limit_that_redis_has(pressure: RedisLogPressure, redis: Redis) -> None:
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", str(used * 2))
    try:
        share = (await pressure.read(TENANTS)).memory_share
    finally:
        await redis.config_set("maxmemory", "0")
    assert share == pytest.approx(0.5, abs=0.2)


async def test_a_key_that_is_no_stream_stops_no_look(pressure: RedisLogPressure, redis: Redis) -> None:
    await redis.set(redis_keys.log(1, 0), "not a stream")
    await old_entry(redis, 2, 1)
    found = await pressure.read(TENANTS)
    assert found.backlog_s == pytest.approx(3600, abs=60)


async def test_two_looks_at_once_do_not_disturb_each_other(pressure: RedisLogPressure, redis: Redis) -> None:
    await old_entry(redis, 1, 1)
    found = await asyncio.gather(*(pressure.read(TENANTS) for _ in range(5)))
    assert {each.entries for each in found} == {1}
