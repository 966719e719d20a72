"""The keeper: the one place where everything is built, and taken down in reverse."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress

from prometheus_client import CollectorRegistry

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_statskeeper import heartbeat
from nearcast_statskeeper.assembly.schedules import (
    lease_of,
    schedule_of_compaction,
    schedule_of_fits,
    schedule_of_jobs,
    schedules_of_source,
)
from nearcast_statskeeper.assembly.stores import Stores, open_stores
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.pacing import pause_until
from nearcast_statskeeper.persisting import PARTS, Persistence
from nearcast_statskeeper.rebuilding import rebuild_redis
from nearcast_statskeeper.relaying import Relay
from nearcast_statskeeper.remembering import Notebook, NotingLedger
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.vitals import Vitals
from nearcast_store.errors import StoreError
from nearcast_store.preflight.inspection import Preflight, inspections
from nearcast_telemetry.endpoint import Endpoint
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from nearcast_telemetry.preflightmetrics import KEEPER_PREFLIGHT_FINDINGS

STOP_GRACE_S = 10.0
SOURCE_LOOK_S = 0.1
COMPACTION_LOOK_S = 30.0

log = logger("keeper")


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
        stores = await open_stores(config, metrics, stack, first_policy)
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
        stores = await open_stores(config, Metrics(CollectorRegistry(), KEEPER_METRICS), stack)
        await stores.require_schema()
        return await rebuild_redis(stores.changes, stores.index, stores.tenants, tell)


def _tell_ready(ready: Callable[[], None] | None) -> None:
    log.info("keeper.ready")
    if ready is not None:
        ready()


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
    relay_lease, job_lease = (lease_of(config, name, stack) for name in ("relay", "jobs"))
    relay = Relay(stores.changes, stores.index, roster, relay_lease, metrics, time.time)
    schedule = schedule_of_jobs(config, stores, roster, job_lease, metrics)
    compaction = schedule_of_compaction(config, stores, persistence, stack)
    fitting = schedule_of_fits(config, stores, roster, persistence, stack)
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

    sources = schedules_of_source(config, stores, persistence, stack)
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


async def _until_stopped(stop: asyncio.Event, *loops: Coroutine[None, None, None]) -> None:
    """Run the loops; at the stop each ends what it has in hand, within a time."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop) for loop in loops]
        await stop.wait()
        _, late = await asyncio.wait(running, timeout=STOP_GRACE_S)
        for task in late:
            log.warning("stop.cut_short")
            task.cancel()


def _render(registry: CollectorRegistry, metrics: Metrics, preflight: Preflight) -> bytes:
    for severity, count in preflight.severities().items():
        metrics.set(KEEPER_PREFLIGHT_FINDINGS, count, severity.value)
    return render(registry)
