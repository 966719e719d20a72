"""A segment that follows a real Redis: what readers see, whatever becomes of Redis or of the process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from redis.asyncio import Redis

from nearcast_catalogue.item import ServedItem
from nearcast_replica.files import Files
from nearcast_replica.reading import ReplicaReader
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.following import Everything, IndexFollower
from nearcast_store.index.replicating import REPAIRED_WITHIN_S, Replicator
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from tests.conftest import FixedClock
from tests.servedworlds import in_batches
from tests.unit.replica.readback import contents
from tests.unit.replica.test_life import Story, World, message_of, pinned, some_items

TENANT, BUILD, KINDS = 7, "test", (2, 5)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "hot", tmp_path / "cold", "test", TENANT)


@pytest.fixture
def reader(files: Files) -> ReplicaReader:
    return ReplicaReader(files, BUILD)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_client(redis_url) as client:
        yield client


@pytest.fixture
def relay(client: Redis) -> RedisIndexWriter:
    return RedisIndexWriter(client)


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


@pytest.fixture
def writer(files: Files, clock: FixedClock) -> SegmentWriter:
    return SegmentWriter(files, BUILD, KINDS, clock, Reserve(slots=1000, shortest_tail=120))


@pytest.fixture
def replicator(connection: RedisConnection, writer: SegmentWriter, files: Files) -> Replicator:
    return Replicator(IndexFollower(connection), writer, files, message_of)


async def filled(relay: RedisIndexWriter, count: int, sequence: int = 0) -> Story:
    rng = np.random.default_rng(1)
    items = some_items(rng, count)
    await relay.refill(TENANT, sequence, in_batches(items))
    return Story(rng, _world(items), sequence)


def _world(items: list[ServedItem]) -> World:
    return {each.posting: (each, message_of(each)) for each in items}


async def tell(relay: RedisIndexWriter, story: Story, count: int) -> None:
    changes = [Change(each.sequence, each.posting, each.served) for each in story.next(count)]
    await relay.apply(TENANT, changes)


def index_is_behind(reader: ReplicaReader) -> bool:
    reader.refresh()
    vitals = reader.vitals()
    return vitals is not None and vitals.index_behind


async def bring_forward(replicator: Replicator) -> None:
    while await replicator.step():
        pass


async def test_the_segment_holds_what_redis_holds(
    replicator: Replicator, relay: RedisIndexWriter, reader: ReplicaReader
) -> None:
    story = await filled(relay, 200, sequence=40)
    await bring_forward(replicator)
    assert contents(pinned(reader)) == story.world
    for count in (1, 80, 20):
        await tell(relay, story, count)
        await bring_forward(replicator)
        assert contents(pinned(reader)) == story.world
    assert replicator.standing.sequence == story.sequence
    assert (replicator.standing.waiting, replicator.standing.resyncs) == (0, 1)


async def test_nothing_is_served_before_redis_holds_anything(
    replicator: Replicator, relay: RedisIndexWriter, reader: ReplicaReader
) -> None:
    assert not await replicator.step()
    assert not reader.refresh()
    assert replicator.standing.sequence is None
    story = await filled(relay, 3)
    await bring_forward(replicator)
    assert contents(pinned(reader)) == story.world


async def test_a_long_tail_is_merged_beside_the_changes(
    replicator: Replicator, relay: RedisIndexWriter, reader: ReplicaReader
) -> None:
    story = await filled(relay, 100)
    await bring_forward(replicator)
    for _ in range(40):
        await tell(relay, story, 20)
        await bring_forward(replicator)
        assert contents(pinned(reader)) == story.world
    await replicator.save()
    assert pinned(reader).generation.number > 2
    assert replicator.standing.resyncs == 1


async def test_an_emptied_redis_is_read_anew_when_it_is_filled_again(
    replicator: Replicator,
    relay: RedisIndexWriter,
    reader: ReplicaReader,
    client: Redis,
    clock: FixedClock,
) -> None:
    """By less than it held, so that it may yet come to what it was: for a while that is waited for."""
    story = await filled(relay, 50, sequence=9)
    await bring_forward(replicator)
    await client.flushdb()
    await bring_forward(replicator)
    assert index_is_behind(reader)
    other = await filled(relay, 80, sequence=3)
    await bring_forward(replicator)
    assert contents(pinned(reader)) == story.world
    assert index_is_behind(reader)
    clock.advance(REPAIRED_WITHIN_S)
    await bring_forward(replicator)
    assert not index_is_behind(reader)
    assert contents(pinned(reader)) == other.world
    assert (replicator.standing.sequence, replicator.standing.resyncs) == (3, 2)


async def test_a_refill_is_followed(
    replicator: Replicator, relay: RedisIndexWriter, reader: ReplicaReader
) -> None:
    await filled(relay, 50, sequence=9)
    await bring_forward(replicator)
    other = await filled(relay, 20, sequence=9)
    await bring_forward(replicator)
    assert contents(pinned(reader)) == other.world
    assert "anew" in replicator.standing.reason


async def test_while_redis_is_away_readers_go_on(
    replicator: Replicator, relay: RedisIndexWriter, reader: ReplicaReader, connection: RedisConnection
) -> None:
    story = await filled(relay, 50)
    await bring_forward(replicator)
    await connection.close()
    with pytest.raises(IndexUnavailableError):
        await replicator.step()
    assert contents(pinned(reader)) == story.world


async def test_what_was_saved_is_followed_from_where_it_was(
    replicator: Replicator,
    relay: RedisIndexWriter,
    connection: RedisConnection,
    writer: SegmentWriter,
    files: Files,
    clock: FixedClock,
) -> None:
    story = await filled(relay, 150)
    await bring_forward(replicator)
    await tell(relay, story, 10)
    await bring_forward(replicator)
    await replicator.save()
    writer.close()
    for path in files.directory.iterdir():
        path.unlink()
    await tell(relay, story, 30)
    second = SegmentWriter(files, BUILD, KINDS, clock)
    again = Replicator(IndexFollower(connection), second, files, message_of)
    await bring_forward(again)
    assert contents(pinned(ReplicaReader(files, BUILD))) == story.world
    assert again.standing.resyncs == 0
    second.close()


async def test_what_was_saved_before_redis_was_filled_anew_is_not_gone_on_with(
    replicator: Replicator,
    relay: RedisIndexWriter,
    connection: RedisConnection,
    writer: SegmentWriter,
    files: Files,
    clock: FixedClock,
) -> None:
    await filled(relay, 150, sequence=20)
    await bring_forward(replicator)
    await replicator.save()
    writer.close()
    other = await filled(relay, 60, sequence=20)
    second = SegmentWriter(files, BUILD, KINDS, clock)
    again = Replicator(IndexFollower(connection), second, files, message_of)
    await bring_forward(again)
    assert contents(pinned(ReplicaReader(files, BUILD))) == other.world
    assert again.standing.resyncs == 1
    second.close()


class InterruptedFollower(IndexFollower):
    """Something happens while everything is read."""

    def __init__(self, connection: RedisConnection, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(connection)
        self._meanwhile = meanwhile

    async def read_all(self, tenant_id: int) -> Everything | None:
        everything = await super().read_all(tenant_id)
        assert everything is not None

        async def batches() -> AsyncIterator[list[ServedItem]]:
            async for batch in everything.batches:
                yield batch
            await self._meanwhile()

        return Everything(everything.mark, batches())


@pytest.mark.parametrize("slots", [1000, 40])
async def test_what_changes_while_everything_is_read_is_in_the_first_that_is_served(
    relay: RedisIndexWriter,
    connection: RedisConnection,
    reader: ReplicaReader,
    files: Files,
    clock: FixedClock,
    slots: int,
) -> None:
    """Even when there is more of it than a new generation has room for."""
    story = await filled(relay, 100, sequence=5)
    writer = SegmentWriter(files, BUILD, KINDS, clock, Reserve(slots=slots))
    follower = InterruptedFollower(connection, lambda: tell(relay, story, 150))
    replicator = Replicator(follower, writer, files, message_of)
    await replicator.step()
    assert contents(pinned(reader)) == story.world
    assert replicator.standing.resyncs == 1
    writer.close()


async def test_a_refill_while_everything_is_read_is_begun_again(
    relay: RedisIndexWriter,
    connection: RedisConnection,
    reader: ReplicaReader,
    writer: SegmentWriter,
    files: Files,
) -> None:
    story = await filled(relay, 100, sequence=5)
    others: list[Story] = []

    async def refill_once() -> None:
        if not others:
            others.append(await filled(relay, 30, sequence=5))

    replicator = Replicator(InterruptedFollower(connection, refill_once), writer, files, message_of)
    await bring_forward(replicator)
    assert contents(pinned(reader)) == others[0].world != story.world
    assert replicator.standing.resyncs == 2
    writer.close()


async def test_more_changes_than_there_is_room_for_are_carried_over(
    relay: RedisIndexWriter,
    connection: RedisConnection,
    reader: ReplicaReader,
    files: Files,
    clock: FixedClock,
) -> None:
    writer = SegmentWriter(files, BUILD, KINDS, clock, Reserve(slots=40, spare_names_bytes=2000))
    replicator = Replicator(IndexFollower(connection), writer, files, message_of)
    story = await filled(relay, 5)
    await bring_forward(replicator)
    await tell(relay, story, 300)
    await bring_forward(replicator)
    assert contents(pinned(reader)) == story.world
    assert replicator.standing.resyncs == 1
    writer.close()
