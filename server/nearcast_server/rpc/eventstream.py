"""One stream of events: batches are taken in a window, and acknowledged in their order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from nearcast.v1 import event_pb2
from nearcast_catalogue.checking import check_id
from nearcast_server.errors import InvalidRequestError, RequestError, UnsupportedError
from nearcast_server.gate import Gate
from nearcast_server.rpc.openstream import End, Stream
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.streammetrics import SERVER_STREAM_ACK_SECONDS

VERSION = 1
MOST_SEQUENCE = 2**63 - 1
ENDS = {
    End.IDLE: event_pb2.STREAM_END_IDLE,
    End.AGE: event_pb2.STREAM_END_AGE,
    End.DRAIN: event_pb2.STREAM_END_DRAIN,
}

Take = Callable[[event_pb2.EventBatch], Awaitable[event_pb2.BatchAck]]


@dataclass(frozen=True, slots=True)
class _Taken:
    """A batch that is being appended."""

    sequence: int
    arrived_at: float
    ack: asyncio.Task[event_pb2.BatchAck]


class EventStream:
    """Nothing is read while the window is full; what was taken is answered before the stream ends."""

    def __init__(self, stream: Stream, take: Take, window: int, gate: Gate, metrics: Metrics) -> None:
        self._stream = stream
        self._take = take
        self._window = window
        self._gate = gate
        self._metrics = metrics
        self._taken: deque[_Taken] = deque()
        self._last = 0
        self.client_name = ""
        self.acknowledged = 0

    async def run(self) -> None:
        """From the hello to the end. Raises RequestError, StoreError."""
        try:
            fault = await self._greet() or await self._read()
            while self._taken:
                await self._acknowledge()
        finally:
            await self._let_go()
        if fault is not None:
            raise fault
        if self._stream.ended in ENDS:
            goodbye = event_pb2.StreamGoodbye(reason=ENDS[self._stream.ended], resume_after=self.acknowledged)
            await self._stream.send(event_pb2.StreamEventsResponse(goodbye=goodbye))
            await self._stream.linger()

    async def _greet(self) -> RequestError | None:
        """Read messages until the hello; what is wrong with the first that is none."""
        try:
            message = await self._receive()
            if message is not None:
                self._check_hello(message)
                welcome = event_pb2.StreamWelcome(
                    window=self._window,
                    advised_events=self._gate.standing.advised_events,
                    idle_after_s=self._stream.idle_s,
                )
                await self._stream.send(event_pb2.StreamEventsResponse(welcome=welcome))
        except RequestError as fault:
            return fault
        return None

    async def _read(self) -> RequestError | None:
        """Take batches until no more are read; what the sender did wrong, to be told after the acks."""
        while self._stream.ended is None:
            oldest = self._taken[0].ack if self._taken else None
            if oldest is not None and (oldest.done() or len(self._taken) >= self._gate.window(self._window)):
                await self._acknowledge()
                continue
            try:
                message = await self._receive(oldest)
                if message is not None and (message.WhichOneof("message") != "batch" or await self._pass()):
                    self._begin(message)
            except RequestError as fault:
                return fault
        return None

    async def _pass(self) -> bool:
        """Whether the batch in hand may be taken; while the gate is closed nothing more is read."""
        while self._taken and self._gate.closed:
            await self._acknowledge()
        if self._gate.closed:
            await self._stream.rest(self._gate.opened, self._gate.patience_s)
        if self._stream.ended is None and self._gate.closed:
            raise self._gate.pushback("stream")
        return self._stream.ended is None

    async def _receive(
        self, beside: asyncio.Future[event_pb2.BatchAck] | None = None
    ) -> event_pb2.StreamEventsRequest | None:
        return cast("event_pb2.StreamEventsRequest | None", await self._stream.receive(beside))

    def _check_hello(self, message: event_pb2.StreamEventsRequest) -> None:
        if message.WhichOneof("message") != "hello":
            raise InvalidRequestError.of("hello", "HELLO_REQUIRED", "must be the first message of a stream")
        hello = message.hello
        if hello.version > VERSION:
            raise UnsupportedError(
                "STREAM_VERSION",
                f"hello.version: must be at most {VERSION}, got {hello.version}",
                metadata={"max": str(VERSION)},
            )
        if hello.resume_after > MOST_SEQUENCE:
            raise _sequence("hello.resume_after", f"must be at most {MOST_SEQUENCE}")
        problems = check_id("hello.client_name", hello.client_name) if hello.client_name else []
        if problems:
            raise InvalidRequestError(problems)
        self.client_name = hello.client_name
        self._last = self.acknowledged = hello.resume_after

    def _begin(self, message: event_pb2.StreamEventsRequest) -> None:
        kind = message.WhichOneof("message")
        if kind == "hello":
            raise InvalidRequestError.of("hello", "HELLO_REQUIRED", "must be the first message, and only it")
        if kind != "batch":
            return
        sequence = message.batch.sequence
        if not self._last < sequence <= MOST_SEQUENCE:
            raise _sequence(
                "batch.sequence",
                f"must be above {self._last}, the one before, and at most {MOST_SEQUENCE}, got {sequence}",
            )
        self._last = sequence
        ack = asyncio.ensure_future(self._take(message.batch))
        self._taken.append(_Taken(sequence, perf_counter(), ack))

    async def _acknowledge(self) -> None:
        """Answer the oldest batch; it leaves the window only when the connection has taken the answer."""
        taken = self._taken[0]
        ack = await taken.ack
        took_s = perf_counter() - taken.arrived_at
        ack.sequence, ack.advised_events = taken.sequence, self._gate.standing.advised_events
        await self._stream.send(event_pb2.StreamEventsResponse(ack=ack))
        self._metrics.observe(SERVER_STREAM_ACK_SECONDS, took_s)
        self._taken.popleft()
        self.acknowledged = taken.sequence

    async def _let_go(self) -> None:
        """What is left when an append failed or nobody listens: nothing of it was promised."""
        for taken in self._taken:
            taken.ack.cancel()
        await asyncio.gather(*(taken.ack for taken in self._taken), return_exceptions=True)


def _sequence(field: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError.of(field, "SEQUENCE", rule)
