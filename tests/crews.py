"""`nearcast serve --workers` as a process of its own, on real servers and without a keeper."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from nearcast.v1 import event_pb2, event_pb2_grpc
from nearcast_config.process import Postgres, ProcessConfig, Redis, Replica
from nearcast_ledger.event import Entry
from nearcast_replica.files import Files
from nearcast_server.placement import files_of
from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.log.codec import decode_entry
from nearcast_store.postgres import open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.eventstreams import events
from tests.faults.child import Child
from tests.gateways import PATHS, RESPONSES, bearer

SERVE = (sys.executable, "-m", "nearcast_cli", "serve")
SETTINGS = {
    "NEARCAST_GATEWAY__GRPC_PORT": "0",
    "NEARCAST_GATEWAY__METRICS_PORT": "0",
    "NEARCAST_GATEWAY__REFRESH_INTERVAL_S": "0.1",
    "NEARCAST_GATEWAY__SHUTDOWN_GRACE_S": "5",
    "NEARCAST_PREFLIGHT__ENFORCE": "false",  # the tests' Postgres is quick, not safe
}
# A connection of its own each time, that is made anew at once.
CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


@dataclass
class Crew:
    """The process that keeps the workers, and what it said when all of them were ready."""

    keeping: Child
    said: dict[str, Any]
    key: str
    tenant_id: int
    redis: RedisConnection
    files: Files

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.said['grpc_port']}"

    async def call(self, channel: grpc.aio.Channel, request: Message, timeout_s: float = 20.0) -> Any:
        """Send a request to the RPC whose request it is."""
        name = request.DESCRIPTOR.name.removesuffix("Request")
        send: Any = channel.unary_unary(
            PATHS[name],
            request_serializer=type(request).SerializeToString,
            response_deserializer=RESPONSES[name].FromString,
        )
        return await send(request, metadata=bearer(self.key), timeout=timeout_s)

    def channel(self, *options: tuple[str, int]) -> grpc.aio.Channel:
        """A connection of its own."""
        return grpc.aio.insecure_channel(self.address, options=(*CHANNEL, *options))

    async def record(self, channel: grpc.aio.Channel, timeout_s: float = 20.0) -> str:
        """One event; its id, once it is acknowledged."""
        (event,) = events()
        stub = event_pb2_grpc.EventServiceStub(channel)
        request = event_pb2.RecordEventsRequest(events=[event])
        await stub.RecordEvents(request, metadata=bearer(self.key), timeout=timeout_s)
        return event.event_id

    async def logged(self) -> list[Entry]:
        """Every entry of the event log."""
        found = []
        for shard in range(4):
            for _, fields in await self.redis.execute(
                "XRANGE", redis_keys.log(self.tenant_id, shard), "-", "+"
            ):
                entry = decode_entry(fields[1])
                assert isinstance(entry, Entry), entry
                found.append(entry)
        return found

    def pids(self) -> dict[int, int]:
        """The newest process of each worker, by number."""
        return {line["number"]: line["pid"] for line in self.keeping.heard["worker.started"]}

    def scribe(self) -> int | None:
        """The process that writes the replica, while there is one."""
        for pid, command in below(self.keeping.pid):
            if command.endswith("nearcast_cli scribe"):
                return pid
        return None

    async def http(self, path: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.said["metrics_port"])
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()

    async def number(self, sample: str) -> float:
        """The sample of the page of metrics, 0 while there is none."""
        lines = [line for line in (await self.http("/metrics")).splitlines() if line.startswith(f"{sample} ")]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def below(parent: int) -> Iterator[tuple[int, str]]:
    """Its children, with their command lines."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status = (place / "stat").read_text().rpartition(")")[2].split()
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if status[1] == str(parent) and status[0] != "Z":
            yield int(place.name), command


def alive(pid: int) -> bool:
    """Whether it runs, and is not one that has ended and is not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def has_grpc(pid: int) -> bool:
    """Whether the process has loaded gRPC."""
    return "cygrpc" in Path(f"/proc/{pid}/maps").read_text()


def clear_away(files: Files) -> None:
    """What a replica leaves in memory when its writer is killed, and the page that outlives every writer."""
    files.remove()
    files.control.unlink(missing_ok=True)


StartCrew = Callable[..., Awaitable[Crew]]


@asynccontextmanager
async def crews(dsn: str, redis_url: str, logs: Path) -> AsyncIterator[StartCrew]:
    """Starts crews that share the servers; what is left of them is stopped."""
    async with AsyncExitStack() as stack:
        pool = await open_pool(dsn, 1, 5.0)
        stack.push_async_callback(pool.close)
        store = PostgresTenantStore(pool, time.time)
        tenant_id = await store.ensure_tenant("crew", "Crew")
        key, _ = await store.create_key(tenant_id, "operator", "tests", None)
        redis = RedisConnection(redis_url, command_timeout_s=20.0)
        stack.push_async_callback(redis.close)
        directory = str(logs / "replica")
        process = ProcessConfig(
            postgres=Postgres(dsn=dsn), redis=Redis(geo_url=redis_url), replica=Replica(directory=directory)
        )
        files = files_of(process)(tenant_id)
        stack.callback(clear_away, files)
        servers = {
            "NEARCAST_POSTGRES__DSN": dsn,
            "NEARCAST_REDIS__GEO_URL": redis_url,
            "NEARCAST_REPLICA__DIRECTORY": directory,
        }

        async def start(*arguments: str, ready: bool = True, **settings: str) -> Crew:
            child = await Child.start(
                "crew",
                (*SERVE, *(arguments or ("--workers", "2"))),
                {**SETTINGS, **servers, **settings},
                logs / f"crew-{os.urandom(3).hex()}.log",
            )
            stack.push_async_callback(child.close)
            said = await child.hears("workers.ready") if ready else {}
            return Crew(child, said, key, tenant_id, redis, files)

        yield start
