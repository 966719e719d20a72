"""A whole nearcast of child processes with proxies between them, one client, and the way to judge it all."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import asyncpg
import grpc
from redis.asyncio import Redis

from nearcast.v1 import (
    catalog_pb2,
    catalog_pb2_grpc,
    item_pb2,
    recommend_pb2,
    recommend_pb2_grpc,
    stats_pb2,
    stats_pb2_grpc,
)
from nearcast_statskeeper.verifying import verify_stats
from nearcast_store import redis_keys
from nearcast_store.postgres import open_pool
from tests.faults.child import Child
from tests.faults.client import CHANNEL, HERE, Client, Line
from tests.faults.journal import Journal, read
from tests.faults.oracle import violations
from tests.faults.proxy import Proxy
from tests.faults.station import Moment, Station, at_once
from tests.gateways import eventually

T = TypeVar("T")
SHARDS = 4
ITEMS = 40
QUIET_WITHIN_S = 30.0
CLAIM_IDLE_S = 1
DIFFERENCES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Proxies:
    """Between the first gateway or keeper and whoever speaks to it or is spoken to."""

    gateways: Sequence[Proxy]
    log: Proxy
    keeper_postgres: Proxy
    keeper_redis: Proxy

    def all(self) -> list[Proxy]:
        return [*self.gateways, self.log, self.keeper_postgres, self.keeper_redis]


@dataclass(slots=True)
class House:
    """Two gateways and two keepers may run; the first of each stands behind proxies."""

    directory: Path
    servers: Child
    gateways: Sequence[Station]
    keepers: Sequence[Station]
    proxies: Proxies
    client: Client
    lines: Sequence[Line]
    journal: Journal
    dsn: str
    redis: Redis
    key: str
    tenant_id: int
    random: Random
    planted: list[str] = field(default_factory=list)

    @property
    def stations(self) -> list[Station]:
        return [*self.gateways, *self.keepers]

    def patient_line(self, number: int) -> Line:
        """To that gateway, for who wants to know its answer however long it takes."""
        return Line(f"127.0.0.1:{self.proxies.gateways[number].port}", self.key, deadline_s=None)

    async def sql(self, *queries: str) -> list[asyncpg.Record]:
        """Rows of the last, over a connection of its own: the servers are killed all the time."""
        connection = await asyncpg.connect(self.dsn)
        try:
            *first, last = queries
            for query in first:
                await connection.execute(query)
            return await connection.fetch(last)
        finally:
            await connection.close()

    async def unfinished(self, log: Redis | None = None) -> int:
        """Entries of the log that no keeper has acknowledged, as far as Redis can tell now."""
        redis, left = log or self.redis, 0
        for shard in range(SHARDS):
            key = redis_keys.log(self.tenant_id, shard)
            groups = await redis.xinfo_groups(key) if await redis.exists(key) else []
            after = groups[0]["last-delivered-id"].decode() if groups else "-"
            left += len(await redis.xrange(key, f"({after}" if groups else after, "+") or ())
            left += sum(group["pending"] for group in groups)
        return left

    async def drained(self, log: Redis | None = None) -> None:
        """Return once the log has nothing unfinished."""
        await eventually(lambda: self.unfinished(log), QUIET_WITHIN_S, lambda left: left == 0)

    async def verdict(self) -> list[str]:
        """Once the log is drained, every promise that was broken, in words."""
        await self.drained()
        connection = await asyncpg.connect(self.dsn)
        try:
            told = await violations(connection, self.tenant_id, read(self.journal.path), self.planted)
        finally:
            await connection.close()
        told += await self._differences()
        log = self.directory / "state" / "logs" / "postgres.log"
        deadlocks = log.read_text(errors="replace").count("deadlock detected")
        told += [f"keepers met in {deadlocks} deadlocks"] if deadlocks else []
        return self.client.violations + told

    async def _differences(self) -> list[str]:
        """What `nearcast verify-stats` would say."""
        pool = await open_pool(self.dsn, 1, QUIET_WITHIN_S)
        try:
            verdict = await verify_stats(pool, DIFFERENCES_SHOWN)
        finally:
            await pool.close()
        return [f"verify-stats: {difference}" for difference in verdict.differences]

    async def count(self, origins: Sequence[str]) -> int:
        """How many events of these decisions and ids are in the ledger."""
        listed = ", ".join(f"'{origin}'" for origin in origins)
        (row,) = await self.sql(f"select count(*) as n from events where origin_id in ({listed})")
        return int(row["n"])

    async def put_items(self, titles: Sequence[str], line: int = 0) -> None:
        """Write items over one gateway, until it has taken them."""
        items = [
            item_pb2.Item(item_id=f"item-{number}", locations=[HERE], title=title)
            for number, title in enumerate(titles)
        ]
        async with self._stub(line) as channel:
            stub = catalog_pb2_grpc.CatalogServiceStub(channel)
            request = catalog_pb2.UpsertItemsRequest(items=items)
            await eventually(lambda: _taken(stub.UpsertItems(request, **self._how())), QUIET_WITHIN_S)

    async def index_differs(self) -> list[str]:
        """Items of the catalogue that are found otherwise, or not, near where they are."""
        async with self._stub(0) as channel:
            listed = await catalog_pb2_grpc.CatalogServiceStub(channel).ListItems(
                catalog_pb2.ListItemsRequest(page_size=100), **self._how()
            )
            found = await recommend_pb2_grpc.RecommendServiceStub(channel).Nearby(
                recommend_pb2.NearbyRequest(location=HERE, limit=100), **self._how()
            )
        kept = {(item.item_id, item.title) for item in listed.items}
        shown = {(near.item.item_id, near.item.title) for near in found.items}
        return sorted(f"{item_id} {title!r}" for item_id, title in kept ^ shown)

    async def believed(self, item_id: str) -> dict[str, tuple[float, float]]:
        """Exposure and successes of an item, by kind, as the first gateway has them in mind."""
        slate = (await self.lines[0].recommend(100)).items
        return next(_in_mind(shown) for shown in slate if shown.item_id == item_id)

    async def beliefs_differ(self, line: int) -> list[str]:
        """Items that a gateway believes something else of than the counts say."""
        slate = (await self.lines[line].recommend(100)).items
        async with self._stub(line) as channel:
            stats = await stats_pb2_grpc.StatsServiceStub(channel).GetStats(
                stats_pb2.GetStatsRequest(item_ids=[shown.item_id for shown in slate]), **self._how()
            )
        told = []
        for shown, true in zip(slate, stats.items, strict=True):
            believed = _in_mind(shown)
            counted = {kind.kind: (kind.exposure, kind.success) for kind in true.kinds if kind.posterior_a}
            if not _nearly_equal(believed, counted):
                told.append(f"{shown.item_id}: believed {believed}, counted {counted}")
        return told

    async def agrees(self) -> None:
        """Return once index and every gateway are what Postgres says; AssertionError with what differs."""
        await eventually(lambda: answered(self.index_differs()), QUIET_WITHIN_S, lambda told: told == [])
        for line, gateway in enumerate(self.gateways):
            if gateway.alive:
                await self._gateway_agrees(line)

    async def _gateway_agrees(self, line: int) -> None:
        await eventually(lambda: answered(self.beliefs_differ(line)), QUIET_WITHIN_S, lambda told: told == [])

    async def kill_redis(self, moment: Moment = at_once) -> bool:
        """And wait until it serves again."""
        return await self._kill_server(await self.redis_pid(), moment)

    async def kill_postmaster(self, moment: Moment = at_once) -> bool:
        """And wait until it serves again."""
        return await self._kill_server(await self.postmaster_pid(), moment)

    async def _kill_server(self, pid: int, moment: Moment) -> bool:
        before = len(self.servers.heard.get("servers.revived", ()))
        await moment()
        os.kill(pid, signal.SIGKILL)
        await self.servers.hears("servers.revived", before + 1)
        return True

    async def kill_backend(self, moment: Moment = at_once) -> bool:
        """One that a keeper works on, and with it every session; whether there was one."""
        rows = await self.sql(
            "select pid from pg_stat_activity where application_name = 'nearcast keeper'"
            " order by state = 'idle', pid"
        )
        if not rows:
            return False
        await moment()
        os.kill(rows[0]["pid"], signal.SIGKILL)
        await eventually(lambda: answered(self.sql("select 1")), QUIET_WITHIN_S)
        return True

    async def postmaster_pid(self) -> int:
        (row,) = await self.sql("select pg_read_file('postmaster.pid') as text")
        return int(row["text"].splitlines()[0])

    async def redis_pid(self) -> int:
        return int((await self.redis.info("server"))["process_id"])

    def _how(self) -> dict[str, Any]:
        return {"metadata": (("authorization", f"Bearer {self.key}"),), "timeout": 2.0}

    @asynccontextmanager
    async def _stub(self, line: int) -> AsyncIterator[grpc.aio.Channel]:
        address = f"127.0.0.1:{self.proxies.gateways[line].port}"
        async with grpc.aio.insecure_channel(address, options=CHANNEL) as channel:
            yield channel


async def _taken(call: Awaitable[catalog_pb2.UpsertItemsResponse]) -> bool:
    try:
        answer = await call
    except grpc.aio.AioRpcError:
        return False
    return all(result.outcome.code == 0 for result in answer.results)


async def answered(call: Awaitable[T]) -> T | None:
    """What the call gives; None while whoever is asked is not there."""
    try:
        return await call
    except (grpc.aio.AioRpcError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None


def _in_mind(shown: recommend_pb2.RecommendedItem) -> dict[str, tuple[float, float]]:
    return {kind.kind: (kind.exposure, kind.success) for kind in shown.explanation.kinds}


def _nearly_equal(one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]]) -> bool:
    """Both are derived a moment apart, and evidence fades with time: a single event more is told apart."""
    return one.keys() == other.keys() and all(
        abs(a - b) <= 1e-3 + 1e-4 * b for kind in one for a, b in zip(one[kind], other[kind], strict=True)
    )
