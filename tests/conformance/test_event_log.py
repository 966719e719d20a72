"""What every event log does between a gateway and a keeper, in memory and in Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from nearcast_ledger.event import Durability
from nearcast_store.connection import RedisConnection
from nearcast_store.log.memory import MemoryEventLog
from nearcast_store.log.protocol import EventLog, EventSource, Record
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.log.source import RedisEventSource
from nearcast_store.log.suspicion import ALONE_AFTER
from nearcast_store.redis_client import open_client
from tests.acceptedevents import entry

TENANTS = [1, 2]
SHARDS = 3
SOON_S = 5.0


@dataclass(slots=True)
class Ends:
    log: EventLog
    source: EventSource


@pytest.fixture(params=["memory", "redis"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    if request.param == "memory":
        memory = MemoryEventLog(asyncio.get_running_loop().time)
        yield Ends(memory, memory)
        return
    url = request.getfixturevalue("redis_url")
    connection = RedisConnection(url)
    turn = iter(range(10_000))
    log = RedisEventLog(
        connection, shards=SHARDS, durability=Durability.EVERYSEC, choose=lambda shards: next(turn) % shards
    )
    log.start()
    async with open_client(url) as client:
        yield Ends(log, RedisEventSource(client, "keeper-1", SHARDS))
    await log.close()
    await connection.close()


def marks(records: Sequence[Record]) -> set[str]:
    return {record.entry.gateway_id for record in records if record.entry is not None}


async def read_all(source: EventSource, tenant_ids: Sequence[int] = TENANTS) -> list[Record]:
    """Read until nothing more comes."""
    records: list[Record] = []
    while more := await source.read(tenant_ids, 100, 0.01):
        records += more
    return records


async def test_what_is_appended_is_read_once_and_whole(ends: Ends) -> None:
    written = [entry(mark=str(n), events=n) for n in range(1, 8)]
    for each in written:
        assert await ends.log.append(each) in {Durability.MEMORY, Durability.EVERYSEC}
    records = await read_all(ends.source)
    read = {record.entry.gateway_id: record.entry for record in records if record.entry is not None}
    assert read == {each.gateway_id: each for each in written}
    assert len(records) == len(written)
    assert {record.tenant_id for record in records} == {1}
    assert all(record.deliveries == 1 and record.fault == "" for record in records)


async def test_many_appends_at_once_all_arrive(ends: Ends) -> None:
    await asyncio.gather(*[ends.log.append(entry(mark=str(n))) for n in range(700)])
    assert marks(await read_all(ends.source)) == {str(n) for n in range(700)}


async def test_a_reader_that_waits_hears_of_the_first_entry(ends: Ends) -> None:
    waiting = asyncio.create_task(ends.source.read(TENANTS, 10, SOON_S))
    await asyncio.sleep(0)
    await ends.log.append(entry(mark="first"))
    async with asyncio.timeout(SOON_S):
        assert marks(await waiting) == {"first"}


async def test_nothing_new_is_nothing(ends: Ends) -> None:
    assert await ends.source.read(TENANTS, 10, 0.01) == []
    assert await ends.source.claim(TENANTS, 10, 0.0) == []
    await ends.source.acknowledge([])


async def test_no_more_comes_than_was_asked_for(ends: Ends) -> None:
    for n in range(50):
        await ends.log.append(entry(mark=str(n)))
    first = await ends.source.read(TENANTS, 20, SOON_S)
    assert 10 <= len(first) <= 20
    assert len(marks(first) | marks(await read_all(ends.source))) == 50


async def test_a_tenant_that_is_not_asked_for_waits(ends: Ends) -> None:
    await ends.log.append(entry(1, "one"))
    await ends.log.append(entry(2, "two"))
    assert marks(await read_all(ends.source, [2])) == {"two"}
    assert marks(await read_all(ends.source, [1])) == {"one"}
    assert await ends.source.claim([], 10, 0.0) == []


async def test_what_is_not_acknowledged_is_handed_out_again(ends: Ends) -> None:
    for n in range(6):
        await ends.log.append(entry(mark=str(n)))
    records = await read_all(ends.source)
    await ends.source.acknowledge([record for record in records if marks([record]) <= {"1", "4"}])
    left = {"0", "2", "3", "5"}
    claimed = await ends.source.claim(TENANTS, 100, 0.0)
    assert marks(claimed) == left
    assert {record.deliveries for record in claimed} == {2}
    again = await ends.source.claim(TENANTS, 100, 0.0)
    assert {record.deliveries for record in again} == {3}
    await ends.source.acknowledge(again)
    assert await ends.source.claim(TENANTS, 100, 0.0) == []
    assert await read_all(ends.source) == []


async def test_what_was_handed_out_very_often_comes_alone_and_after_the_others(ends: Ends) -> None:
    for n in range(3):
        await ends.log.append(entry(mark=str(n)))
    await read_all(ends.source)
    for deliveries in range(2, ALONE_AFTER + 1):
        claimed = await ends.source.claim(TENANTS, 100, 0.0)
        assert [record.deliveries for record in claimed] == [deliveries] * 3
    await ends.log.append(entry(mark="new"))
    await read_all(ends.source)
    trusted = await ends.source.claim(TENANTS, 100, 0.0)
    assert marks(trusted) == {"new"}
    await ends.source.acknowledge(trusted)
    alone = [await ends.source.claim(TENANTS, 100, 0.0) for _ in range(3)]
    assert [[record.deliveries for record in claimed] for claimed in alone] == [[ALONE_AFTER + 1]] * 3
    assert set().union(*map(marks, alone)) == {"0", "1", "2"}
    await ends.source.acknowledge([*alone[0], *alone[2]])
    for deliveries in (2, 3):
        (last,) = await ends.source.claim(TENANTS, 100, 0.0)
        assert marks([last]) == marks(alone[1])
        assert last.deliveries == ALONE_AFTER + deliveries


async def test_what_was_just_read_is_not_idle(ends: Ends) -> None:
    await ends.source.claim(TENANTS, 10, 60.0)
    await ends.log.append(entry())
    assert len(await read_all(ends.source)) == 1
    assert await ends.source.claim(TENANTS, 10, 60.0) == []


async def test_acknowledging_twice_does_no_harm(ends: Ends) -> None:
    await ends.log.append(entry())
    records = await read_all(ends.source)
    await ends.source.acknowledge(records)
    await ends.source.acknowledge(records)
    assert await ends.source.claim(TENANTS, 10, 0.0) == []
