"""HTTP/2 spoken by hand, for what no client library would send."""

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8
MOST_FRAME_BYTES = 16_384


@dataclass(frozen=True)
class Frame:
    """One frame as received."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def headers(fields: Sequence[tuple[str, str]]) -> bytes:
    """Every field as a literal that is never indexed and not compressed."""
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest, length = len(raw) - 127, b"\x7f"
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + raw


def message(body: bytes, *, compressed: bool = False) -> bytes:
    """A gRPC message: its flag, its length, itself."""
    return struct.pack(">BI", compressed, len(body)) + body


def bomb(size_bytes: int) -> bytes:
    """Zeros, compressed to about a thousandth."""
    return message(gzip.compress(b"\0" * size_bytes, 9), compressed=True)


class Speaker:
    """One connection on which a test writes the frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_stream = 1

    async def send(self, *frames: bytes) -> None:
        self._writer.write(b"".join(frames))
        await self._writer.drain()

    async def call(self, path: str, fields: Sequence[tuple[str, str]] = ()) -> int:
        """Open a stream with its headers; its number. What follows is up to the test."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        block = headers(
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", "localhost"),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                *fields,
            ]
        )
        first, *rest = [
            block[start : start + MOST_FRAME_BYTES] for start in range(0, len(block), MOST_FRAME_BYTES)
        ]
        await self.send(
            frame(HEADERS, 0 if rest else END_HEADERS, stream, first),
            *(
                frame(9, END_HEADERS if number == len(rest) else 0, stream, part)
                for number, part in enumerate(rest, start=1)
            ),
        )
        return stream

    async def body(self, stream: int, raw: bytes) -> None:
        """All of a call's body, in frames of the usual size."""
        parts = [raw[start : start + MOST_FRAME_BYTES] for start in range(0, len(raw), MOST_FRAME_BYTES)]
        await self.send(
            *(
                frame(DATA, END_STREAM if number == len(parts) else 0, stream, part)
                for number, part in enumerate(parts, start=1)
            )
        )

    async def read(self) -> Frame | None:
        """The next frame, settings and pings answered; None when the server has hung up."""
        while True:
            try:
                head = await self._reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                payload = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            if kind in (SETTINGS, PING):
                if not flags & ACK:
                    await self.send(frame(kind, ACK, 0, b"" if kind == SETTINGS else payload))
                continue
            if kind != WINDOW_UPDATE:
                return Frame(kind, flags, stream, payload)

    async def ended(self, stream: int) -> bytes:
        """Everything said about a stream, and about the connection, until either ends."""
        said = b""
        while (found := await self.read()) is not None:
            if found.stream in (stream, 0):
                said += found.payload
            if found.stream == stream and (found.kind == RST_STREAM or found.flags & END_STREAM):
                return said
        return said


@asynccontextmanager
async def spoken(port: int) -> AsyncIterator[Speaker]:
    """A connection, after the preface and empty settings."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    speaker = Speaker(reader, writer)
    try:
        await speaker.send(PREFACE, frame(SETTINGS, 0, 0))
        yield speaker
    finally:
        writer.close()
