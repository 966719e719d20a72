"""The line from a worker to the process that keeps it: what it counts, and whether it can answer.

Lines of JSON over a socket that the worker was born with. The keeping process sends an empty line to ask; the
worker answers with a report, and sends one unasked when it begins to answer calls and when it ends.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Self

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry

from nearcast_telemetry.merging import Readings, readings

MOST_REPORT_BYTES = 1 << 24
LAST_REPORT_S = 2.0
_encode = msgspec.json.Encoder().encode


class Report(Struct, frozen=True):
    """What a worker says of itself; `missing` is None when it can answer everything.

    `alarm` is what is wrong all the same.
    """

    open: bool
    missing: str | None
    metrics: list[Readings]
    alarm: str | None = None


class WorkerLink:
    """The worker's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._open = False
        self._report: Callable[[], bytes] = lambda: b""
        self._writer: asyncio.StreamWriter | None = None
        self._answering: asyncio.Task[None] | None = None

    @classmethod
    def inherited(cls, descriptor: int) -> Self:
        """Of the socket that this process was started with; what it starts itself shall not have it."""
        os.set_inheritable(descriptor, False)
        return cls(socket.socket(fileno=descriptor))

    async def start(
        self,
        registry: Callable[[], CollectorRegistry],
        ready: Callable[[], str | None],
        alarm: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Answer from now on; `registry` gives the metrics as they are now, `ready` what is missing."""
        self._report = lambda: _encode(Report(self._open, ready(), readings(registry()), alarm())) + b"\n"
        reader, self._writer = await asyncio.open_unix_connection(sock=self._connection)
        self._answering = asyncio.create_task(self._answer(reader, self._writer))

    def opened(self) -> None:
        """The port is listened on."""
        self._open = True
        if self._writer is not None:
            self._writer.write(self._report())

    async def close(self) -> None:
        """Say the last."""
        if self._writer is None or self._answering is None:
            return
        self._answering.cancel()
        await asyncio.gather(self._answering, return_exceptions=True)
        self._open = False
        try:
            async with asyncio.timeout(LAST_REPORT_S):
                self._writer.write(self._report())
                self._writer.close()
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the other end is closed: then nobody asks any more."""
        while await reader.readline():
            writer.write(self._report())
            await writer.drain()
