"""The gateway's calls over memory adapters and one part that fails or hangs as a test wants."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import grpc
from prometheus_client import CollectorRegistry

from nearcast_config.policy import Policy
from nearcast_geo.point import Point
from nearcast_ledger.event import Durability, Entry
from nearcast_ledger.requestid import RequestIds
from nearcast_server.appraising import Appraiser
from nearcast_server.bordering import MarketKeeper
from nearcast_server.callers import KeyCallers
from nearcast_server.cataloguing import Cataloguer
from nearcast_server.deciding import Decider
from nearcast_server.gate import Gate
from nearcast_server.governing import Governor
from nearcast_server.listing import Lister
from nearcast_server.listpages import MARKETS, ListPages
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.recalling import Recall
from nearcast_server.recommending import Recommender
from nearcast_server.recording import Recorder
from nearcast_server.refreshing import Refresher
from nearcast_server.reporting import Reporter
from nearcast_server.retelling import Teller
from nearcast_server.rpc.admin import AdminService
from nearcast_server.rpc.catalog import CatalogService
from nearcast_server.rpc.endpoint import Deadlines, Endpoint, InFlight, Method
from nearcast_server.rpc.event import EventService
from nearcast_server.rpc.experiments import ExperimentRequests
from nearcast_server.rpc.openstream import Draining, Limits
from nearcast_server.rpc.recommend import RecommendService
from nearcast_server.rpc.service import Services, generic_handlers, methods
from nearcast_server.rpc.stats import StatsService
from nearcast_server.rpc.streaming import StreamEndpoint, StreamMethod
from nearcast_server.searching import IndexFinder
from nearcast_server.serving import ServedTally
from nearcast_server.tenancy import Tenancies
from nearcast_server.watching import StatsWatch
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.index.protocol import Found
from nearcast_store.markets.memory import MemoryMarketStore
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.seen.memory import MemorySeenStore
from nearcast_store.served.memory import MemoryServedStore
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_store.tenants.protocol import Caller
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.gateways import Refusal

NOBODY: Any = None
DEADLINES = Deadlines(default_s=0.3, max_s=0.5)
LIMITS = Limits()
MOST_EVENT_CALLS = 50
PATIENCE_S = 0.3


async def nothing() -> None:
    """A part that works."""


@dataclass
class Faults:
    """What each part does before it works."""

    index: Callable[[], Awaitable[None]] = nothing
    callers: Callable[[], Awaitable[None]] = nothing
    log: Callable[[], Awaitable[None]] = nothing


@dataclass
class Faulty:
    """A server on a port of its own, and the way to it."""

    faults: Faults
    channel: grpc.aio.Channel
    key: str
    in_flight: InFlight
    registry: CollectorRegistry
    server: grpc.aio.Server
    gate: Gate
    port: int
    appended: list[Entry] = field(default_factory=list)

    async def raw(self, path: str, body: bytes, *, timeout_s: float | None = 5.0) -> bytes:
        """Bytes in, bytes out; Refusal for an error status."""
        call: Any = self.channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        try:
            answer: bytes = await call(
                body, metadata=(("authorization", f"Bearer {self.key}"),), timeout=timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise Refusal.of(error) from None
        return answer


class _Index:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def near(self, tenant_id: int, center: Point, radius_m: float, most: int) -> Found:
        await self._faults.index()
        return Found((), truncated=False)


class _NoDecisions:
    """Nothing was logged."""

    async def find(self, tenant_id: int, request_id: UUID) -> bytes | None:
        return None


class _Tenants(MemoryTenantStore):
    def __init__(self, faults: Faults) -> None:
        super().__init__(time.time)
        self._faults = faults

    async def caller(self, key: str) -> Caller | None:
        await self._faults.callers()
        return await super().caller(key)


class _Log:
    def __init__(self, faults: Faults, appended: list[Entry]) -> None:
        self._faults = faults
        self._appended = appended

    async def append(self, entry: Entry) -> Durability:
        await self._faults.log()
        self._appended.append(entry)
        return Durability.MEMORY


def _admin_service(
    policies: MemoryPolicyStore, catalog: MemoryCatalogStore, tenancies: Tenancies
) -> AdminService:
    teller = Teller(_NoDecisions(), catalog, policies, 3, time.time)
    return AdminService(Governor(policies, MemoryMarketStore()), ListPages(tenancies), teller)


def _catalog_service(catalog: MemoryCatalogStore, tenancies: Tenancies) -> CatalogService:
    return CatalogService(
        Cataloguer(catalog, time.time),
        MarketKeeper(MemoryMarketStore(), time.time),
        ListPages(tenancies),
        ListPages(tenancies, MARKETS),
    )


@asynccontextmanager
async def faulty_gateway(deadlines: Deadlines = DEADLINES, limits: Limits = LIMITS) -> AsyncIterator[Faulty]:
    """Every RPC, as the real gateway answers it."""
    faults, tenancies, appended = Faults(), Tenancies(), list[Entry]()
    tenants, policies, counts = _Tenants(faults), MemoryPolicyStore(time.time), MemoryCountStore()
    tenant_id = await tenants.ensure_tenant("acme", "Acme")
    key, _ = await tenants.create_key(tenant_id, "operator", "tests", None)
    await policies.apply(tenant_id, Policy(), "tests", "")
    board = Noticeboard()
    await Refresher(tenancies, tenants, policies, counts, board, time.time).refresh()
    registry, in_flight = CollectorRegistry(), InFlight()
    metrics, callers = Metrics(registry, SERVER_METRICS), KeyCallers(tenants, time.monotonic)
    gate = Gate(MOST_EVENT_CALLS, PATIENCE_S, metrics, lambda: 0.0, lambda: MOST_EVENT_CALLS)
    catalog, finder = MemoryCatalogStore(MemoryChangeFeed(time.time)), IndexFinder(_Index(faults))
    served = MemoryServedStore()
    reporter = Reporter(counts, catalog, served, tenancies, time.time)
    request_ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
    services = Services(
        _catalog_service(catalog, tenancies),
        RecommendService(
            Recommender(
                finder,
                tenancies,
                time.time,
                Decider(request_ids, secrets.token_bytes),
                Recall(MemorySeenStore()),
            ),
            Lister(finder, tenancies, time.time),
            time.time,
            metrics,
            ServedTally(served, metrics),
            Appraiser(catalog),
        ),
        EventService(
            Recorder(_Log(faults, appended), tenancies, time.time, "faulty", Durability.MEMORY),
            metrics,
            gate,
        ),
        StatsService(reporter, StatsWatch(reporter, counts, tenancies, board), 15.0),
        _admin_service(policies, catalog, tenancies),
        ExperimentRequests(NOBODY, NOBODY),
    )
    server = grpc.aio.server()
    draining = Draining()

    def wrap(method: Method | StreamMethod) -> Endpoint | StreamEndpoint:
        if isinstance(method, StreamMethod):
            return StreamEndpoint(method, callers, limits, draining, in_flight, metrics)
        return Endpoint(method, callers, deadlines, in_flight, metrics)

    server.add_generic_rpc_handlers(tuple(generic_handlers(methods(services), wrap)))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.use_local_subchannel_pool", 1)]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            yield Faulty(faults, channel, key, in_flight, registry, server, gate, port, appended)
    finally:
        await server.stop(0)
        await in_flight.ended()
        await callers.close()


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    """A part that fails."""

    async def fail() -> None:
        raise error

    return fail


def hanging(gate: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """A part that waits until the gate opens."""

    async def wait() -> None:
        await gate.wait()

    return wait
