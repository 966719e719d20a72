"""The wall and the plain way: a gRPC server that answers the same bytes to every question.

Bare, within our wrapper, and bare after it has decided in the plain way. Loop, garbage collection and what
gRPC is told are those of a gateway. Run by `python -m benchmarks.recommend`, which sends the bytes to its
standard input.
"""

import asyncio
import json
import sys
import time
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from benchmarks.recommend.plain import Plain
from nearcast.v1 import recommend_pb2
from nearcast_cli.serving import run_loop
from nearcast_cli.settling import settle
from nearcast_config.process import Gateway
from nearcast_server.assembly.listening import server_options
from nearcast_server.callers import KeyCallers
from nearcast_server.rpc.endpoint import Deadlines, Endpoint, InFlight, Method
from nearcast_server.rpc.service import EVERYONE
from nearcast_store.connection import RedisConnection
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_store.tenants.protocol import Caller
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics

GATEWAY = Gateway()
SERVICE = "nearcast.benchmarks.Wall"
BARE, WRAPPED, PLAIN = (f"/{SERVICE}/{name}" for name in ("Bare", "Wrapped", "Plain"))


async def main(answer: bytes, redis_url: str) -> None:
    """Serve until killed; the line with which it tells that it is ready has the port and a key."""

    async def bare(_request: bytes, _context: Any) -> bytes:
        return answer

    async def wrapped(_caller: Caller, _request: Any) -> bytes:
        return answer

    decider = Plain(RedisConnection(redis_url))

    async def plain(request: bytes, _context: Any) -> bytes:
        await decider.decide(recommend_pb2.RecommendRequest.FromString(request).location.latitude)
        return answer

    tenants = MemoryTenantStore(time.time)
    key, _ = await tenants.create_key(await tenants.ensure_tenant("wall", "Wall"), "client", "wall", None)
    endpoint = Endpoint(
        Method("Recommend", recommend_pb2.RecommendRequest, EVERYONE, wrapped),
        KeyCallers(tenants, time.monotonic),
        Deadlines(5.0, 30.0),
        InFlight(),
        Metrics(CollectorRegistry(), SERVER_METRICS),
    )
    server = grpc.aio.server(
        maximum_concurrent_rpcs=GATEWAY.max_concurrent_calls, options=server_options(GATEWAY, shared=False)
    )
    handlers = {
        "Bare": grpc.unary_unary_rpc_method_handler(bare),
        "Plain": grpc.unary_unary_rpc_method_handler(plain),
        "Wrapped": endpoint.handler(),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settle()
    sys.stdout.write(json.dumps({"port": port, "key": key}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_loop(main(sys.stdin.buffer.read(), sys.argv[1]))
