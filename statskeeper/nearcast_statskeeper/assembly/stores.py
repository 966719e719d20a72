"""Every adapter of the keeper, opened in one place."""

import socket
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.asyncio import Redis

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.decisions.stream import RedisDecisionStream
from nearcast_store.log.source import RedisEventSource
from nearcast_store.log.upkeep import RedisLogUpkeep
from nearcast_store.migration import require_schema
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.preflight.finding import Store
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from nearcast_store.seen.redis import RedisSeenStore
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.foldmetrics import KEEPER_ENTRIES_LOST, KEEPER_LOG_RESETS
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

# A fold or a sweep may take longer than a statement of the gateway, and nobody waits for it.
STATEMENT_S = 30.0

log = logger("keeper")


@dataclass(frozen=True, slots=True)
class Stores:
    """Every adapter of the keeper."""

    pool: Pool
    catalog: PostgresCatalogStore
    changes: PostgresChangeFeed
    counts: PostgresCountStore
    policies: PostgresPolicyStore
    tenants: PostgresTenantStore
    index: RedisIndexWriter
    events: RedisEventSource
    upkeep: RedisLogUpkeep
    seen: RedisSeenStore
    waiting_decisions: RedisDecisionStream
    decisions: PostgresDecisionStore

    async def require_schema(self) -> None:
        """Raise SchemaError unless the database is as this version needs it."""
        async with self.pool.connection() as connection:
            await require_schema(connection)

    async def ensure_partitions(self) -> None:
        """Make the partitions that the coming days need."""
        await Partitions(self.pool).ensure_around(datetime.now(UTC).date())

    async def renew(self, store: Store) -> None:
        """Connections that were made while a role was unsafe stay so until they are replaced."""
        if store == "postgres":
            await self.pool.renew()


async def open_stores(
    config: ProcessConfig, metrics: Metrics, stack: AsyncExitStack, first_policy: Policy | None = None
) -> Stores:
    """They are closed with the stack; a tenant without a policy gets the first one."""
    pool = await open_pool(config.postgres.dsn, config.postgres.pool_size, STATEMENT_S, "nearcast keeper")
    stack.push_async_callback(pool.close)
    index = _redis(config.redis.geo_url, stack)
    event_log = _redis(config.redis.log_url or config.redis.geo_url, stack)
    seen = RedisConnection(config.redis.geo_url, command_timeout_s=config.redis.command_timeout_s)
    stack.push_async_callback(seen.close)
    decisions = RedisConnection(
        config.redis.log_url or config.redis.geo_url, command_timeout_s=config.redis.command_timeout_s
    )
    stack.push_async_callback(decisions.close)
    return Stores(
        pool,
        PostgresCatalogStore(pool),
        PostgresChangeFeed(pool),
        PostgresCountStore(pool),
        PostgresPolicyStore(pool, first=first_policy),
        PostgresTenantStore(pool, time.time),
        RedisIndexWriter(index),
        RedisEventSource(
            event_log,
            socket.gethostname(),
            config.log.shards,
            note_lost=lambda entries: _note_lost(metrics, entries),
            note_reset=lambda stream: _note_reset(metrics, stream),
        ),
        RedisLogUpkeep(event_log, config.log.shards),
        RedisSeenStore(seen),
        RedisDecisionStream(decisions),
        PostgresDecisionStore(pool),
    )


def _redis(url: str, stack: AsyncExitStack) -> Redis:
    client = open_client(url)
    stack.push_async_callback(client.aclose)
    return client


def _note_lost(metrics: Metrics, entries: int) -> None:
    metrics.add(KEEPER_ENTRIES_LOST, entries)
    log.error("entries.lost", entries=entries)


def _note_reset(metrics: Metrics, stream: str) -> None:
    metrics.add(KEEPER_LOG_RESETS)
    log.error("log.reset", stream=stream)
