"""The gateway: the one place where everything is built, and taken down in reverse."""

import asyncio
import os
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

from nearcast_config.policy import Policy
from nearcast_config.process import Gateway, ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_ledger.requestid import RequestIds
from nearcast_server.callers import KeyCallers
from nearcast_server.cataloguing import Cataloguer
from nearcast_server.deciding import Decider
from nearcast_server.health import Health, Needs, Probe
from nearcast_server.listing import Lister
from nearcast_server.listpages import ListPages
from nearcast_server.recommending import Recommender
from nearcast_server.recording import Recorder
from nearcast_server.refreshing import Refresher
from nearcast_server.reporting import Reporter
from nearcast_server.rpc.catalog import CatalogService
from nearcast_server.rpc.endpoint import Deadlines, Endpoint, InFlight
from nearcast_server.rpc.event import EventService
from nearcast_server.rpc.recommend import RecommendService
from nearcast_server.rpc.service import Services, generic_handlers, methods
from nearcast_server.rpc.stats import StatsService
from nearcast_server.tenancy import Tenancies
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.connection import RedisConnection, RedisDownError, RedisReplyError
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.errors import StoreError
from nearcast_store.index.redis import RedisGeoIndex
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.endpoint import Endpoint as HttpEndpoint
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import (
    SERVER_INDEX_ORPHANS,
    SERVER_METRICS,
    SERVER_STATS_AGE_SECONDS,
    Metrics,
    render,
)

PROBE_EVERY_S = 1.0
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
) -> None:
    """Serve until told to stop, then let running calls end; a tenant without a policy gets the first one."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, SERVER_METRICS)
    async with AsyncExitStack() as stack:
        stores = await _open_stores(config, stack, first_policy)
        tenancies = Tenancies()
        refresher = Refresher(tenancies, stores.tenants, stores.policies, stores.counts, time.time)
        callers = KeyCallers(stores.tenants, time.monotonic)
        stack.push_async_callback(callers.close)
        stack.push_async_callback(refresher.close)
        servicer = aio.HealthServicer()
        health_watch = Health(servicer, _probes(stores, refresher), _needs())
        in_flight = InFlight()
        services = _services(config, stores, tenancies, metrics)
        server, port = await _server(config.gateway, services, callers, in_flight, metrics, servicer)
        http = HttpEndpoint(
            lambda: _render(registry, metrics, tenancies), health_watch.ready, setting="gateway.metrics_port"
        )
        metrics_port = await http.start(config.gateway.host, config.gateway.metrics_port)
        stack.push_async_callback(http.close)
        await refresher.refresh()
        await health_watch.look()
        await server.start()
        stack.push_async_callback(server.stop, None)
        log.info("gateway.ready", grpc_port=port, metrics_port=metrics_port)
        if ready is not None:
            ready(Addresses(port, metrics_port))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(refresher.run(config.gateway.refresh_interval_s, stop))
            tasks.create_task(health_watch.run(PROBE_EVERY_S, stop))
            tasks.create_task(_drain_after(stop, config.gateway, server, health_watch, in_flight))
    log.info("gateway.stopped")


async def _open_stores(config: ProcessConfig, stack: AsyncExitStack, first_policy: Policy | None) -> Stores:
    pool = await open_pool(config.postgres.dsn, config.postgres.pool_size, config.postgres.command_timeout_s)
    stack.push_async_callback(pool.close)
    index = RedisConnection(config.redis.geo_url, command_timeout_s=config.redis.command_timeout_s)
    stack.push_async_callback(index.close)
    log_url = config.redis.log_url or config.redis.geo_url
    event_connection = RedisConnection(log_url, command_timeout_s=config.redis.command_timeout_s)
    stack.push_async_callback(event_connection.close)
    durability = Durability[config.log.durability.upper()]
    events = RedisEventLog(
        event_connection, shards=config.log.shards, durability=durability, choose=secrets.randbelow
    )
    events.start()
    stack.push_async_callback(events.close)
    return Stores(
        pool,
        index,
        event_connection,
        events,
        PostgresCatalogStore(pool),
        PostgresCountStore(pool),
        PostgresPolicyStore(pool, first=first_policy),
        PostgresTenantStore(pool),
    )


def _services(config: ProcessConfig, stores: Stores, tenancies: Tenancies, metrics: Metrics) -> Services:
    clock = time.time
    index = RedisGeoIndex(stores.index, note_orphans=lambda count: metrics.add(SERVER_INDEX_ORPHANS, count))
    request_ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
    gateway_id = f"{socket.gethostname()}-{os.getpid()}"
    durability = Durability[config.log.durability.upper()]
    return Services(
        CatalogService(Cataloguer(stores.catalog, clock), ListPages(tenancies)),
        RecommendService(
            Recommender(index, tenancies, clock, Decider(request_ids, secrets.token_bytes)),
            Lister(index, tenancies, clock),
            clock,
            metrics,
        ),
        EventService(Recorder(stores.events, tenancies, clock, gateway_id, durability), metrics),
        StatsService(Reporter(stores.counts, stores.catalog, tenancies, clock)),
    )


async def _server(
    gateway: Gateway,
    services: Services,
    callers: KeyCallers,
    in_flight: InFlight,
    metrics: Metrics,
    servicer: aio.HealthServicer,
) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(
        maximum_concurrent_rpcs=gateway.max_concurrent_calls,
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", gateway.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    listed = methods(services)
    deadlines = Deadlines(gateway.default_deadline_s, gateway.max_deadline_s)
    handlers = generic_handlers(
        listed, lambda method: Endpoint(method, callers, deadlines, in_flight, metrics)
    )
    server.add_generic_rpc_handlers(tuple(handlers))
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


async def _drain_after(
    stop: asyncio.Event, gateway: Gateway, server: grpc.aio.Server, watch: Health, in_flight: InFlight
) -> None:
    """At once when told to stop, whatever else still waits for a store."""
    await stop.wait()
    await watch.drain()
    await server.stop(gateway.shutdown_grace_s)
    await in_flight.ended()


def _needs() -> tuple[Needs, ...]:
    return (
        Needs("nearcast.v1.CatalogService", ("postgres", "tenants")),
        Needs("nearcast.v1.RecommendService", ("index", "tenants")),
        Needs("nearcast.v1.EventService", ("log", "tenants")),
        Needs("nearcast.v1.StatsService", ("postgres", "tenants")),
    )


def _probes(stores: Stores, refresher: Refresher) -> dict[str, Probe]:
    return {
        "postgres": lambda: _postgres_answers(stores.pool),
        "index": lambda: _redis_answers(stores.index),
        "log": lambda: _takes_events(stores),
        "tenants": lambda: _have_been_read(refresher),
    }


async def _postgres_answers(pool: Pool) -> bool:
    try:
        async with asyncio.timeout(PROBE_EVERY_S), pool.connection() as connection:
            return bool(await connection.fetchval("select true"))
    except (StoreError, TimeoutError):
        return False


async def _takes_events(stores: Stores) -> bool:
    return stores.events.alive and await _redis_answers(stores.log)


async def _have_been_read(refresher: Refresher) -> bool:
    return refresher.read_once


async def _redis_answers(connection: RedisConnection) -> bool:
    try:
        return await connection.execute("PING") is not None
    except (RedisDownError, RedisReplyError):
        return False


def _render(registry: CollectorRegistry, metrics: Metrics, tenancies: Tenancies) -> bytes:
    ages = [time.time() - view.stats_at for view in tenancies.known()]
    metrics.set(SERVER_STATS_AGE_SECONDS, max(ages, default=0.0))
    return render(registry)
