"""A log, a keeper that takes a step when a test says so, and the books of both."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from nearcast_ledger.event import Durability, Entry
from nearcast_statskeeper.balancing import ShardBalance, balance_log
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.roster import Roster
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.accounting import PostgresAccounts
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.log.auditing import RedisLogAudit
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.log.source import RedisEventSource
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.redis_client import open_client
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics

SHARDS = 2


@dataclass(slots=True)
class CountingHouse:
    """One tenant, numbered 1; entries go to shard 0."""

    dsn: str
    pool: Pool
    client: Redis
    log: RedisEventLog
    source: RedisEventSource
    consumer: Consumer
    audit: RedisLogAudit
    outsider: "asyncpg.Connection[asyncpg.Record]"

    async def append(self, *entries: Entry) -> None:
        for entry in entries:
            await self.log.append(entry)

    async def fold(self) -> None:
        """Until nothing is left; the first step looks for what was left unfinished."""
        while await self.consumer.step():
            pass
        while await self.consumer.step():
            pass

    async def balance(self, since_ms: int = 0) -> ShardBalance:
        """Of shard 0."""
        now_ms = int(time.time() * 1000)
        balances = await balance_log(self.audit, PostgresAccounts(self.pool), [1], since_ms, now_ms)
        return balances[0]


@asynccontextmanager
async def counting_house(dsn: str, redis_url: str) -> AsyncIterator[CountingHouse]:
    """On an empty database of Postgres and of Redis."""
    async with AsyncExitStack() as stack:
        pool = await open_pool(dsn, 4, 10.0)
        stack.push_async_callback(pool.close)
        connection = RedisConnection(redis_url)
        stack.push_async_callback(connection.close)
        client = await stack.enter_async_context(open_client(redis_url))
        log = RedisEventLog(connection, shards=SHARDS, durability=Durability.MEMORY, choose=lambda shards: 0)
        log.start()
        stack.push_async_callback(log.close)
        outsider = await asyncpg.connect(dsn)
        stack.push_async_callback(outsider.close)
        tenants = PostgresTenantStore(pool, time.time)
        assert await tenants.ensure_tenant("dev", "Dev") == 1
        source = RedisEventSource(client, "keeper-1", SHARDS)
        consumer = Consumer(
            source,
            PostgresCountStore(pool),
            Roster(tenants, PostgresPolicyStore(pool), time.time),
            Metrics(CollectorRegistry(), KEEPER_METRICS),
            Appetite(1000, 60.0),
            time.time,
        )
        audit = RedisLogAudit(client, SHARDS)
        yield CountingHouse(dsn, pool, client, log, source, consumer, audit, outsider)
