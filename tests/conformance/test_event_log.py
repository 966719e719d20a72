"""What every event log does between a gateway and a keeper: in memory and in Redis, which keep what is
acknowledged, and in shards whose positions the fold's own transaction keeps, in memory and in Postgres.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
from prometheus_client import CollectorRegistry

from nearcast_ledger.event import Durability
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_statskeeper import consumer
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.folding import plan
from nearcast_statskeeper.roster import Roster
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.positions import PostgresPositions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch, CountStore, FoldResult, Positions
from nearcast_store.errors import PositionsLostError
from nearcast_store.log.memory import MemoryEventLog
from nearcast_store.log.protocol import EventLog, EventSource, Record
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.log.sharded import ShardedMemoryLog, ShardReader
from nearcast_store.log.source import RedisEventSource
from nearcast_store.log.suspicion import ALONE_AFTER
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.postgres import open_pool
from nearcast_store.redis_client import open_client
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics
from tests.acceptedevents import entry
from tests.unit.statskeeper import entries
from tests.unit.statskeeper.entries import every_kind_rewards, impression, view

TENANTS = [1, 2]
SHARDS = 3
SOON_S = 5.0


@dataclass(slots=True)
class Ends:
    log: EventLog
    reader: Callable[[str], EventSource]
    """A new reader of that name, as after a start."""
    counts: CountStore
    source: EventSource

    async def fold(self, source: EventSource, records: Sequence[Record]) -> FoldResult:
        return await self.counts.fold(plan(records, every_kind_rewards, source.holds(records)).batch)

    async def finish(self, records: Sequence[Record]) -> None:
        """Commit how far these go, and none of what they hold."""
        batch = plan(records, every_kind_rewards, self.source.holds(records)).batch
        await self.counts.fold(replace(batch, rows=(), dead=()))
        await self.source.acknowledge(records)

    async def drain(self, *names: str, idle_s: float = 60.0) -> dict[int, int]:
        """Let keepers of these names do what there is, at once; what is counted then."""
        await asyncio.gather(*(self._drain(name, idle_s) for name in names))
        return await self.counts.totals(1)

    async def _drain(self, name: str, idle_s: float) -> None:
        clock = asyncio.get_running_loop().time
        tenants = MemoryTenantStore(clock)
        await tenants.ensure_tenant("one", "")
        roster = Roster(tenants, MemoryPolicyStore(clock), clock)
        metrics = Metrics(CollectorRegistry(), KEEPER_METRICS)
        keeper = Consumer(self.reader(name), self.counts, roster, metrics, Appetite(100, idle_s), clock)
        # Where others' work is taken over soon, they are looked after for several times as long.
        idle, ends_at = 0, clock() + (30 * idle_s if idle_s < 0.1 else 0.0)
        while idle < 4 or clock() < ends_at:  # a look at what others left and one at what is new, twice
            idle = 0 if await keeper.step() else idle + 1


@pytest.fixture(params=["memory", "redis", "sharded in memory", "sharded in postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(request: pytest.FixtureRequest, kind: str) -> str:
    """Of the server that this kind of log needs."""
    fixture = {"redis": "redis_url", "sharded in postgres": "database"}.get(kind)
    return request.getfixturevalue(fixture) if fixture else ""


@pytest.fixture
async def ends(kind: str, address: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr(consumer, "WAIT_S", 0.05)
    async with AsyncExitStack() as stack:
        if kind == "memory":
            memory = MemoryEventLog(asyncio.get_running_loop().time)
            yield Ends(memory, lambda _: memory, MemoryCountStore(), memory)
        elif kind == "redis":
            yield await ends_in_redis(address, stack)
        elif kind == "sharded in memory":
            store = MemoryCountStore()
            yield sharded_ends(store, store)
        else:
            pool = await open_pool(address, size=4, timeout_s=10.0)
            stack.push_async_callback(pool.close)
            yield sharded_ends(PostgresCountStore(pool), PostgresPositions(pool))


async def ends_in_redis(url: str, stack: AsyncExitStack) -> Ends:
    connection = RedisConnection(url)
    stack.push_async_callback(connection.close)
    log = RedisEventLog(connection, shards=SHARDS, durability=Durability.EVERYSEC, choose=in_turn())
    log.start()
    stack.push_async_callback(log.close)
    client = await stack.enter_async_context(open_client(url))

    def reader(name: str) -> EventSource:
        return RedisEventSource(client, name, SHARDS)

    return Ends(log, reader, MemoryCountStore(), reader("keeper-1"))


def sharded_ends(counts: CountStore, positions: Positions) -> Ends:
    shards = ShardedMemoryLog(SHARDS, in_turn())

    def reader(name: str) -> EventSource:
        return ShardReader(shards, positions, name, asyncio.get_running_loop().time)

    return Ends(shards, reader, counts, reader("keeper-1"))


def in_turn() -> Callable[[int], int]:
    """One shard after the other."""
    turns = itertools.count()
    return lambda shards: next(turns) % shards


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
    await ends.source.give_back([])
    assert list(ends.source.holds([])) == []


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


async def test_what_is_not_finished_is_handed_out_again(ends: Ends) -> None:
    for n in range(6):
        await ends.log.append(entry(mark=str(n)))
    records = await read_all(ends.source)
    for deliveries in (2, 3):
        claimed = await ends.source.claim(TENANTS, 100, 0.0)
        assert marks(claimed) == marks(records)
        assert {record.deliveries for record in claimed} == {deliveries}
    await ends.finish(claimed[:2])
    left = await ends.source.claim(TENANTS, 100, 0.0)
    assert marks(left) == marks(claimed[2:])
    await ends.finish(left)
    assert await ends.source.claim(TENANTS, 100, 0.0) == []
    assert await read_all(ends.source) == []


async def test_what_is_given_back_comes_again(ends: Ends) -> None:
    await ends.log.append(entry(mark="back"))
    records = await read_all(ends.source)
    await ends.source.give_back(records)
    again = await ends.source.claim(TENANTS, 100, 0.0)
    assert marks(again) == {"back"}
    await ends.finish(again)
    assert await ends.source.claim(TENANTS, 100, 0.0) == []
    assert await read_all(ends.source) == []


async def test_what_was_handed_out_very_often_comes_alone(ends: Ends) -> None:
    for n in range(3):
        await ends.log.append(entry(mark=str(n)))
    await read_all(ends.source)
    for deliveries in range(2, ALONE_AFTER + 1):
        claimed = await ends.source.claim(TENANTS, 100, 0.0)
        assert [record.deliveries for record in claimed] == [deliveries] * 3
    alone = [await ends.source.claim(TENANTS, 100, 0.0) for _ in range(3)]
    assert [[record.deliveries for record in claimed] for claimed in alone] == [[ALONE_AFTER + 1]] * 3
    assert set().union(*map(marks, alone)) == {"0", "1", "2"}
    await ends.finish(alone[2])
    left = set()
    for _ in range(2):
        (last,) = await ends.source.claim(TENANTS, 100, 0.0)
        assert last.deliveries == ALONE_AFTER + 2
        await ends.finish([last])
        left |= marks([last])
    assert left == marks(alone[0]) | marks(alone[1])
    assert await ends.source.claim(TENANTS, 100, 0.0) == []


async def test_what_is_above_suspicion_comes_first(ends: Ends) -> None:
    await ends.log.append(entry(mark="suspect"))
    await read_all(ends.source)
    for _ in range(2, ALONE_AFTER + 1):
        await ends.source.claim(TENANTS, 100, 0.0)
    await ends.log.append(entry(mark="new"))  # to the next shard
    trusted = await ends.source.read(TENANTS, 100, 0.01)
    assert marks(trusted) == {"new"}
    assert {record.deliveries for record in trusted} == {1}
    assert marks(await ends.source.claim(TENANTS, 100, 0.0)) == {"new"}
    await ends.finish(trusted)
    assert marks(await ends.source.claim(TENANTS, 100, 0.0)) == {"suspect"}


async def test_what_was_just_read_is_not_idle(ends: Ends) -> None:
    await ends.source.claim(TENANTS, 10, 60.0)
    await ends.log.append(entry())
    assert len(await read_all(ends.source)) == 1
    assert await ends.source.claim(TENANTS, 10, 60.0) == []


async def test_acknowledging_twice_does_no_harm(ends: Ends) -> None:
    await ends.log.append(entry())
    records = await read_all(ends.source)
    await ends.finish(records)
    await ends.finish(records)
    assert await ends.source.claim(TENANTS, 10, 0.0) == []


async def append_visits(ends: Ends, numbers: Sequence[int]) -> None:
    for number in numbers:
        await ends.log.append(entries.entry(impression(number), view(number)))


@pytest.mark.parametrize("successor", ["keeper-1", "keeper-2"])
async def test_a_keeper_that_dies_between_commit_and_acknowledgement_counts_nothing_twice(
    ends: Ends, successor: str
) -> None:
    await append_visits(ends, range(9))
    source = ends.reader("keeper-1")
    records = await source.read(TENANTS, 100, SOON_S)
    assert (await ends.fold(source, records)).counted == 18
    await append_visits(ends, range(9, 12))
    assert await ends.drain(successor, idle_s=0.01) == {IMPRESSION: 12, VIEW: 12}


@pytest.mark.parametrize("successor", ["keeper-1", "keeper-2"])
async def test_a_keeper_that_dies_before_the_commit_loses_nothing(ends: Ends, successor: str) -> None:
    await append_visits(ends, range(9))
    assert len(await ends.reader("keeper-1").read(TENANTS, 100, SOON_S)) == 9
    assert await ends.drain(successor, idle_s=0.01) == {IMPRESSION: 9, VIEW: 9}


async def test_two_keepers_at_once_count_everything_once(ends: Ends) -> None:
    """Neither folds for so long that the other takes it for dead: again and again, that looks like poison."""
    await append_visits(ends, range(60))
    await asyncio.gather(
        append_visits(ends, range(60, 120)), ends.drain("keeper-1", "keeper-2", idle_s=SOON_S)
    )
    # On a busy machine both may have found nothing for a while, and left, before the last was appended.
    assert await ends.drain("keeper-1", idle_s=0.01) == {IMPRESSION: 120, VIEW: 120}


async def test_a_keeper_that_comes_to_after_another_took_over_changes_nothing(ends: Ends) -> None:
    await append_visits(ends, range(6))
    zombie = ends.reader("keeper-1")
    held = await zombie.read(TENANTS, 100, SOON_S)
    assert await ends.drain("keeper-2", idle_s=0.01) == {IMPRESSION: 6, VIEW: 6}
    if zombie.holds(held):
        with pytest.raises(PositionsLostError, match="another keeper"):
            await ends.fold(zombie, held)
        with pytest.raises(PositionsLostError):
            await ends.counts.fold(Batch((), holds=zombie.holds(held)))
    else:
        assert (await ends.fold(zombie, held)).counted == 0
    await zombie.give_back(held)
    await append_visits(ends, range(6, 8))
    # One after the other: with so short a patience each would take from the other what it is about to fold.
    await ends.drain("keeper-1", idle_s=0.01)
    assert await ends.drain("keeper-2", idle_s=0.01) == {IMPRESSION: 8, VIEW: 8}
