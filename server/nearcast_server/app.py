"""The gateway: the one place where everything is built, and taken down in reverse."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc
from grpc_health.v1.health import aio
from prometheus_client import CollectorRegistry

from nearcast_bandit.build import build
from nearcast_config.policy import Policy
from nearcast_config.process import Gateway, ProcessConfig
from nearcast_server.admission import spans_of
from nearcast_server.assembly.listening import listen, wrapper
from nearcast_server.assembly.monitoring import measured, told, watched
from nearcast_server.assembly.probing import PROBE_EVERY_S, needs, probes
from nearcast_server.assembly.services import Known, services_of
from nearcast_server.assembly.stores import Stores, open_stores
from nearcast_server.callers import KeyCallers
from nearcast_server.candidates import Candidates, candidates
from nearcast_server.decisionlog import DecisionLog
from nearcast_server.following import Regional
from nearcast_server.gate import Gate
from nearcast_server.gauging import Gauge
from nearcast_server.health import Health
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.refreshing import Refresher
from nearcast_server.rehearsing import Rehearsal
from nearcast_server.rpc.endpoint import InFlight
from nearcast_server.rpc.items import DISPLAY_FORMAT
from nearcast_server.rpc.machineslates import MachineSlates
from nearcast_server.rpc.openstream import Draining
from nearcast_server.serving import ServedTally
from nearcast_server.tenancy import Tenancies
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.decisions.stream import RedisDecisionStream
from nearcast_store.log.pressure import RedisLogPressure
from nearcast_store.preflight.inspection import Preflight, inspections
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_store.served.postgres import PostgresServedStore
from nearcast_telemetry.link import WorkerLink
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics

log = logger("gateway")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the gateway listens."""

    grpc_port: int
    metrics_port: int


async def run_gateway(
    config: ProcessConfig,
    stop: asyncio.Event,
    ready: Callable[[Addresses], None] | None = None,
    *,
    first_policy: Policy | None = None,
    link: WorkerLink | None = None,
) -> None:
    """Serve until told to stop, then let running calls end; a tenant without a policy gets the first one.

    With a link the gateway is one of several workers: they share the port, and who keeps them tells of all.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry, SERVER_METRICS)
    async with AsyncExitStack() as stack:
        stores = await open_stores(config, stack, first_policy)
        tenancies, board, machine = Tenancies(), Noticeboard(), MachineSlates()
        refresher = _refresher(stores, tenancies, board)
        callers = KeyCallers(stores.tenants, time.monotonic)
        stack.push_async_callback(callers.close)
        stack.push_async_callback(refresher.close)
        servicer, in_flight, draining = aio.HealthServicer(), InFlight(), Draining()
        preflight = Preflight(inspections(config, "gateway"), enforced=config.preflight.enforce)
        preflight.when_healed(stores.renew)
        sources = candidates(config, stores.index, tenancies, DISPLAY_FORMAT, metrics, machine.open)
        health_watch = Health(servicer, probes(stores, refresher, preflight, sources), needs())
        gate, gauge = _admission(config, stores, tenancies, metrics)
        served = _served_tally(stores, metrics, stack)
        known = _known(stores, tenancies, board, sources, machine, metrics, stack)
        services = services_of(config, stores, known, metrics, gate, served)
        wrap = wrapper(config.gateway, callers, in_flight, draining, metrics)
        server, port = await listen(config.gateway, services, wrap, servicer, shared=link is not None)
        metrics_port = await watched(
            config.gateway,
            link,
            lambda: measured(registry, metrics, tenancies, preflight, sources),
            told(preflight, health_watch, sources, gate),
            stack,
        )
        await preflight.refuse()
        await refresher.refresh()
        await _open_candidates(config, sources)
        await health_watch.look()
        await server.start()
        stack.push_async_callback(server.stop, None)
        log.info("gateway.ready", grpc_port=port, metrics_port=metrics_port)
        if link is not None:
            link.opened()
        if ready is not None:
            ready(Addresses(port, metrics_port))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(refresher.run(config.gateway.refresh_interval_s, stop))
            tasks.create_task(sources.run(stop))
            tasks.create_task(health_watch.run(PROBE_EVERY_S, stop))
            tasks.create_task(preflight.run(config.preflight.interval_s, stop))
            tasks.create_task(gauge.run(config.admission.interval_s, stop))
            tasks.create_task(served.run(config.gateway.served_interval_s, stop))
            tasks.create_task(known.run(stop))
            tasks.create_task(_drain_after(stop, config.gateway, server, health_watch, draining, in_flight))
    log.info("gateway.stopped")


async def _open_candidates(config: ProcessConfig, sources: Candidates) -> None:
    """Machine code that has to be made takes long: whoever may ask Redis meanwhile does not wait for it."""
    if config.gateway.candidates == "replica":
        await sources.open()


def _served_tally(stores: Stores, metrics: Metrics, stack: AsyncExitStack) -> ServedTally:
    served = ServedTally(PostgresServedStore(stores.pool), metrics)
    stack.push_async_callback(served.write_last)
    return served


def _decision_log(stores: Stores, metrics: Metrics, stack: AsyncExitStack) -> DecisionLog:
    decisions = DecisionLog(RedisDecisionStream(stores.log), build(), metrics)
    stack.push_async_callback(decisions.send_last)
    return decisions


def _known(
    stores: Stores,
    tenancies: Tenancies,
    board: Noticeboard,
    sources: Candidates,
    machine: MachineSlates,
    metrics: Metrics,
    stack: AsyncExitStack,
) -> Known:
    decisions = _decision_log(stores, metrics, stack)
    rehearsal = Rehearsal(sources.stage, stores.experiments, metrics)
    stack.push_async_callback(rehearsal.write_last)
    return Known(tenancies, board, sources.finder, machine, decisions, rehearsal)


def _refresher(stores: Stores, tenancies: Tenancies, board: Noticeboard) -> Refresher:
    return Refresher(
        tenancies,
        stores.tenants,
        stores.policies,
        stores.counts,
        board,
        time.time,
        Regional(
            stores.markets,
            PostgresPriorStore(stores.pool),
            stores.catalog,
            PostgresCurveStore(stores.pool),
            stores.experiments,
        ),
    )


def _admission(
    config: ProcessConfig, stores: Stores, tenancies: Tenancies, metrics: Metrics
) -> tuple[Gate, Gauge]:
    """Where events come in, and what opens and closes it."""
    admission = config.admission
    most_calls = max(1, int(config.gateway.max_concurrent_calls * admission.calls_share))
    most_of_one = max(1, int(most_calls * admission.tenant_share))
    gate = Gate(
        most_calls,
        admission.patience_s,
        metrics,
        random.random,
        lambda: most_of_one if len(tenancies.known()) > 1 else most_calls,
    )
    pressure = RedisLogPressure(stores.log, config.log.shards)
    return gate, Gauge(pressure, tenancies, gate, spans_of(admission), metrics)


async def _drain_after(
    stop: asyncio.Event,
    gateway: Gateway,
    server: grpc.aio.Server,
    watch: Health,
    draining: Draining,
    in_flight: InFlight,
) -> None:
    """At once when told to stop, whatever else still waits for a store."""
    await stop.wait()
    await watch.drain()
    draining.begin()
    await server.stop(gateway.shutdown_grace_s)
    await in_flight.ended()
