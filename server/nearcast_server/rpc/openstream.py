"""One open stream: when it is read from, when it is written to, and when it ends.

A read that is under way when a stream ends is left to end with it: cancelling it would leak inside gRPC.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc
from google.protobuf.message import Message

from nearcast_server.rpc.endpoint import (
    MOST_MESSAGE_BYTES,
    GoneError,
    parsed,
)

# Streams that were opened together shall not all come back in the same second.
EARLIEST_END = 0.9
LINGER_S = 1.0
# For what is said when the time is up already: acks of what was taken, and the goodbye.
LAST_WORD_S = 5.0


class End(Enum):
    """Why no further message is read from a stream that is in order."""

    CLIENT = "client"
    IDLE = "idle"
    AGE = "age"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a stream may live, how many of them an API key may hold, and how large a message may be."""

    idle_s: float = 60.0
    max_age_s: float = 600.0
    per_key: int = 100
    most_bytes: int = MOST_MESSAGE_BYTES


class Draining:
    """Told once, when the process begins to stop. Needs a running loop."""

    def __init__(self) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Every stream ends as soon as what it took is answered."""
        if not self.begun.done():
            self.begun.set_result(None)


Recheck = Callable[[], Awaitable[None]]


class Stream:
    """Both directions of one open stream, messages in and messages out."""

    def __init__(
        self, context: Any, request_type: type[Message], recheck: Recheck, limits: Limits, draining: Draining
    ) -> None:
        self._context = context
        self._request_type = request_type
        self._most_bytes = limits.most_bytes
        self._recheck = recheck
        self._draining = draining
        self._clock = asyncio.get_running_loop().time
        self._active_at = self._clock()
        self._ends_at = self._active_at + limits.max_age_s * random.uniform(EARLIEST_END, 1.0)
        self._reading: asyncio.Task[Any] | None = None
        self.idle_s = limits.idle_s
        self.ended: End | None = None

    async def receive(self, beside: asyncio.Future[Any] | None = None) -> Message | None:
        """The next message; None when `beside` is done first or no message will be read: then `ended` is set.

        A stream that waits for something beside is not idle. Raises RequestError.
        """
        while self.ended is None:
            reading = self._next()
            await self._wait(reading, beside)
            self.ended = self._end(beside is None and not reading.done())
            if self.ended is None and reading.done():
                return await self._read(reading)
            if beside is not None and beside.done():
                return None
        return None

    async def rest(self, beside: asyncio.Future[Any], most_s: float) -> None:
        """Wait for what is beside, at most so long, when the client has said all. Sets `ended`."""
        left_s = min(most_s, self._ends_at - self._clock())
        await asyncio.wait(
            {beside, self._draining.begun}, timeout=max(left_s, 0.0), return_when=asyncio.FIRST_COMPLETED
        )
        self._active_at = self._clock()
        self.ended = self._end(waits=False)

    async def recheck(self) -> None:
        """Whether the key still opens the stream. Raises UnauthenticatedError, ForbiddenError."""
        await self._recheck()

    async def send(self, message: Message) -> None:
        """Returns when the connection has taken the message; GoneError when there is none any more.

        Where the client does not read that is when the connection is too old, as only that ends its stream.
        """
        try:
            await self._context.write(message.SerializeToString())
        except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
            raise GoneError from error
        self._active_at = self._clock()

    async def linger(self) -> None:
        """After the last word: drop what comes until the client half-closes too, for a moment at most.

        A client whose write meets the end of the stream may never see what was said before it.
        """
        ends_at = self._clock() + LINGER_S
        while (left_s := ends_at - self._clock()) > 0:
            reading = self._next()
            await asyncio.wait({reading}, timeout=left_s)
            if not reading.done() or reading.exception() or reading.result() is grpc.aio.EOF:
                return
            self._reading = None

    def _next(self) -> "asyncio.Task[Any]":
        """The read under way; one at a time."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._context.read())
            self._reading.add_done_callback(_look_at)
        return self._reading

    async def _wait(self, reading: "asyncio.Task[Any]", beside: asyncio.Future[Any] | None) -> None:
        ends_at = self._ends_at if beside else min(self._ends_at, self._active_at + self.idle_s)
        await asyncio.wait(
            {reading, self._draining.begun} | ({beside} if beside else set()),
            timeout=max(ends_at - self._clock(), 0.0),
            return_when=asyncio.FIRST_COMPLETED,
        )

    def _end(self, waits: bool) -> End | None:
        """Whether to read on, even when there is something to read: a busy stream ends like any other."""
        if self._draining.begun.done():
            return End.DRAIN
        if self._clock() >= self._ends_at:
            return End.AGE
        if waits and self._clock() >= self._active_at + self.idle_s:
            return End.IDLE
        return None

    async def _read(self, reading: "asyncio.Task[Any]") -> Message | None:
        try:
            raw = reading.result()
        except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
            raise GoneError from error
        if raw is grpc.aio.EOF:
            self.ended = End.CLIENT
            return None
        self._reading = None
        self._active_at = self._clock()
        request = parsed(raw, self._request_type, self._most_bytes)
        await self._recheck()
        return request


def _look_at(reading: "asyncio.Task[Any]") -> None:
    """A read that outlives its stream fails, and nobody awaits it."""
    if not reading.cancelled():
        reading.exception()
