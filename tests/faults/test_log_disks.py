"""What a log keeps when its process, its file or its disk fails: on a Redis of the test's own."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.house import House
from tests.faults.logserver import LogServer
from tests.faults.proxy import Proxy, Streams, opened, redis_at, unix
from tests.faults.smalldisk import small_disk
from tests.faults.traffic import views
from tests.gateways import eventually

TORN_BYTES = 20
MakeLog = Callable[..., Awaitable[LogServer]]


@pytest.fixture
async def make_log(house: House) -> AsyncIterator[MakeLog]:
    """Starts servers, each in a directory that is removed at the end."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "log", directory: Path | None = None, **settings: str) -> LogServer:
            if directory is None:
                directory = house.directory / name
                directory.mkdir()
                stack.callback(shutil.rmtree, directory)
            server = LogServer(directory, house.directory / "logs" / f"{name}.log", **settings)
            stack.push_async_callback(server.close)
            await server.start()
            return server

        yield make
        # They speak to the log until they end.
        await house.gateways[1].kill()
        await house.keepers[1].kill()


async def keep_from(house: House, url: str) -> None:
    """Let the second keeper fold that log."""
    await house.keepers[1].start(NEARCAST_REDIS__LOG_URL=url)


async def test_a_log_that_syncs_every_write_has_all_it_acknowledged(house: House, make_log: MakeLog) -> None:
    log = await make_log(appendfsync="always")
    await house.gateways[1].start(NEARCAST_REDIS__LOG_URL=log.url, NEARCAST_LOG__DURABILITY="fsync")
    for _ in range(5):
        await house.client.record(views(house.random, 3), house.lines[1])
    waiting = await house.unfinished(log.redis)
    assert waiting >= 5
    await log.kill()
    await log.start()
    assert await house.unfinished(log.redis) == waiting
    await keep_from(house, log.url)
    await house.drained(log.redis)
    assert await house.verdict() == []


async def test_a_power_cut_takes_the_tail_and_nothing_before_it(house: House, make_log: MakeLog) -> None:
    """What the sender still keeps and sends again is counted; a torn last write is no obstacle."""
    log = await make_log()
    await house.gateways[1].start(NEARCAST_REDIS__LOG_URL=log.url)
    for _ in range(3):
        await house.client.record(views(house.random, 3), house.lines[1])
    reached_disk, acked = log.file.stat().st_size, len(house.client.acked)
    tail = [await house.client.record(views(house.random, 3), house.lines[1]) for _ in range(3)]
    await log.kill()
    with log.file.open("ab") as file:
        file.truncate(reached_disk + TORN_BYTES)
    house.client.forgive_since(acked)
    await log.start()
    assert await house.unfinished(log.redis) == 3
    await keep_from(house, log.url)
    await house.drained(log.redis)
    assert await house.verdict() == []
    assert await house.count([intent.origin for batch in tail for intent in batch.events]) == 0
    for batch in tail:
        await house.client.record_again(batch, house.lines[1])
    await house.drained(log.redis)
    assert await house.verdict() == []


async def test_a_damaged_file_is_never_taken_for_an_empty_log(house: House, make_log: MakeLog) -> None:
    log = await make_log()
    await house.gateways[1].start(NEARCAST_REDIS__LOG_URL=log.url)
    for _ in range(5):
        await house.client.record(views(house.random, 3), house.lines[1])
    await log.kill()
    sound = log.file.read_bytes()
    middle = sound.index(b"XADD", len(sound) // 2)
    log.file.write_bytes(sound[: middle - 4] + b"\0\0" + sound[middle - 2 :])
    assert await (await log.begin()).ended() != 0
    batch = house.journal.intend(views(house.random, 3))
    assert not await house.client.attempt(batch, house.lines[1])
    log.file.write_bytes(sound)
    await log.start()
    await house.client.record_again(batch, house.lines[1])
    await keep_from(house, log.url)
    await house.drained(log.redis)
    assert await house.verdict() == []


async def test_a_copy_that_takes_over_lacks_the_tail_and_nothing_else(
    house: House, make_log: MakeLog
) -> None:
    async with replicated(make_log) as pair:
        await house.gateways[1].start(NEARCAST_REDIS__LOG_URL=pair.url)
        for _ in range(3):
            await house.client.record(views(house.random, 3), house.lines[1])
        await eventually(lambda: house.unfinished(pair.copy.redis), 10.0, lambda copied: copied == 3)
        acked = len(house.client.acked)
        pair.link.hold()
        await house.client.record(views(house.random, 3), house.lines[1])
        await pair.fail_over()
        house.client.forgive_since(acked)
        await house.client.record(views(house.random, 3), house.lines[1])
        assert await house.unfinished(pair.copy.redis) == 4
        await finish_with(house, pair)
    assert await house.verdict() == []


async def test_a_copy_that_confirmed_every_write_has_all_of_them(house: House, make_log: MakeLog) -> None:
    """While it can confirm nothing, nothing is answered."""
    async with replicated(make_log) as pair:
        circumstances = {"NEARCAST_REDIS__LOG_URL": pair.url, "NEARCAST_LOG__DURABILITY": "replicated"}
        await house.gateways[1].start(**circumstances)
        patient = house.patient_line(1)
        await asyncio.gather(*(house.client.record(views(house.random, 3), patient) for _ in range(5)))
        pair.link.hold()
        batch = house.journal.intend(views(house.random, 3))
        assert not await house.client.attempt(batch, patient)
        await pair.fail_over()
        assert await house.unfinished(pair.copy.redis) == 5
        await patient.close()
        await finish_with(house, pair)
    assert await house.verdict() == []


@dataclass(slots=True)
class Pair:
    """A log, its copy, the way between them, and one address for whichever of them leads."""

    first: LogServer
    copy: LogServer
    link: Proxy
    url: str
    leading: list[LogServer]

    async def fail_over(self) -> None:
        """The first dies, and the copy leads with what it has."""
        await self.first.kill()
        await self.copy.redis.replicaof("NO", "ONE")
        self.leading[0] = self.copy


@asynccontextmanager
async def replicated(make_log: MakeLog) -> AsyncIterator[Pair]:
    """Both run, and the copy follows the first."""
    first, copy = await make_log("first"), await make_log("copy")
    leading = [first]

    async def connect() -> Streams:
        return await unix(str(leading[0].socket))()

    async def follows() -> bool:
        return bool((await copy.redis.info("replication"))["master_link_status"] == "up")

    async with opened(connect) as door, opened(unix(str(first.socket))) as link:
        await copy.redis.replicaof("127.0.0.1", str(link.port))
        await eventually(follows, 10.0)
        yield Pair(first, copy, link, redis_at(door), leading)


async def finish_with(house: House, pair: Pair) -> None:
    """Fold what the pair has, and let nobody speak to it any more."""
    await keep_from(house, pair.url)
    await house.drained(pair.copy.redis)
    await house.gateways[1].kill()
    await house.keepers[1].kill()


async def test_a_full_disk_stops_the_log_and_nothing_is_lost(house: House, make_log: MakeLog) -> None:
    """Redis lives on and refuses; once there is room, it takes events again by itself."""
    with small_disk(house.directory / "small") as disk:
        log = await make_log(directory=disk.path)
        await house.gateways[1].start(NEARCAST_REDIS__LOG_URL=log.url)
        await house.client.record(views(house.random, 3), house.lines[1])
        disk.fill()

        async def refuses() -> bool:
            batch = house.journal.intend(views(house.random, 3))
            return not await house.client.attempt(batch, house.lines[1])

        await eventually(refuses, 10.0)
        disk.free()
        await house.client.record(views(house.random, 3), house.lines[1])
        await keep_from(house, log.url)
        await house.drained(log.redis)
        assert await house.verdict() == []
        await log.close()


async def test_a_full_disk_ends_a_log_that_syncs_every_write_and_nothing_is_lost(
    house: House, make_log: MakeLog
) -> None:
    """Redis gives up rather than to acknowledge what it could not write."""
    with small_disk(house.directory / "small") as disk:
        log = await make_log(directory=disk.path, appendfsync="always")
        await house.gateways[1].start(NEARCAST_REDIS__LOG_URL=log.url, NEARCAST_LOG__DURABILITY="fsync")
        await house.client.record(views(house.random, 3), house.lines[1])
        disk.fill()
        batch = house.journal.intend(views(house.random, 500))
        assert not await house.client.attempt(batch, house.lines[1])
        assert await log.child.ended() != 0
        disk.free()
        await log.start()
        await house.client.record_again(batch, house.lines[1])
        await keep_from(house, log.url)
        await house.drained(log.redis)
        assert await house.verdict() == []
        await log.close()
