"""Setting the house up: servers, tenant, items, proxies, and the first processes."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

from redis.asyncio import Redis

from nearcast_store.migration import migrate
from nearcast_store.postgres import open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.faults.child import Child
from tests.faults.client import Client, Line
from tests.faults.house import CLAIM_IDLE_S, ITEMS, QUIET_WITHIN_S, SHARDS, House, Proxies, answered
from tests.faults.journal import Journal
from tests.faults.proxy import Connect, PostgresMessages, Streams, opened, redis_at, unix
from tests.faults.station import SECOND_MACHINE, Station
from tests.gateways import eventually

SERVER_HOST = Path(__file__).with_name("serverhost.py")
SERVE, KEEP = [(sys.executable, "-m", "nearcast_cli", room) for room in ("serve", "keeper")]
SETTINGS = {
    # What is killed again and again here is about events; the replica has faults of its own.
    "NEARCAST_GATEWAY__CANDIDATES": "redis",
    "NEARCAST_GATEWAY__GRPC_PORT": "0",
    "NEARCAST_GATEWAY__METRICS_PORT": "0",
    "NEARCAST_GATEWAY__REFRESH_INTERVAL_S": "0.1",
    "NEARCAST_GATEWAY__SHUTDOWN_GRACE_S": "1",
    "NEARCAST_KEEPER__METRICS_PORT": "0",
    "NEARCAST_KEEPER__CLAIM_IDLE_S": str(CLAIM_IDLE_S),
    "NEARCAST_KEEPER__RELAY_INTERVAL_S": "0.02",
    "NEARCAST_LOG__SHARDS": str(SHARDS),
    "NEARCAST_POSTGRES__COMMAND_TIMEOUT_S": "1",
}


@asynccontextmanager
async def open_house(directory: Path, seed: int) -> AsyncIterator[House]:
    """Servers, tenant, items and proxies; one gateway and one keeper at work."""
    async with AsyncExitStack() as stack:
        logs = directory / "logs"
        logs.mkdir()
        servers = await Child.start(
            "servers",
            (sys.executable, str(SERVER_HOST), str(directory / "state")),
            {},
            logs / "servers.log",
        )
        stack.push_async_callback(servers.close)
        said = await servers.hears("servers.ready")
        house = await _furnish(directory, servers, said["dsn"], said["redis_url"], Random(seed), stack)
        await asyncio.gather(house.gateways[0].start(), house.keepers[0].start())
        await house.put_items([f"Item {number}" for number in range(ITEMS)])
        await eventually(lambda: answered(house.index_differs()), QUIET_WITHIN_S, lambda told: told == [])
        yield house


async def _furnish(
    directory: Path, servers: Child, dsn: str, redis_url: str, random: Random, stack: AsyncExitStack
) -> House:
    await migrate(dsn)
    tenant_id, key = await _make_tenant(dsn)
    redis = Redis.from_url(redis_url, protocol=2)
    stack.push_async_callback(redis.aclose)
    gateways: list[Station] = []
    proxies = await _open_proxies(dsn, redis_url, gateways, stack)
    gateways += _make_gateways(dsn, redis_url, proxies, directory / "logs")
    keepers = _make_keepers(dsn, redis_url, proxies, directory / "logs")
    for station in (*gateways, *keepers):
        stack.push_async_callback(station.close)
    lines = [Line(f"127.0.0.1:{door.port}", key) for door in proxies.gateways]
    for line in lines:
        stack.push_async_callback(line.close)
    journal = Journal(directory / "journal.ndjson")
    stack.callback(journal.close)
    client = Client(lines[:1], journal, random)
    stack.push_async_callback(client.end)
    return House(
        directory,
        servers,
        gateways,
        keepers,
        proxies,
        client,
        lines,
        journal,
        dsn,
        redis,
        key,
        tenant_id,
        random,
    )


async def _open_proxies(
    dsn: str, redis_url: str, gateways: Sequence[Station], stack: AsyncExitStack
) -> Proxies:
    redis, postgres = (
        unix(redis_url.removeprefix("unix://")),
        unix(f"{dsn.rpartition('host=')[2]}/.s.PGSQL.5432"),
    )
    return Proxies(
        gateways=[await stack.enter_async_context(opened(_door_of(gateways, number))) for number in range(2)],
        log=await stack.enter_async_context(opened(redis)),
        keeper_postgres=await stack.enter_async_context(opened(postgres, PostgresMessages)),
        keeper_redis=await stack.enter_async_context(opened(redis)),
    )


def _make_gateways(dsn: str, redis_url: str, proxies: Proxies, logs: Path) -> list[Station]:
    """The first one reaches its log through a proxy."""
    direct = _direct(dsn, redis_url)
    near = {**direct, "NEARCAST_REDIS__LOG_URL": redis_at(proxies.log)}
    return [
        Station(f"gateway-{1 + n}", SERVE, "gateway.ready", each, logs)
        for n, each in enumerate((near, direct))
    ]


def _make_keepers(dsn: str, redis_url: str, proxies: Proxies, logs: Path) -> list[Station]:
    """The first one reaches everything through proxies, the second is on another machine."""
    far = {
        **SETTINGS,
        "NEARCAST_POSTGRES__DSN": f"postgresql://postgres@127.0.0.1:{proxies.keeper_postgres.port}"
        "/postgres?sslmode=disable",
        "NEARCAST_REDIS__GEO_URL": redis_at(proxies.keeper_redis),
    }
    second = {**_direct(dsn, redis_url), SECOND_MACHINE: "another"}
    return [
        Station(f"keeper-{1 + n}", KEEP, "keeper.ready", each, logs) for n, each in enumerate((far, second))
    ]


def _direct(dsn: str, redis_url: str) -> dict[str, str]:
    return {**SETTINGS, "NEARCAST_POSTGRES__DSN": dsn, "NEARCAST_REDIS__GEO_URL": redis_url}


async def _make_tenant(dsn: str) -> tuple[int, str]:
    pool = await open_pool(dsn, 1, 5.0)
    try:
        store = PostgresTenantStore(pool, time.time)
        tenant_id = await store.ensure_tenant("house", "House")
        key, _ = await store.create_key(tenant_id, "operator", "faults", None)
    finally:
        await pool.close()
    return tenant_id, key


def _door_of(gateways: Sequence[Station], number: int) -> Connect:
    """To wherever the gateway of the moment listens."""

    async def connect() -> Streams:
        said = gateways[number].child.heard.get("gateway.ready") if gateways[number].alive else None
        if not said:
            raise ConnectionRefusedError
        return await asyncio.open_connection("127.0.0.1", said[0]["grpc_port"])

    return connect
