"""Asks a server over many connections, one question after the other or at a fixed rate.

Run by `python -m benchmarks.recommend`, which sends jobs as lines to its standard input.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any

import grpc
import msgspec
import uvloop
from msgspec import Struct

OPTIONS = (("grpc.use_local_subchannel_pool", 1),)
PATIENCE_S = 10.0


class Job(Struct, frozen=True):
    """`bodies` are asked in turn. A `rate` of 0 asks as fast as answers come, `under_way` at a time."""

    address: str
    path: str
    key: str
    bodies: list[bytes]
    connections: int
    under_way: int
    rate: float
    warm_s: float
    seconds: float


class Answered(Struct, frozen=True):
    """Between the warm-up and the end; at a rate, times count from when a question was due."""

    calls: int
    seconds: float
    own_cpu_s: float
    p50_ms: float
    p99_ms: float
    size_bytes: int


class Asking:
    """`took_s` holds how long each call took that ended while it was measured."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._bodies = cycle(job.bodies)
        self._metadata = (("authorization", f"Bearer {job.key}"),)
        self.measured = False
        self.ended = False
        self.took_s: list[float] = []
        self.size_bytes = 0

    async def ask(self, call: Any, due_s: float) -> None:
        """Once."""
        answer = await call(next(self._bodies), metadata=self._metadata, timeout=PATIENCE_S)
        if self.measured:
            self.took_s.append(time.perf_counter() - due_s)
            self.size_bytes = len(answer)

    async def closed(self, call: Any) -> None:
        """Again and again, until the end."""
        while not self.ended:
            await self.ask(call, time.perf_counter())

    async def open(self, calls: list[Any], tasks: asyncio.TaskGroup) -> None:
        """When each is due, however many are under way, until the end."""
        due_s, turn = time.perf_counter(), cycle(calls)
        while not self.ended:
            now_s = time.perf_counter()
            while due_s <= now_s:
                tasks.create_task(self.ask(next(turn), due_s))
                due_s += 1 / self._job.rate
            await asyncio.sleep(due_s - now_s)


def tell(event: str, **fields: Any) -> None:
    """One line for who measures."""
    sys.stdout.write(f"{msgspec.json.encode({'event': event, **fields}).decode()}\n")
    sys.stdout.flush()


async def do(job: Job) -> None:
    """Warm up, then measure."""
    asking = Asking(job)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        calls = [await _call(stack, job) for _ in range(job.connections)]
        if job.rate:
            tasks.create_task(asking.open(calls, tasks))
        else:
            for number in range(job.under_way):
                tasks.create_task(asking.closed(calls[number % len(calls)]))
        await asyncio.sleep(job.warm_s)
        asking.measured, began_s, began_cpu_s = True, time.perf_counter(), time.process_time()
        tell("begun")
        await asyncio.sleep(job.seconds)
        asking.measured, took_s = False, time.perf_counter() - began_s
        own_cpu_s = time.process_time() - began_cpu_s
        tell("done")
        asking.ended = True
    ordered = sorted(asking.took_s)
    p50, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    tell("answered", answered=Answered(len(ordered), took_s, own_cpu_s, p50, p99, asking.size_bytes))


async def _call(stack: AsyncExitStack, job: Job) -> Callable[..., Any]:
    channel = grpc.aio.insecure_channel(job.address, options=OPTIONS)
    await stack.enter_async_context(channel)
    call: Any = channel.unary_unary(job.path, request_serializer=None, response_deserializer=None)
    return call  # type: ignore[no-any-return]


async def main() -> None:
    """One job for each line, until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        await do(msgspec.json.decode(line, type=Job))


if __name__ == "__main__":
    uvloop.run(main())
