"""The keeper: the one place where everything is built, and taken down in reverse."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_statskeeper import heartbeat
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.jobs.forgetting import forget_tombstones
from nearcast_statskeeper.jobs.partitioning import plan_partitions
from nearcast_statskeeper.jobs.pruning import prune_changes
from nearcast_statskeeper.jobs.publishing import publish_epochs
from nearcast_statskeeper.jobs.schedule import Schedule
from nearcast_statskeeper.jobs.sweeping import sweep_items
from nearcast_statskeeper.jobs.trimming import trim_log
from nearcast_statskeeper.leadership import Leadership
from nearcast_statskeeper.pacing import pause_until
from nearcast_statskeeper.persisting import PARTS, Persistence
from nearcast_statskeeper.rebuilding import rebuild_redis
from nearcast_statskeeper.relaying import Relay
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.vitals import Vitals
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.leases import Lease, try_lease
from nearcast_store.log.source import RedisEventSource
from nearcast_store.log.upkeep import RedisLogUpkeep
from nearcast_store.migration import require_schema
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.endpoint import Endpoint
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import (
    KEEPER_ENTRIES_LOST,
    KEEPER_LOG_RESETS,
    KEEPER_METRICS,
    Metrics,
    render,
)

# A fold or a sweep may take longer than a statement of the gateway, and nobody waits for it.
STATEMENT_S = 30.0
STOP_GRACE_S = 10.0
WATCH_HOST = "127.0.0.1"

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

    async def require_schema(self) -> None:
        """Raise SchemaError unless the database is as this version needs it."""
        async with self.pool.connection() as connection:
            await require_schema(connection)

    async def ensure_partitions(self) -> None:
        """Make the partitions that the coming days need."""
        await Partitions(self.pool).ensure_around(datetime.now(UTC).date())


async def run_keeper(
    config: ProcessConfig,
    stop: asyncio.Event,
    ready: Callable[[], None] | None = None,
    first_policy: Policy | None = None,
) -> None:
    """Count events, carry items, run the jobs, until told to stop; `ready` is called once all of it works.

    Postgres and Redis may come later, go and come back. A tenant without a policy is given the first one.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry, KEEPER_METRICS)
    vitals = Vitals(PARTS, lambda: _tell_ready(ready))
    persistence = Persistence(stop, pause_until(stop), metrics, vitals)
    async with AsyncExitStack() as stack:
        endpoint = Endpoint(lambda: render(registry), vitals.missing, setting="keeper.metrics_port")
        port = await endpoint.start(WATCH_HOST, config.keeper.metrics_port)
        stack.push_async_callback(endpoint.close)
        log.info("keeper.started", metrics_port=port)
        stores = await _open_stores(config, metrics, stack, first_policy)
        await persistence.once("schema", stores.require_schema)
        if not stop.is_set():
            await _work(config, stores, persistence, stack)
    log.info("keeper.stopped")


async def run_rebuild(config: ProcessConfig, tell: Callable[[str], None]) -> int:
    """Build the index of every tenant from nothing; how many. Raises StoreError."""
    async with AsyncExitStack() as stack:
        stores = await _open_stores(config, Metrics(CollectorRegistry(), KEEPER_METRICS), stack)
        await stores.require_schema()
        return await rebuild_redis(stores.changes, stores.index, stores.tenants, tell)


def _tell_ready(ready: Callable[[], None] | None) -> None:
    log.info("keeper.ready")
    if ready is not None:
        ready()


async def _open_stores(
    config: ProcessConfig, metrics: Metrics, stack: AsyncExitStack, first_policy: Policy | None = None
) -> Stores:
    pool = await open_pool(config.postgres.dsn, config.postgres.pool_size, STATEMENT_S, "nearcast keeper")
    stack.push_async_callback(pool.close)
    index = _redis(config.redis.geo_url, stack)
    event_log = _redis(config.redis.log_url or config.redis.geo_url, stack)
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


async def _work(
    config: ProcessConfig, stores: Stores, persistence: Persistence, stack: AsyncExitStack
) -> None:
    keeper, metrics = config.keeper, persistence.metrics
    roster = Roster(stores.tenants, stores.policies, time.time)
    appetite = Appetite(keeper.batch_events, keeper.claim_idle_s)
    consumer = Consumer(stores.events, stores.counts, roster, metrics, appetite, time.time)
    relay_lease, job_lease = (_leadership(config, name, stack) for name in ("relay", "jobs"))
    relay = Relay(stores.changes, stores.index, roster, relay_lease, metrics, time.time)
    schedule = _schedule(config, stores, roster, job_lease, metrics)
    beat = heartbeat.heartbeat(stores.tenants, consumer, time.time)
    await _until_stopped(
        persistence.stop,
        persistence.repeat("consumer", consumer.step, 0),
        persistence.repeat("relay", relay.step, keeper.relay_interval_s),
        persistence.repeat("jobs", schedule.step, min(1.0, keeper.sweep_interval_s)),
        persistence.repeat("heartbeat", beat, heartbeat.INTERVAL_S),
    )


def _leadership(config: ProcessConfig, name: str, stack: AsyncExitStack) -> Leadership:
    async def take() -> Lease | None:
        return await try_lease(config.postgres.dsn, name)

    leadership = Leadership(take)
    stack.push_async_callback(leadership.release)
    return leadership


def _schedule(
    config: ProcessConfig, stores: Stores, roster: Roster, leadership: Leadership, metrics: Metrics
) -> Schedule:
    keeper, clock = config.keeper, time.time
    jobs = (
        plan_partitions(stores.ensure_partitions),
        sweep_items(stores.catalog, keeper.sweep_interval_s, metrics, clock),
        publish_epochs(stores.policies, stores.counts, roster, metrics, clock),
        forget_tombstones(stores.catalog, keeper.tombstone_hours, clock),
        prune_changes(stores.changes, keeper.change_keep_hours, clock),
        trim_log(stores.upkeep, roster),
    )
    return Schedule(jobs, leadership, metrics, clock)


async def _until_stopped(stop: asyncio.Event, *loops: Coroutine[None, None, None]) -> None:
    """Run the loops; at the stop each ends what it has in hand, within a time."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop) for loop in loops]
        await stop.wait()
        _, late = await asyncio.wait(running, timeout=STOP_GRACE_S)
        for task in late:
            log.warning("stop.cut_short")
            task.cancel()
