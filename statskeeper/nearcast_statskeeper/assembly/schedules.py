"""What is done on a schedule, under which lease; a lease of its own delays no other job."""

import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from nearcast_config.process import ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_statskeeper.assembly.stores import Stores
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
from nearcast_statskeeper.persisting import Persistence
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.sourcing import Outbox, SourceReader
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_store.behaviour.cursors import PostgresSourceCursors
from nearcast_store.counting.compacting import Compaction
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.leases import Lease, try_lease
from nearcast_store.log.opening import open_event_log
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_telemetry.metrics import Metrics


def lease_of(config: ProcessConfig, name: str, stack: AsyncExitStack) -> Leadership:
    """Who holds it leads in this; it is given back with the stack."""

    async def take() -> Lease | None:
        return await try_lease(config.postgres.dsn, name)

    lease = Leadership(take)
    stack.push_async_callback(lease.release)
    return lease


def schedule_of_jobs(
    config: ProcessConfig, stores: Stores, roster: Roster, lease: Leadership, metrics: Metrics
) -> Schedule:
    """What takes a moment, one after the other."""
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
    return Schedule(jobs, lease, metrics, clock)


def schedule_of_compaction(
    config: ProcessConfig, stores: Stores, persistence: Persistence, stack: AsyncExitStack
) -> Schedule:
    """It takes long, so its lease is its own and it delays no other job."""
    lease = lease_of(config, "compaction", stack)
    compaction = Compaction(stores.pool, _while_leading(persistence, lease))
    job = compact_ledger(compaction, stores.upkeep, persistence.metrics, time.time)
    return Schedule((job,), lease, persistence.metrics, time.time)


def schedule_of_fits(
    config: ProcessConfig, stores: Stores, roster: Roster, persistence: Persistence, stack: AsyncExitStack
) -> Schedule:
    """It reads every count, so its lease is its own and it delays no other job."""
    lease, metrics, clock = lease_of(config, "priors", stack), persistence.metrics, time.time
    priors = PostgresPriorStore(stores.pool)
    go_on = _while_leading(persistence, lease)
    curves = PostgresCurveStore(stores.pool)
    standpoint = Standpoint(stores.policies, curves, PostgresMarketStore(stores.pool))
    fitter = Fitter(standpoint, stores.counts, stores.catalog, priors, metrics, clock, go_on)
    curver = CurveFitter(stores.policies, stores.counts, curves, metrics, clock, go_on)
    return Schedule((fit_curves(curver, roster), fit_all(fitter, roster)), lease, metrics, clock)


def schedules_of_source(
    config: ProcessConfig, stores: Stores, persistence: Persistence, stack: AsyncExitStack
) -> tuple[Schedule, ...]:
    """Reads the customer's table if one is named; its lease is its own, so that it delays no other job."""
    source, metrics = config.keeper.source, persistence.metrics
    if not source.dsn:
        return ()
    lease = lease_of(config, f"source {source.name}", stack)
    go_on = _while_leading(persistence, lease)
    durability = Durability[config.log.durability.upper()]
    _, event_log = open_event_log(config, stack)
    outbox = Outbox(event_log, durability, f"{socket.gethostname()}-{source.name}")
    grounds = TenantGrounds(source.tenant, stores.tenants, stores.policies)
    cursors = PostgresSourceCursors(stores.pool)
    reader = SourceReader(source, grounds, outbox, cursors, metrics, time.time, go_on)
    return (Schedule((read_source(reader, source.interval_s),), lease, metrics, time.time),)


def _while_leading(persistence: Persistence, lease: Leadership) -> Callable[[], Awaitable[bool]]:
    async def go_on() -> bool:
        return not persistence.stop.is_set() and await lease.held()

    return go_on
