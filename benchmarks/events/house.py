"""A nearcast as one would run it, of real processes, for as long as it is measured."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import grpc

from nearcast.v1 import catalog_pb2, catalog_pb2_grpc, item_pb2, location_pb2
from nearcast_cli.embedded import EmbeddedServers, Endpoints
from nearcast_cli.processes import ChildSpec, spawn
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_store.migration import migrate
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import open_pool
from nearcast_store.redis_client import open_client
from nearcast_store.tenants.postgres import PostgresTenantStore

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
READY = {"serve": '"gateway.ready"', "keeper": '"keeper.ready"'}
SETTINGS = {
    "NEARCAST_GATEWAY__GRPC_PORT": "0",
    "NEARCAST_GATEWAY__METRICS_PORT": "0",
    "NEARCAST_GATEWAY__STREAM_MAX_AGE_S": "86400",
    "NEARCAST_KEEPER__METRICS_PORT": "0",
}


@dataclass(frozen=True, slots=True)
class Process:
    """A gateway or keeper; `said` is the line with which it told that it was ready."""

    name: str
    child: "subprocess.Popen[bytes]"
    said: Mapping[str, Any]

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def stop(self) -> None:
        """In order; a frozen one is woken first."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.terminate()
            self.child.wait(PATIENCE_S)


@dataclass(slots=True)
class House:
    """Servers, a tenant with items, and the gateways and keepers that are started."""

    directory: Path
    endpoints: Endpoints
    server_pids: Mapping[str, Sequence[int]]
    tenant_id: int
    key: str
    running: list[Process] = field(default_factory=list)

    async def start(self, name: str, *command: str, **settings: str) -> Process:
        """`nearcast serve` or `nearcast keeper`, ready."""
        log_path = self.directory / f"{name}-{len(list(self.directory.glob('*.log')))}.log"
        addresses = {
            "NEARCAST_POSTGRES__DSN": self.endpoints.postgres_dsn,
            "NEARCAST_REDIS__GEO_URL": self.endpoints.redis_url,
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NEARCAST_")}
        argv = (sys.executable, "-m", "nearcast_cli", *command)
        child = spawn(
            ChildSpec(name, argv, log_path, env={**kept, **SETTINGS, **addresses, **settings}, cwd=ROOT)
        )
        ready = '"workers.ready"' if "--workers" in command else READY[command[0]]
        process = Process(name, child, await _ready(log_path, child, ready))
        self.running.append(process)
        return process

    def stop(self, process: Process) -> None:
        process.stop()
        self.running.remove(process)

    def stop_all(self) -> None:
        """The last started first."""
        for process in reversed(self.running):
            process.stop()

    @property
    def pids(self) -> dict[str, list[int]]:
        """Of every process, by what it is."""
        pids = {name: list(each) for name, each in self.server_pids.items()}
        for process in self.running:
            pids.setdefault(process.name, []).append(process.child.pid)
        return pids

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def address(self, gateway: Process) -> str:
        return f"127.0.0.1:{gateway.said['grpc_port']}"


@asynccontextmanager
async def open_house(state: Path | None = None) -> AsyncIterator[House]:
    """Postgres and Valkey with the settings that nearcast brings, on a real disk; nothing else runs yet."""
    async with AsyncExitStack() as stack:
        directory = state or Path(stack.enter_context(TemporaryDirectory(prefix="nearcast-bench-")))
        directory.chmod(0o711)
        servers = EmbeddedServers(directory / "state")
        endpoints = stack.enter_context(servers)
        await migrate(endpoints.postgres_dsn)
        pids = {
            "postgres": [await _postgres_pid(endpoints.postgres_dsn)],
            "redis": [await _redis_pid(endpoints.redis_url)],
        }
        tenant_id, key = await _make_tenant(endpoints.postgres_dsn)
        house = House(directory, endpoints, pids, tenant_id, key)
        stack.callback(house.stop_all)
        yield house


async def put_items(house: House, gateway: Process, count: int) -> None:
    """So many items around one point."""
    async with grpc.aio.insecure_channel(house.address(gateway)) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        for start in range(0, count, 500):
            items = [
                item_pb2.Item(
                    item_id=f"item-{number}",
                    title=f"Item {number}",
                    locations=[location_pb2.LatLng(latitude=59.9 + number / 1e5, longitude=10.7)],
                )
                for number in range(start, min(start + 500, count))
            ]
            await stub.UpsertItems(catalog_pb2.UpsertItemsRequest(items=items), metadata=house.metadata)


async def postings_of(house: House) -> dict[str, int]:
    """The number of each item."""
    connection = await asyncpg.connect(house.endpoints.postgres_dsn)
    try:
        rows = await connection.fetch(
            "select item_id, posting from items where tenant_id = $1", house.tenant_id
        )
    finally:
        await connection.close()
    return {row["item_id"]: row["posting"] for row in rows}


async def reward_tokens(house: House) -> RewardTokens:
    """With the tenant's own keys."""
    pool = await open_pool(house.endpoints.postgres_dsn, 1, 5.0)
    try:
        return RewardTokens(await PostgresPolicyStore(pool, time.time).keyring(house.tenant_id))
    finally:
        await pool.close()


async def accounted(connection: "asyncpg.Connection[asyncpg.Record]", tenant_id: int) -> int:
    """How many accepted events the keeper has dealt with."""
    query = "select coalesce(sum(accepted_count), 0)::bigint from log_positions where tenant_id = $1"
    return int(await connection.fetchval(query, tenant_id))


async def _postgres_pid(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int((await connection.fetchval("select pg_read_file('postmaster.pid')")).splitlines()[0])
    finally:
        await connection.close()


async def _redis_pid(url: str) -> int:
    redis = open_client(url)
    try:
        return int((await redis.info("server"))["process_id"])
    finally:
        await redis.aclose()


async def _make_tenant(dsn: str) -> tuple[int, str]:
    pool = await open_pool(dsn, 1, 5.0)
    try:
        store = PostgresTenantStore(pool, time.time)
        tenant_id = await store.ensure_tenant("bench", "Benchmark")
        key, _ = await store.create_key(tenant_id, "operator", "benchmark", None)
    finally:
        await pool.close()
    return tenant_id, key


async def _ready(log_path: Path, child: "subprocess.Popen[bytes]", ready: str) -> Mapping[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told = _text(log_path)
            for line in told.splitlines():
                if ready in line:
                    said: dict[str, Any] = json.loads(line)
                    return said
            if child.poll() is not None:
                raise RuntimeError(f"{log_path.name} ended before it was ready:\n{told}")
            await asyncio.sleep(0.05)


def _text(path: Path) -> str:
    return path.read_text()
