"""Real gateways and keepers for tests: they run in the test's own event loop and are spoken to over gRPC."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import grpc
import msgspec
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, item_pb2, location_pb2, recommend_pb2, stats_pb2
from nearcast_config.process import Gateway as GatewayConfig
from nearcast_config.process import Keeper, Postgres, Preflight, ProcessConfig, Redis
from nearcast_server.app import Addresses, run_gateway
from nearcast_statskeeper.app import run_keeper
from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_store.tenants.protocol import Role
from tests.services import new_database

T = TypeVar("T")
TICK_S = 0.02
DETAILS = "grpc-status-details-bin"
SERVICES = tuple(
    service
    for module in (admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)
PATHS = {rpc.name: f"/{service.full_name}/{rpc.name}" for service in SERVICES for rpc in service.methods}
ROLES: tuple[Role, ...] = ("client", "backend", "operator")


async def eventually(
    look: Callable[[], Awaitable[T]], within_s: float, until: Callable[[T], object] = bool
) -> T:
    """What `look` gives once it is as it should be; it is asked again on a timer of the event loop."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + within_s
    while True:
        found = await look()
        if until(found):
            return found
        if loop.time() > ends_at:
            raise AssertionError(f"after {within_s} s it is still {found!r}")
        turn = asyncio.Event()
        loop.call_later(TICK_S, turn.set)
        await turn.wait()


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - an answer to look at, more than an error
    """An error status as its reader gets it."""

    code: str
    message: str
    reason: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[tuple[str, str, str]] = ()
    retry_s: float | None = None
    detail_bytes: int = 0

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refusal":
        refusal = cls(error.code().name, error.details() or "")
        for key, value in error.trailing_metadata() or ():
            if key == DETAILS:
                refusal.detail_bytes = len(value)
                refusal._read(Status.FromString(bytes(value)))  # type: ignore[arg-type]
        return refusal

    def _read(self, status: Status) -> None:
        assert (status.code, status.message) == (grpc.StatusCode[self.code].value[0], self.message)
        info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.reason, self.domain, self.metadata = info.reason, info.domain, dict(info.metadata)
            elif detail.Unpack(bad):
                self.violations = [(v.field, v.reason, v.description) for v in bad.field_violations]
            elif detail.Unpack(retry):
                self.retry_s = retry.retry_delay.ToTimedelta().total_seconds()


@dataclass(frozen=True)
class Tenant:
    """A tenant that the gateway knows, with a key of each role."""

    tenant_id: int
    slug: str
    keys: Mapping[Role, str]


@dataclass
class Gateway:
    """A gateway that serves, and the way to it."""

    addresses: Addresses
    channel: grpc.aio.Channel
    store: PostgresTenantStore
    pool: Pool
    redis: RedisConnection
    config: ProcessConfig

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.addresses.grpc_port}"

    async def raw(
        self,
        path: str,
        body: bytes,
        *,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        timeout_s: float | None = 20.0,
    ) -> bytes:
        """Bytes in, bytes out; Refusal for an error status."""
        call: Any = self.channel.unary_unary(path, request_serializer=None, response_deserializer=None)
        try:
            answer: bytes = await call(body, metadata=tuple(metadata), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise Refusal.of(error) from None
        return answer

    async def call(
        self, tenant: Tenant, request: Message, *, role: Role = "operator", timeout_s: float | None = 20.0
    ) -> Any:
        """Send a request to the RPC whose request it is."""
        name = request.DESCRIPTOR.name.removesuffix("Request")
        raw = await self.raw(
            PATHS[name],
            request.SerializeToString(),
            metadata=bearer(tenant.keys[role]),
            timeout_s=timeout_s,
        )
        return RESPONSES[name].FromString(raw)

    async def reason_of(self, tenant: Tenant, request: Message, **how: Any) -> str:
        """Why the call is refused; empty when it is not."""
        try:
            await self.call(tenant, request, **how)
        except Refusal as refusal:
            return refusal.reason or refusal.code
        return ""

    async def new_tenant(self, slug: str) -> Tenant:
        """Made in Postgres, and awaited until the gateway has read it."""
        tenant_id = await self.store.ensure_tenant(slug, slug)
        keys = {role: (await self.store.create_key(tenant_id, role, "tests", None))[0] for role in ROLES}
        tenant = Tenant(tenant_id, slug, keys)

        async def is_known() -> bool:
            return await self.reason_of(tenant, nearby(0.0, 0.0)) != "SERVER_NOT_READY"

        await eventually(is_known, 30.0)
        return tenant

    async def state(self, tenant: Tenant) -> tuple[int, ...]:
        """What a refused call must leave as it is: items, changes to tell, and entries of the log."""
        async with self.pool.connection() as connection:
            counts = [
                await connection.fetchval(
                    f"select count(*) from {table} where tenant_id = $1", tenant.tenant_id
                )
                for table in ("items", "postings", "outbox")
            ]
        entries = [
            await self.redis.execute("XLEN", redis_keys.log(tenant.tenant_id, shard))
            for shard in range(self.config.log.shards)
        ]
        return (*counts, sum(entries))

    async def metrics(self) -> str:
        """The page of /metrics."""
        return await self.http("/metrics")

    async def http(self, path: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.addresses.metrics_port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()


def _responses() -> Iterator[tuple[str, Any]]:
    for module in (admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for rpc in service.methods:
                yield rpc.name, getattr(module, rpc.output_type.name)


RESPONSES = dict(_responses())


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


def make_config(dsn: str, redis_url: str, **gateway: Any) -> ProcessConfig:
    """Settings of a test's processes: free ports, and looks that come often."""
    settings = GatewayConfig(
        grpc_port=0,
        metrics_port=0,
        reflection=True,
        refresh_interval_s=0.1,
        shutdown_grace_s=2.0,
        candidates="redis",  # nobody writes a replica unless a test begins a scribe
    )
    return ProcessConfig(
        gateway=msgspec.structs.replace(settings, **gateway),
        postgres=Postgres(dsn=dsn, pool_size=4),
        redis=Redis(geo_url=redis_url),
        keeper=Keeper(metrics_port=0, relay_interval_s=0.02, sweep_interval_s=0.1, claim_idle_s=1.0),
        preflight=Preflight(enforce=False),  # the tests' Postgres is quick, not safe
    )


@asynccontextmanager
async def running(
    start: Callable[[asyncio.Event, Callable[..., None]], Awaitable[None]],
    stop: asyncio.Event | None = None,
) -> AsyncIterator[Any]:
    """A process as a task: it is ready inside and has stopped after; what it told when ready."""
    stop = stop or asyncio.Event()
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(what: Any = None) -> None:
        if not told.done():
            told.set_result(what)

    task = asyncio.ensure_future(start(stop, tell))
    try:
        async with asyncio.timeout(60.0):
            await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            what = await told
    except BaseException:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    try:
        yield what
    finally:
        stop.set()
        async with asyncio.timeout(60.0):
            await task


@asynccontextmanager
async def running_gateway(
    config: ProcessConfig, direct: ProcessConfig | None = None, stop: asyncio.Event | None = None
) -> AsyncIterator[Gateway]:
    """A gateway, ready. The test's own ways are `direct` where those of the gateway may be cut."""
    direct = direct or config
    async with AsyncExitStack() as stack:
        pool = await open_pool(direct.postgres.dsn, 2, 5.0)
        stack.push_async_callback(pool.close)
        redis = RedisConnection(direct.redis.geo_url)
        stack.push_async_callback(redis.close)
        addresses = await stack.enter_async_context(
            running(lambda stop, tell: run_gateway(config, stop, tell), stop)
        )
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(
                f"127.0.0.1:{addresses.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]
            )
        )
        yield Gateway(addresses, channel, PostgresTenantStore(pool, time.time), pool, redis, config)


@asynccontextmanager
async def running_keeper(config: ProcessConfig) -> AsyncIterator[None]:
    """A keeper, ready."""
    async with running(lambda stop, tell: run_keeper(config, stop, tell)):
        yield


def nearby(latitude: float, longitude: float, **other: Any) -> recommend_pb2.NearbyRequest:
    return recommend_pb2.NearbyRequest(location=at(latitude, longitude), **other)


def recommend(latitude: float, longitude: float, **other: Any) -> recommend_pb2.RecommendRequest:
    return recommend_pb2.RecommendRequest(location=at(latitude, longitude), **other)


def at(latitude: float, longitude: float) -> location_pb2.LatLng:
    return location_pb2.LatLng(latitude=latitude, longitude=longitude)


def item(item_id: str, latitude: float = 59.91, longitude: float = 10.75, **other: Any) -> item_pb2.Item:
    return item_pb2.Item(item_id=item_id, locations=[at(latitude, longitude)], **other)


@pytest.fixture(scope="session")
async def gateway(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[Gateway]:
    """One gateway without a keeper, for tests that bring tenants of their own."""
    async with (
        new_database(postgres_server, migrated_template) as dsn,
        running_gateway(make_config(dsn, next(_redis_databases))) as started,
    ):
        yield started


_numbers = count(1)


@pytest.fixture(scope="module")
async def tenant(gateway: Gateway) -> Tenant:
    """A tenant that the tests of one file share."""
    return await gateway.new_tenant(f"tenant-{next(_numbers)}")
