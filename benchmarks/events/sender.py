"""The load: a process of its own that streams events to gateways, as a backend would.

Reads a job as JSON from its arguments, says ready, begins at a line of input, and says warm, done and sent.
"""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from itertools import count, islice
from random import Random
from time import perf_counter, time
from typing import Any, TypeAlias

import asyncpg
import grpc
import msgspec
import uvloop

from benchmarks.events.house import accounted
from benchmarks.events.job import Job, Sent
from benchmarks.events.slates import Slates, body_of, message_of
from nearcast.v1 import event_pb2
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import open_pool

METHOD = "/nearcast.v1.EventService/StreamEvents"
LOOK_EVERY_S = 0.05
POSTINGS = "select posting from items where tenant_id = $1 order by posting"
OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class RefusedError(Exception):
    """A gateway did not take what it was sent."""


class Load:
    """Batches over several streams; at most `most_backlog` events are out that the keeper has not folded."""

    def __init__(self, job: Job, slates: Slates, told: asyncio.StreamReader) -> None:
        self._job = job
        self._told = told
        self._fresh = slates.events()
        self._ready = deque(self._body() for _ in range(job.prepared // job.batch))
        self._started = 0.0
        self._sent = 0
        self._folded = 0
        self._room = asyncio.Event()
        self._ended = False
        self._counting = False
        self._latencies: list[float] = []
        self._acknowledged = 0
        self._durability = ""

    async def run(self, channels: Sequence[grpc.aio.Channel]) -> Sent:
        """Send until the time is over and everything is acknowledged."""
        connection = await asyncpg.connect(self._job.dsn)
        before = await accounted(connection, self._job.tenant_id)
        self._started = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch(connection, before))
            tasks.create_task(self._keep_time())
            streams = [
                tasks.create_task(self._stream(channels[number % len(channels)]))
                for number in range(self._job.streams)
            ]
            await asyncio.wait(streams)
            watch.cancel()
        await connection.close()
        ordered = sorted(self._latencies) or [0.0]
        return Sent(
            len(self._latencies) * self._job.batch,
            self._acknowledged * self._job.batch,
            self._durability,
            ordered[len(ordered) // 2] * 1e3,
            ordered[len(ordered) * 99 // 100] * 1e3,
        )

    async def _keep_time(self) -> None:
        await asyncio.sleep(self._job.warm_s)
        self._counting = True
        tell("warm", sent=self._sent)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._told.readline(), self._job.seconds)
        self._counting = False
        tell("done", sent=self._sent)
        self._ended = True
        self._room.set()

    async def _watch(self, connection: Connection, before: int) -> None:
        """How far the keeper has come."""
        while True:
            self._folded = await accounted(connection, self._job.tenant_id) - before
            self._make_room()
            await asyncio.sleep(LOOK_EVERY_S)

    def _make_room(self) -> None:
        if self._ended or self._sent - self._folded < self._job.most_backlog:
            self._room.set()
        else:
            self._room.clear()

    async def _turn(self) -> float:
        """When the next batch is to be sent, once that is now."""
        if not self._job.rate_per_s:
            await self._room.wait()
        due = self._started + self._sent / self._job.rate_per_s if self._job.rate_per_s else perf_counter()
        self._sent += self._job.batch
        self._make_room()
        await asyncio.sleep(max(0.0, due - perf_counter()))
        return due

    async def _stream(self, channel: grpc.aio.Channel) -> None:
        call: Any = channel.stream_stream(METHOD)(metadata=(("authorization", f"Bearer {self._job.key}"),))
        hello = event_pb2.StreamEventsRequest(hello=event_pb2.StreamHello(version=1))
        await call.write(hello.SerializeToString())
        welcome = event_pb2.StreamEventsResponse.FromString(await call.read()).welcome
        window, due_at = asyncio.Semaphore(welcome.window), deque[float]()
        reading = asyncio.create_task(self._read(call, due_at, window))
        for sequence in count(1):
            await window.acquire()
            due = await self._turn()
            if self._ended or reading.done():
                break
            due_at.append(due)
            await call.write(message_of(sequence, self._ready.popleft() if self._ready else self._body()))
        await call.done_writing()
        await reading

    async def _read(self, call: Any, due_at: deque[float], window: asyncio.Semaphore) -> None:
        while (raw := await call.read()) is not grpc.aio.EOF:
            ack = event_pb2.StreamEventsResponse.FromString(raw).ack
            if ack.accepted != self._job.batch:
                raise RefusedError(str(ack) or raw.hex())
            due = due_at.popleft()
            window.release()
            self._acknowledged += 1
            self._durability = event_pb2.Durability.Name(ack.durability).removeprefix("DURABILITY_").lower()
            if self._counting:
                self._latencies.append(perf_counter() - due)

    def _body(self) -> bytes:
        return body_of(list(islice(self._fresh, self._job.batch)))


def tell(event: str, **fields: Any) -> None:
    """One line, so that whoever started this process knows."""
    sys.stdout.write(f"{msgspec.json.encode({'event': event, **fields}).decode()}\n")
    sys.stdout.flush()


async def main(job: Job) -> None:
    """Prepare, wait for the word, send."""
    pool = await open_pool(job.dsn, 1, 5.0)
    keyring = await PostgresPolicyStore(pool, time).keyring(job.tenant_id)
    async with pool.connection() as connection:
        rows = await connection.fetch(POSTINGS, job.tenant_id)
    await pool.close()
    postings = [row["posting"] for row in rows[: len(rows) - job.spared]]
    tokens, random = RewardTokens(keyring), Random(job.seed)
    slates = Slates(tokens, job.tenant_id, postings, job.repeats, random, job.people)
    told = await _input()
    load = Load(job, slates, told)
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=OPTIONS))
            for address in job.addresses
        ]
        for channel in channels:
            await channel.channel_ready()
        gc.collect()
        gc.freeze()
        tell("ready")
        await told.readline()
        tell("sent", sent=await load.run(channels))
        # Whoever measures what this process used must find it alive.
        await told.readline()


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


if __name__ == "__main__":
    uvloop.run(main(msgspec.json.decode(sys.argv[1], type=Job)))
