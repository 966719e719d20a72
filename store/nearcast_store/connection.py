"""One connection to Redis that many callers share: what they ask in the same turn is written in one go."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import hiredis

from nearcast_store.errors import StoreError
from nearcast_store.redis_address import parse_address

Command = tuple[str | bytes | float, ...]
Reply = Any

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_LAST_LOOK_S = 0.01
_NOTHING = object()

# hiredis types its argument as a tuple of one.
_pack = cast("Callable[[Command], bytes]", hiredis.pack_command)


class RedisDownError(StoreError, ConnectionError):
    """Redis cannot be reached or does not answer; whether a command was done is unknown."""


class RedisReplyError(StoreError):
    """Redis answered a command with an error."""


class RedisConnection:
    """Connects on first use and again after a loss; a command is never sent twice.

    A command without a reply within the timeout closes the connection: all that wait behind it fail too.
    """

    def __init__(self, url: str, *, command_timeout_s: float = 1.0, most_waiting: int = 10_000) -> None:
        self._address = parse_address(url)
        self.command_timeout_s = command_timeout_s
        self._most_waiting = most_waiting
        self._wire: _Wire | None = None
        self._connecting: asyncio.Task[_Wire] | None = None
        self._pause_s = 0.0
        self._not_before = 0.0
        self._closed = False
        self.generation = 0

    async def execute(self, *command: str | bytes | float) -> Reply:
        """Send one command. Raises RedisReplyError, RedisDownError."""
        return (await self.pipeline([command]))[0]

    async def pipeline(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands together; the first error among the replies is raised."""
        replies = await self.exchange(commands)
        for reply in replies:
            if isinstance(reply, RedisReplyError):
                raise reply
        return replies

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands together; an error stands in its place among the replies. Raises RedisDownError."""
        packed = _pack_all(commands)
        wire = self._wire
        if wire is None or wire.lost:
            wire = await self._connected()
        if wire.waiting >= self._most_waiting:
            raise RedisDownError(f"{wire.waiting} requests already wait for {self._address}")
        return await wire.send(packed, len(commands))

    async def close(self) -> None:
        """Drop the connection; whoever waits for a reply gets RedisDownError."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._wire is not None:
            self._wire.drop("the connection was closed")
            await self._wire.gone.wait()

    async def _connected(self) -> "_Wire":
        if self._closed:
            raise RedisDownError(f"the connection to {self._address} was closed")
        if self._connecting is None:
            wait_s = self._not_before - asyncio.get_running_loop().time()
            if wait_s > 0:
                raise RedisDownError(f"{self._address} is down; the next attempt is in {wait_s:.2f} s")
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._note_outcome)
        # Shielded: the attempt belongs to all who wait for it, not to the first who gives up.
        return await asyncio.shield(self._connecting)

    def _note_outcome(self, attempt: asyncio.Task["_Wire"]) -> None:
        self._connecting = None
        if attempt.cancelled():
            return
        if attempt.exception() is None:
            self._wire = attempt.result()
            self.generation += 1
            self._pause_s = 0.0
            return
        self._pause_s = min(max(self._pause_s * 2, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        pause_s = self._pause_s * random.uniform(0.5, 1.0)
        self._not_before = attempt.get_loop().time() + pause_s

    async def _connect(self) -> "_Wire":
        try:
            async with asyncio.timeout(self.command_timeout_s):
                wire = await self._open()
                try:
                    await self._greet(wire)
                except BaseException:
                    wire.drop("the greeting failed")
                    raise
        except (OSError, RedisReplyError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error
            raise RedisDownError(f"{self._address} cannot be used: {reason}") from error
        return wire

    async def _open(self) -> "_Wire":
        loop = asyncio.get_running_loop()

        def make() -> _Wire:
            return _Wire(loop, str(self._address), self.command_timeout_s)

        if self._address.path:
            return (await loop.create_unix_connection(make, self._address.path))[1]
        return (await loop.create_connection(make, self._address.host, self._address.port))[1]

    async def _greet(self, wire: "_Wire") -> None:
        said = self._address.greeting()
        if not said:
            return
        for reply in await wire.send(_pack_all(said), len(said)):
            if isinstance(reply, RedisReplyError):
                raise reply


class _Request:
    """Replies still owed to one caller; they are taken off the wire even when the caller has gone."""

    __slots__ = ("deadline", "future", "owed", "replies")

    def __init__(self, future: asyncio.Future[list[Reply]], owed: int, deadline: float) -> None:
        self.future = future
        self.owed = owed
        self.deadline = deadline
        self.replies: list[Reply] = []


class _Wire(asyncio.Protocol):
    """One socket's life: requests go out in order, and so the replies come back."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str, timeout_s: float) -> None:
        self._loop = loop
        self._name = name
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader(replyError=RedisReplyError, notEnoughData=_NOTHING)
        self._requests: deque[_Request] = deque()
        self._unwritten: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self._suspect: _Request | None = None
        self._transport: asyncio.Transport | None = None
        self.lost = False
        self.gone = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._requests)

    def send(self, packed: bytes, owed: int) -> asyncio.Future[list[Reply]]:
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        if self.lost:
            future.set_exception(RedisDownError(f"the connection to {self._name} was lost"))
            return future
        if not owed:
            future.set_result([])
            return future
        if not self._unwritten:
            self._loop.call_soon(self._flush)
        self._unwritten.append(packed)
        self._requests.append(_Request(future, owed, self._loop.time() + self._timeout_s))
        if self._watch is None:
            self._watch_until(self._requests[0].deadline)
        return future

    def drop(self, reason: str) -> None:
        """Close at once and fail everyone who waits."""
        if self.lost:
            return
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        requests, self._requests = self._requests, deque()
        for request in requests:
            if not request.future.done():
                request.future.set_exception(RedisDownError(f"{self._name}: {reason}"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(f"the connection was lost ({exc})" if exc else "Redis closed the connection")
        self.gone.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._deliver(reply)
        except (hiredis.ProtocolError, IndexError) as error:
            self.drop(f"the reply cannot be read ({error})")

    def _deliver(self, reply: Reply) -> None:
        request = self._requests[0]
        request.replies.append(reply)
        request.owed -= 1
        if request.owed:
            return
        self._requests.popleft()
        if not request.future.done():
            request.future.set_result(request.replies)

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if self._transport is not None and not self.lost:
            self._transport.write(unwritten[0] if len(unwritten) == 1 else b"".join(unwritten))

    def _watch_until(self, when: float) -> None:
        self._watch = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._watch = None
        if not self._requests:
            return
        oldest = self._requests[0]
        if oldest.deadline > self._loop.time():
            self._watch_until(oldest.deadline)
        elif self._suspect is oldest:
            self.drop(f"no reply within {self._timeout_s} s")
        else:
            # The loop itself may have been late: what has arrived by now gets one more turn.
            self._suspect = oldest
            self._watch_until(self._loop.time() + _LAST_LOOK_S)


def _pack_all(commands: Iterable[Command]) -> bytes:
    return b"".join([_pack(command) for command in commands])
