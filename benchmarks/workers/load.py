"""Asks one question after the other over many connections; run by `python -m benchmarks.workers`."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import grpc
import msgspec
import uvloop
from msgspec import Struct

from nearcast.v1 import location_pb2, recommend_pb2

PATH = "/nearcast.v1.RecommendService/Recommend"
# About 400 items are within it.
QUESTION = recommend_pb2.RecommendRequest(
    location=location_pb2.LatLng(latitude=59.91, longitude=10.7), radius_m=225, limit=20
)
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class Job(Struct, frozen=True):
    """So many connections, each with so many calls under way at any time."""

    address: str
    key: str
    connections: int
    under_way: int
    warm_s: float
    seconds: float


class Answered(Struct, frozen=True):
    """Between the warm-up and the end."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float


class Asking:
    """`took_s` holds how long each call took that ended while it was measured."""

    def __init__(self, job: Job) -> None:
        self._body = QUESTION.SerializeToString()
        self._metadata = (("authorization", f"Bearer {job.key}"),)
        self.measured = False
        self.ended = False
        self.took_s: list[float] = []

    async def ask(self, channel: grpc.aio.Channel) -> None:
        """Until the end."""
        call: Any = channel.unary_unary(PATH, request_serializer=None, response_deserializer=None)
        while not self.ended:
            began_s = time.perf_counter()
            await call(self._body, metadata=self._metadata, timeout=10)
            if self.measured:
                self.took_s.append(time.perf_counter() - began_s)


def tell(event: str, **fields: Any) -> None:
    """One line for who measures."""
    sys.stdout.write(f"{msgspec.json.encode({'event': event, **fields}).decode()}\n")
    sys.stdout.flush()


async def main(job: Job) -> None:
    """Warm up, then measure."""
    asking = Asking(job)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for _ in range(job.connections):
            channel = grpc.aio.insecure_channel(job.address, options=OPTIONS)
            await stack.enter_async_context(channel)
            for _ in range(job.under_way):
                tasks.create_task(asking.ask(channel))
        await asyncio.sleep(job.warm_s)
        asking.measured, began_s = True, time.perf_counter()
        tell("begun")
        await asyncio.sleep(job.seconds)
        asking.measured, took_s = False, time.perf_counter() - began_s
        tell("done")
        asking.ended = True
    ordered = sorted(asking.took_s)
    p50, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    tell("answered", answered=Answered(len(ordered), took_s, p50, p99))


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Job)))
