"""The keeper: the one place where everything is built, and taken down in reverse."""

import asyncio
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_statskeeper import heartbeat
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.grounding import TenantGrounds
from nearcast_statskeeper.jobs.archiving import drop_decisions, forget_shadows, keep_decisions
from nearcast_statskeeper.jobs.compacting import compact_ledger
from nearcast_statskeeper.jobs.curving import CurveFitter, fit_curves
from nearcast_statskeeper.jobs.dismissing import forget_consumers
from nearcast_statskeeper.jobs.fitting import Fitter, fit_all
from nearcast_statskeeper.jobs.forgetting import forget_tombstones
from nearcast_statskeeper.jobs.lapsing import drop_count_changes
from nearcast_statskeeper.jobs.partitioning import plan_partitions
from nearcast_statskeeper.jobs.placing import place_items
from nearcast_statskeeper.jobs.pruning import prune_changes
from nearcast_statskeeper.jobs.publishing import publish_epochs
from nearcast_statskeeper.jobs.reading import read_source
from nearcast_statskeeper.jobs.schedule import Schedule
from nearcast_statskeeper.jobs.sweeping import sweep_items
from nearcast_statskeeper.jobs.trimming import trim_log
from nearcast_statskeeper.leadership import Leadership
from nearcast_statskeeper.pacing import pause_until
from nearcast_statskeeper.persisting import PARTS, Persistence
from nearcast_statskeeper.rebuilding import rebuild_redis
from nearcast_statskeeper.relaying import Relay
from nearcast_statskeeper.remembering import Notebook, NotingLedger
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.sourcing import Outbox, SourceReader
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_statskeeper.vitals import Vitals
from nearcast_store.behaviour.cursors import PostgresSourceCursors
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.compacting import Compaction
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.decisions.stream import RedisDecisionStream
from nearcast_store.errors import StoreError
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.leases import Lease, try_lease
from nearcast_store.log.durability import append_timeout_s
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.log.source import RedisEventSource
from nearcast_store.log.upkeep import RedisLogUpkeep
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.migration import require_schema
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.preflight.finding import Store
from nearcast_store.preflight.inspection import Preflight, inspections
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_store.redis_client import open_client
from nearcast_store.relay.applying import RedisIndexWriter
from nearcast_store.seen.redis import RedisSeenStore
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.endpoint import Endpoint
from nearcast_telemetry.foldmetrics import KEEPER_ENTRIES_LOST, KEEPER_LOG_RESETS
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from nearcast_telemetry.preflightmetrics import KEEPER_PREFLIGHT_FINDINGS

# A fold or a sweep may take longer than a statement of the gateway, and nobody waits for it.
STATEMENT_S = 30.0
STOP_GRACE_S = 10.0
SOURCE_LOOK_S = 0.1
COMPACTION_LOOK_S = 30.0

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
        preflight = Preflight(inspections(config, "keeper"), enforced=config.preflight.enforce)
        endpoint = Endpoint(
            lambda: _render(registry, metrics, preflight),
            lambda: preflight.missing() or vitals.missing(),
            setting="keeper.metrics_port",
        )
        port = await endpoint.start(config.keeper.host, config.keeper.metrics_port)
        stack.push_async_callback(endpoint.close)
        log.info("keeper.started", metrics_port=port)
        stores = await _open_stores(config, metrics, stack, first_policy)
        preflight.when_healed(stores.renew)
        await persistence.once("schema", stores.require_schema)
        if not stop.is_set():
            await _make_partitions(stores)
            await preflight.refuse()
            await _work(config, stores, persistence, preflight, stack)
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


async def _make_partitions(stores: Stores) -> None:
    """If it can be done; otherwise the preflight says what is missing."""
    with suppress(StoreError):
        await stores.ensure_partitions()


async def _widen(shards: int, stores: Stores, roster: Roster) -> None:
    """Whoever appends may be set to more shards than this keeper, or was: those are read all the same."""
    found = await stores.upkeep.widen(await roster.tenant_ids())
    if stores.events.widen(found):
        log.warning(
            "log.shards_found", set=shards, read=found, fix=f"set log.shards to {found} where it is less"
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
    config: ProcessConfig,
    stores: Stores,
    persistence: Persistence,
    preflight: Preflight,
    stack: AsyncExitStack,
) -> None:
    keeper, metrics = config.keeper, persistence.metrics
    roster = Roster(stores.tenants, stores.policies, time.time)
    appetite = Appetite(keeper.batch_events, keeper.claim_idle_s, keeper.bury_unforeseen)
    notebook = Notebook(stores.seen, roster, metrics, time.time)
    ledger = NotingLedger(stores.counts, notebook)
    consumer = Consumer(stores.events, ledger, roster, metrics, appetite, time.time)
    relay_lease, job_lease = (_leadership(config, name, stack) for name in ("relay", "jobs"))
    relay = Relay(stores.changes, stores.index, roster, relay_lease, metrics, time.time)
    schedule = _schedule(config, stores, roster, job_lease, metrics)
    compaction = _compaction_schedule(config, stores, persistence, stack)
    fitting = _fitting_schedule(config, stores, roster, persistence, stack)
    beat = heartbeat.heartbeat(stores.tenants, consumer, time.time)

    async def look_again() -> bool:
        await _make_partitions(stores)
        found = await preflight.step()
        await _widen(config.log.shards, stores, roster)
        return found

    async def count() -> bool:
        # What is acknowledged is read no more: Postgres must be one that remembers.
        preflight.require("postgres")
        return await consumer.step()

    sources = _source_schedule(config, stores, persistence, stack)
    await _until_stopped(
        persistence.stop,
        *(persistence.repeat("jobs", each.step, SOURCE_LOOK_S) for each in sources),
        persistence.repeat("preflight", look_again, config.preflight.interval_s),
        persistence.repeat("consumer", count, 0),
        persistence.repeat("relay", relay.step, keeper.relay_interval_s),
        persistence.repeat("jobs", schedule.step, min(1.0, keeper.sweep_interval_s)),
        persistence.repeat("jobs", compaction.step, COMPACTION_LOOK_S),
        persistence.repeat("jobs", fitting.step, 1.0),
        persistence.repeat("heartbeat", beat, heartbeat.INTERVAL_S),
        notebook.run(persistence.pause, persistence.stop),
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
        place_items(stores.catalog, metrics),
        publish_epochs(stores.policies, stores.counts, stores.catalog, roster, metrics, clock),
        forget_tombstones(stores.catalog, keeper.tombstone_hours, clock),
        prune_changes(stores.changes, keeper.change_keep_hours, clock),
        drop_count_changes(stores.counts),
        trim_log(stores.upkeep, roster, config.admission.narrow_memory_share, metrics),
        forget_consumers(stores.upkeep, roster),
        keep_decisions(
            stores.waiting_decisions,
            stores.decisions,
            roster.tenant_ids,
            keeper.decision_keep_days,
            metrics,
            clock,
        ),
        drop_decisions(stores.decisions, keeper.decision_keep_days, clock),
        forget_shadows(PostgresExperimentStore(stores.pool), keeper.decision_keep_days, clock),
    )
    return Schedule(jobs, leadership, metrics, clock)


def _compaction_schedule(
    config: ProcessConfig, stores: Stores, persistence: Persistence, stack: AsyncExitStack
) -> Schedule:
    """It takes long, so its lease is its own and it delays no other job."""
    lease = _leadership(config, "compaction", stack)
    compaction = Compaction(stores.pool, _while_leading(persistence, lease))
    job = compact_ledger(compaction, stores.upkeep, persistence.metrics, time.time)
    return Schedule((job,), lease, persistence.metrics, time.time)


def _fitting_schedule(
    config: ProcessConfig, stores: Stores, roster: Roster, persistence: Persistence, stack: AsyncExitStack
) -> Schedule:
    """It reads every count, so its lease is its own and it delays no other job."""
    lease, metrics, clock = _leadership(config, "priors", stack), persistence.metrics, time.time
    priors = PostgresPriorStore(stores.pool)
    go_on = _while_leading(persistence, lease)
    curves = PostgresCurveStore(stores.pool)
    standpoint = Standpoint(stores.policies, curves, PostgresMarketStore(stores.pool))
    fitter = Fitter(standpoint, stores.counts, stores.catalog, priors, metrics, clock, go_on)
    curver = CurveFitter(stores.policies, stores.counts, curves, metrics, clock, go_on)
    return Schedule((fit_curves(curver, roster), fit_all(fitter, roster)), lease, metrics, clock)


def _while_leading(persistence: Persistence, lease: Leadership) -> Callable[[], Awaitable[bool]]:
    async def go_on() -> bool:
        return not persistence.stop.is_set() and await lease.held()

    return go_on


def _source_schedule(
    config: ProcessConfig, stores: Stores, persistence: Persistence, stack: AsyncExitStack
) -> tuple[Schedule, ...]:
    """Reads the customer's table if one is named; its lease is its own, so that it delays no other job."""
    source, metrics = config.keeper.source, persistence.metrics
    if not source.dsn:
        return ()
    lease = _leadership(config, f"source {source.name}", stack)

    go_on = _while_leading(persistence, lease)
    durability = Durability[config.log.durability.upper()]
    event_log = _event_log(config, durability, stack)
    outbox = Outbox(event_log, durability, f"{socket.gethostname()}-{source.name}")
    grounds = TenantGrounds(source.tenant, stores.tenants, stores.policies)
    cursors = PostgresSourceCursors(stores.pool)
    reader = SourceReader(source, grounds, outbox, cursors, metrics, time.time, go_on)
    return (Schedule((read_source(reader, source.interval_s),), lease, metrics, time.time),)


def _event_log(config: ProcessConfig, durability: Durability, stack: AsyncExitStack) -> RedisEventLog:
    """The gateway's end of the log."""
    connection = RedisConnection(
        config.redis.log_url or config.redis.geo_url,
        command_timeout_s=append_timeout_s(durability, config.redis.command_timeout_s),
    )
    stack.push_async_callback(connection.close)
    event_log = RedisEventLog(
        connection, shards=config.log.shards, durability=durability, choose=secrets.randbelow
    )
    event_log.start()
    stack.push_async_callback(event_log.close)
    return event_log


def _render(registry: CollectorRegistry, metrics: Metrics, preflight: Preflight) -> bytes:
    for severity, count in preflight.severities().items():
        metrics.set(KEEPER_PREFLIGHT_FINDINGS, count, severity.value)
    return render(registry)


async def _until_stopped(stop: asyncio.Event, *loops: Coroutine[None, None, None]) -> None:
    """Run the loops; at the stop each ends what it has in hand, within a time."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop) for loop in loops]
        await stop.wait()
        _, late = await asyncio.wait(running, timeout=STOP_GRACE_S)
        for task in late:
            log.warning("stop.cut_short")
            task.cancel()
