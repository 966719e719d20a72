"""The gateway: the one place where everything is built, and taken down in reverse."""

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from nearcast_bandit.build import build
from nearcast_config.policy import Policy
from nearcast_config.process import Gateway, ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_ledger.requestid import RequestIds
from nearcast_server.admission import spans_of
from nearcast_server.appraising import Appraiser
from nearcast_server.bordering import MarketKeeper
from nearcast_server.callers import KeyCallers
from nearcast_server.candidates import Candidates, candidates
from nearcast_server.cataloguing import Cataloguer
from nearcast_server.comparing import Comparer
from nearcast_server.deciding import Decider
from nearcast_server.decisionlog import DecisionLog
from nearcast_server.experimenting import Experimenter
from nearcast_server.finding import Finder
from nearcast_server.following import Regional
from nearcast_server.gate import Gate
from nearcast_server.gauging import Gauge
from nearcast_server.governing import Governor
from nearcast_server.health import Health, Needs, Probe
from nearcast_server.listing import Lister
from nearcast_server.listpages import MARKETS, POLICIES, ListPages
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.recalling import Recall
from nearcast_server.recollection import NotingLog, Recollection
from nearcast_server.recommending import Recommender
from nearcast_server.recording import Recorder
from nearcast_server.refreshing import Refresher
from nearcast_server.rehearsing import Rehearsal
from nearcast_server.reporting import Reporter
from nearcast_server.retelling import Teller
from nearcast_server.rpc.admin import AdminService
from nearcast_server.rpc.catalog import CatalogService
from nearcast_server.rpc.endpoint import Deadlines, Endpoint, InFlight, Method
from nearcast_server.rpc.event import EventService
from nearcast_server.rpc.experiments import ExperimentRequests
from nearcast_server.rpc.items import DISPLAY_FORMAT
from nearcast_server.rpc.machineslates import MachineSlates
from nearcast_server.rpc.recommend import RecommendService
from nearcast_server.rpc.service import Services, generic_handlers, methods
from nearcast_server.rpc.stats import StatsService
from nearcast_server.rpc.streaming import LAST_WORD_S, Draining, Limits, StreamEndpoint, StreamMethod
from nearcast_server.serving import ServedTally
from nearcast_server.tenancy import Tenancies
from nearcast_server.watching import StatsWatch
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.connection import RedisConnection, RedisDownError, RedisReplyError
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.traffic import PostgresTraffic
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.decisions.stream import RedisDecisionStream
from nearcast_store.errors import StoreError
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.log.durability import append_timeout_s
from nearcast_store.log.pressure import RedisLogPressure
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.preflight.finding import Store
from nearcast_store.preflight.inspection import Preflight, inspections
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_store.seen.redis import RedisSeenStore
from nearcast_store.served.postgres import PostgresServedStore
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.answermetrics import SERVER_STATS_AGE_SECONDS
from nearcast_telemetry.budgetmetrics import SERVER_CAPPED_ITEMS
from nearcast_telemetry.endpoint import Endpoint as HttpEndpoint
from nearcast_telemetry.link import WorkerLink
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics, render
from nearcast_telemetry.preflightmetrics import SERVER_PREFLIGHT_FINDINGS

PROBE_EVERY_S = 1.0
MOST_CALLS_PER_CONNECTION = 1000
log = logger("gateway")


class PortInUseError(Exception):
    """A port that the gateway shall listen on is taken."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Every adapter of the gateway."""

    pool: Pool
    index: RedisConnection
    log: RedisConnection
    events: RedisEventLog
    catalog: PostgresCatalogStore
    counts: PostgresCountStore
    policies: PostgresPolicyStore
    tenants: PostgresTenantStore
    markets: PostgresMarketStore
    experiments: PostgresExperimentStore

    async def renew(self, store: Store) -> None:
        """Connections that were made while a role was unsafe stay so until they are replaced."""
        if store == "postgres":
            await self.pool.renew()


@dataclass(frozen=True, slots=True)
class Known:
    """What the gateway knows of its tenants, who is told of it, and who finds and writes their items.

    `decisions` is told what was decided, `rehearsal` decides some of it again.
    """

    tenancies: Tenancies
    board: Noticeboard
    finder: Finder
    machine: MachineSlates
    decisions: DecisionLog
    rehearsal: Rehearsal

    async def run(self, stop: asyncio.Event) -> None:
        """What goes on beside the requests."""
        await asyncio.gather(self.decisions.run(stop), self.rehearsal.run(stop))


@dataclass(frozen=True, slots=True)
class Told:
    """What is missing before everything can be answered, what is wrong all the same, and what presses."""

    missing: Callable[[], str | None]
    alarm: Callable[[], str | None]
    note: Callable[[], str]

    def aside(self) -> str | None:
        """All that is told of a process that is ready."""
        return "; ".join(said for said in (self.alarm(), self.note()) if said) or None


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
        stores = await _open_stores(config, stack, first_policy)
        tenancies, board, machine = Tenancies(), Noticeboard(), MachineSlates()
        refresher = _refresher(stores, tenancies, board)
        callers = KeyCallers(stores.tenants, time.monotonic)
        stack.push_async_callback(callers.close)
        stack.push_async_callback(refresher.close)
        servicer, in_flight, draining = aio.HealthServicer(), InFlight(), Draining()
        preflight = Preflight(inspections(config, "gateway"), enforced=config.preflight.enforce)
        preflight.when_healed(stores.renew)
        sources = candidates(config, stores.index, tenancies, DISPLAY_FORMAT, metrics, machine.open)
        health_watch = Health(servicer, _probes(stores, refresher, preflight, sources), _needs())
        gate, gauge = _admission(config, stores, tenancies, metrics)
        served = _served_tally(stores, metrics, stack)
        known = _known(stores, tenancies, board, sources, machine, metrics, stack)
        services = _services(config, stores, known, metrics, gate, served)
        wrap = _wrapper(config.gateway, callers, in_flight, draining, metrics)
        server, port = await _server(config.gateway, services, wrap, servicer, shared=link is not None)
        metrics_port = await _watched(
            config.gateway,
            link,
            lambda: _measured(registry, metrics, tenancies, preflight, sources),
            _told(preflight, health_watch, sources, gate),
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


async def _open_stores(config: ProcessConfig, stack: AsyncExitStack, first_policy: Policy | None) -> Stores:
    pool = await open_pool(config.postgres.dsn, config.postgres.pool_size, config.postgres.command_timeout_s)
    stack.push_async_callback(pool.close)
    index = RedisConnection(config.redis.geo_url, command_timeout_s=config.redis.command_timeout_s)
    stack.push_async_callback(index.close)
    log_url = config.redis.log_url or config.redis.geo_url
    durability = Durability[config.log.durability.upper()]
    timeout_s = append_timeout_s(durability, config.redis.command_timeout_s)
    event_connection = RedisConnection(log_url, command_timeout_s=timeout_s)
    stack.push_async_callback(event_connection.close)
    events = RedisEventLog(
        event_connection, shards=config.log.shards, durability=durability, choose=secrets.randbelow
    )
    events.start()
    stack.push_async_callback(events.close)
    markets = PostgresMarketStore(pool)
    return Stores(
        pool,
        index,
        event_connection,
        events,
        PostgresCatalogStore(pool, markets),
        PostgresCountStore(pool),
        PostgresPolicyStore(pool, first=first_policy),
        PostgresTenantStore(pool),
        markets,
        PostgresExperimentStore(pool),
    )


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


def _services(
    config: ProcessConfig,
    stores: Stores,
    known: Known,
    metrics: Metrics,
    gate: Gate,
    served: ServedTally,
) -> Services:
    clock, tenancies, finder = time.time, known.tenancies, known.finder
    reporter = Reporter(stores.counts, stores.catalog, PostgresServedStore(stores.pool), tenancies, clock)
    watch = StatsWatch(reporter, stores.counts, tenancies, known.board)
    recollection = Recollection(
        RedisSeenStore(stores.index),
        config.gateway.seen_cache_s,
        config.gateway.seen_cache_mib << 20,
        time.monotonic,
        metrics,
    )
    request_ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
    gateway_id = f"{socket.gethostname()}-{os.getpid()}"
    durability = Durability[config.log.durability.upper()]
    governor = Governor(stores.policies, stores.markets, PostgresTraffic(stores.pool))
    experimenter = Experimenter(governor, stores.policies, stores.experiments, clock)
    return Services(
        CatalogService(
            Cataloguer(stores.catalog, clock),
            MarketKeeper(stores.markets, clock),
            ListPages(tenancies),
            ListPages(tenancies, MARKETS),
        ),
        RecommendService(
            Recommender(
                finder,
                tenancies,
                clock,
                Decider(request_ids, secrets.token_bytes),
                Recall(recollection),
                known.decisions,
                known.rehearsal,
            ),
            Lister(finder, tenancies, clock),
            clock,
            metrics,
            served,
            Appraiser(stores.catalog),
            known.machine,
        ),
        EventService(
            Recorder(NotingLog(stores.events, recollection), tenancies, clock, gateway_id, durability),
            metrics,
            gate,
            config.gateway.stream_window,
        ),
        StatsService(reporter, watch, config.gateway.watch_heartbeat_s),
        AdminService(governor, ListPages(tenancies, POLICIES), _teller(config, stores)),
        ExperimentRequests(experimenter, Comparer(governor, experimenter, stores.experiments, clock)),
    )


def _teller(config: ProcessConfig, stores: Stores) -> Teller:
    decisions, keep_days = PostgresDecisionStore(stores.pool), config.keeper.decision_keep_days
    return Teller(decisions, stores.catalog, stores.policies, keep_days, time.time)


def _wrapper(
    gateway: Gateway, callers: KeyCallers, in_flight: InFlight, draining: Draining, metrics: Metrics
) -> Callable[[Method | StreamMethod], Endpoint | StreamEndpoint]:
    deadlines = Deadlines(gateway.default_deadline_s, gateway.max_deadline_s)
    limits = {
        name: Limits(gateway.stream_idle_s, gateway.stream_max_age_s, per_key, gateway.max_message_bytes)
        for name, per_key in (
            ("StreamEvents", gateway.streams_per_key),
            ("WatchStats", gateway.watchers_per_key),
        )
    }

    def wrap(method: Method | StreamMethod) -> Endpoint | StreamEndpoint:
        if isinstance(method, StreamMethod):
            return StreamEndpoint(method, callers, limits[method.name], draining, in_flight, metrics)
        return Endpoint(method, callers, deadlines, in_flight, metrics, gateway.max_message_bytes)

    return wrap


def server_options(gateway: Gateway, *, shared: bool) -> list[tuple[str, int]]:
    """What gRPC is told; `shared`: others listen on the same port."""
    return [
        ("grpc.so_reuseport", int(shared)),
        # Above our own limit, so that a message a little too large is told so with a reason.
        ("grpc.max_receive_message_length", 2 * gateway.max_message_bytes),
        # Without it calls that are reset as soon as they are sent crowd out those of other connections.
        ("grpc.max_concurrent_streams", MOST_CALLS_PER_CONNECTION),
        # Without it whoever connects and says nothing keeps the socket for two minutes.
        ("grpc.server_handshake_timeout_ms", int(gateway.handshake_timeout_s * 1000)),
        ("grpc.max_send_message_length", -1),
        # Without these a client that does not read keeps its stream, and its place, for ever: what waits
        # to be written is beyond our reach. Who began just before the age still has a stream's full time.
        ("grpc.max_connection_age_ms", int(gateway.stream_max_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int((gateway.stream_max_age_s + LAST_WORD_S) * 1000)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", int(gateway.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(gateway.keepalive_timeout_s * 1000)),
        # Without this one an unanswered ping is waited for a minute, whatever the one above says.
        ("grpc.http2.ping_timeout_ms", int(gateway.keepalive_timeout_s * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
    ]


async def _server(
    gateway: Gateway,
    services: Services,
    wrap: Callable[[Method | StreamMethod], Endpoint | StreamEndpoint],
    servicer: aio.HealthServicer,
    *,
    shared: bool,
) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(
        maximum_concurrent_rpcs=gateway.max_concurrent_calls,
        options=server_options(gateway, shared=shared),
    )
    listed = methods(services)
    server.add_generic_rpc_handlers(tuple(generic_handlers(listed, wrap)))
    add_HealthServicer_to_server(servicer, server)
    if gateway.reflection:
        names = (*listed, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(f"{gateway.host}:{gateway.grpc_port}")
    except RuntimeError as error:
        raise PortInUseError(
            f"port {gateway.grpc_port} on {gateway.host} is in use or not allowed;"
            " stop what listens there or set gateway.grpc_port to another"
        ) from error
    return server, port


async def _watched(
    gateway: Gateway,
    link: WorkerLink | None,
    measured: Callable[[], CollectorRegistry],
    told: Told,
    stack: AsyncExitStack,
) -> int:
    """Tell of ourselves, on a port of our own or to who keeps us; the port, 0 for none."""
    if link is not None:
        await link.start(measured, told.missing, told.aside)
        stack.push_async_callback(link.close)
        return 0
    http = HttpEndpoint(
        lambda: render(measured()),
        told.missing,
        setting="gateway.metrics_port",
        note=told.note,
        alarm=told.alarm,
    )
    port = await http.start(gateway.host, gateway.metrics_port)
    stack.push_async_callback(http.close)
    return port


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


def _told(preflight: Preflight, watch: Health, sources: Candidates, gate: Gate) -> Told:
    return Told(
        lambda: preflight.missing() or watch.ready(),
        sources.alarm,
        lambda: "; ".join(filter(None, (gate.told(), sources.told()))),
    )


def _needs() -> tuple[Needs, ...]:
    return (
        Needs("nearcast.v1.CatalogService", ("postgres", "tenants")),
        Needs("nearcast.v1.RecommendService", ("candidates", "tenants")),
        Needs("nearcast.v1.EventService", ("log", "tenants")),
        Needs("nearcast.v1.StatsService", ("postgres", "tenants")),
        Needs("nearcast.v1.AdminService", ("postgres", "tenants")),
    )


def _probes(
    stores: Stores, refresher: Refresher, preflight: Preflight, sources: Candidates
) -> dict[str, Probe]:
    def safe(store: Store, answers: Probe) -> Probe:
        async def probe() -> bool:
            return await answers() and not preflight.trouble(store)

        return probe

    return {
        "postgres": safe("postgres", lambda: _postgres_answers(stores.pool)),
        "candidates": safe("geo", lambda: _has_candidates(stores.index, sources)),
        "log": safe("log", lambda: _takes_events(stores)),
        "tenants": lambda: _have_been_read(refresher),
    }


async def _postgres_answers(pool: Pool) -> bool:
    try:
        async with asyncio.timeout(PROBE_EVERY_S), pool.connection() as connection:
            return bool(await connection.fetchval("select true"))
    except (StoreError, TimeoutError):
        return False


async def _has_candidates(index: RedisConnection, sources: Candidates) -> bool:
    return await _redis_answers(index) or sources.are_warm()


async def _takes_events(stores: Stores) -> bool:
    return stores.events.alive and await _redis_answers(stores.log)


async def _have_been_read(refresher: Refresher) -> bool:
    return refresher.read_once


async def _redis_answers(connection: RedisConnection) -> bool:
    try:
        return await connection.execute("PING") is not None
    except (RedisDownError, RedisReplyError):
        return False


def _measured(
    registry: CollectorRegistry,
    metrics: Metrics,
    tenancies: Tenancies,
    preflight: Preflight,
    sources: Candidates,
) -> CollectorRegistry:
    """With what is only measured when somebody asks."""
    ages = [time.time() - view.stats_at for view in tenancies.known()]
    metrics.set(SERVER_STATS_AGE_SECONDS, max(ages, default=0.0))
    for severity, count in preflight.severities().items():
        metrics.set(SERVER_PREFLIGHT_FINDINGS, count, severity.value)
    capped = [(view.capped.by_item, len(view.capped)) for view in tenancies.known()]
    metrics.set(SERVER_CAPPED_ITEMS, sum(alone for alone, _ in capped), "item")
    metrics.set(SERVER_CAPPED_ITEMS, sum(every - alone for alone, every in capped), "owner")
    sources.measure(metrics)
    return registry
