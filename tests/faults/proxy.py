"""What lies between a process and its server: forwards, and cuts, delays or holds where it is told."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.faults.waiting import rest

_CHUNK = 65_536
_STARTUP_HEAD = 4
_MESSAGE_HEAD = 5

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]


class Fate(Enum):
    """What becomes of a piece that a trap waits for."""

    CUT_BEFORE = auto()  # the piece never arrives
    CUT_WITHIN = auto()  # half of it arrives
    CUT_AFTER = auto()  # it arrives, and the answer to it does not
    HOLD = auto()  # it waits, with all that follows, until released


@dataclass(slots=True, eq=False)
class Trap:
    """Springs so many `times` at a piece with `pattern` on its way to the server, or back from it.

    With `beside` only at one that holds that as well.
    With `after` only on a connection on which such a piece went by before, and each time anew.
    """

    fate: Fate
    pattern: bytes = b""
    to_server: bool = True
    times: int = 1
    after: bytes = b""
    beside: bytes = b""
    primed: set[int] = field(default_factory=set)
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, connection: int, piece: bytes, *, to_server: bool) -> bool:
        """Whether it springs at this piece."""
        if self.after and self.after in piece:
            self.primed.add(connection)
        if self.times < 1 or to_server is not self.to_server or self.pattern not in piece:
            return False
        if self.beside not in piece:
            return False
        if self.after and connection not in self.primed:
            return False
        self.primed.discard(connection)
        self.times -= 1
        self.sprung.set()
        return True

    async def springs(self, within_s: float = 10.0) -> None:
        """Return once it has."""
        async with asyncio.timeout(within_s):
            await self.sprung.wait()


def at_append(fate: Fate, times: int = 1) -> Trap:
    """When events are appended to a log; records of decisions are, too, to a stream of their own."""
    return Trap(fate, b"XADD", times=times, beside=b":log:")


def at_commit(fate: Fate, times: int = 1) -> Trap:
    """At the message that commits a fold; whatever else a keeper commits goes by."""
    return Trap(fate, b"COMMIT;\0", times=times, after=b"staged_events")


class Chunks:
    """Pieces as they come."""

    def feed(self, data: bytes) -> list[bytes]:
        return [data]


class PostgresMessages:
    """What a client says to Postgres, message by message: the first has no type, the others a byte of it."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        messages = []
        while (size := self._next_size()) and size <= len(self._rest):
            messages.append(self._rest[:size])
            self._rest = self._rest[size:]
            self._started = True
        return messages

    def _next_size(self) -> int:
        """Bytes of the next message; 0 while not even its length is there."""
        head = _MESSAGE_HEAD if self._started else _STARTUP_HEAD
        if len(self._rest) < head:
            return 0
        (length,) = struct.unpack("!I", self._rest[head - 4 : head])
        return int(length) + head - 4


class Proxy:
    """Forwards connections from a port of ours to the server that `connect` reaches."""

    def __init__(self, connect: Connect, split: Callable[[], Chunks | PostgresMessages] = Chunks) -> None:
        self._connect = connect
        self._split = split
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[Trap] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay_s = 0.0
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server
        self._server.close()
        self.mend()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, trap: Trap) -> Trap:
        """Wait for a piece; that trap."""
        self._traps.append(trap)
        return trap

    def cut(self) -> None:
        """Drop every connection; new ones are welcome."""
        for end in self._ends:
            end.transport.abort()

    def hold(self) -> None:
        """Half open: connections stay and nothing passes."""
        self._flowing.clear()

    def mend(self) -> None:
        """Let everything pass, without delay and traps."""
        self.delay_s = 0.0
        for trap in self._traps:
            trap.times = 0
            trap.released.set()
        self._traps.clear()
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        ends = {writer}
        try:
            far_reader, far_writer = await self._connect()
            ends.add(far_writer)
            self._ends |= ends
            passage = _Passage(writer, far_writer)
            await asyncio.gather(
                self._carry(passage, reader, far_writer, to_server=True),
                self._carry(passage, far_reader, writer, to_server=False),
            )
        except OSError:
            pass
        finally:
            for end in ends:
                end.transport.abort()
            self._ends -= ends
            self._tasks.discard(task)

    async def _carry(
        self,
        passage: "_Passage",
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        to_server: bool,
    ) -> None:
        pieces = self._split() if to_server else Chunks()
        try:
            while chunk := await source.read(_CHUNK):
                if passage.mute and not to_server:
                    passage.abort()
                    return
                for piece in pieces.feed(chunk):
                    await self._pass(passage, piece, sink, to_server=to_server)
            sink.write_eof()
        except (OSError, RuntimeError):
            passage.abort()

    async def _pass(
        self, passage: "_Passage", piece: bytes, sink: asyncio.StreamWriter, *, to_server: bool
    ) -> None:
        if self.delay_s:
            await rest(self.delay_s)
        await self._flowing.wait()
        trap = next(
            (trap for trap in self._traps if trap.takes(id(passage), piece, to_server=to_server)), None
        )
        if trap is None:
            sink.write(piece)
        elif trap.fate is Fate.HOLD:
            await trap.released.wait()
            sink.write(piece)
        elif trap.fate is Fate.CUT_AFTER:
            passage.mute = True
            sink.write(piece)
        else:
            sink.write(piece[: len(piece) // 2] if trap.fate is Fate.CUT_WITHIN else b"")
            await sink.drain()
            passage.abort()
            raise ConnectionAbortedError
        await sink.drain()


@dataclass(slots=True)
class _Passage:
    """One connection with both its ends; once mute, the next answer ends it."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    mute: bool = False

    def abort(self) -> None:
        self.near.transport.abort()
        self.far.transport.abort()


@asynccontextmanager
async def opened(
    connect: Connect, split: Callable[[], Chunks | PostgresMessages] = Chunks
) -> AsyncIterator[Proxy]:
    """A proxy, until the block ends."""
    proxy = Proxy(connect, split)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()


def unix(path: str) -> Connect:
    """To the server that listens on a socket of the file system."""

    async def connect() -> Streams:
        return await asyncio.open_unix_connection(path)

    return connect


def redis_at(proxy: Proxy) -> str:
    """Its address, for who wants a Redis."""
    return f"redis://127.0.0.1:{proxy.port}/0"
