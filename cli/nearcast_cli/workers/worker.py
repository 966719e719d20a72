"""One life of a worker: a gateway process, the line to it, and what it said last."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from nearcast_cli.processes import ChildSpec, spawn, stop
from nearcast_telemetry.answermetrics import SERVER_CALL_SECONDS
from nearcast_telemetry.link import MOST_REPORT_BYTES, Report
from nearcast_telemetry.merging import Readings

ANSWER_WITHIN_S = 1.0
_decode = msgspec.json.Decoder(Report).decode

MakeSpec = Callable[[int, int], ChildSpec]
"""What to start, for a worker's number and the descriptor of its end of the line."""


class Worker:
    """`spread` is its share of the limits at which it is replaced: not all shall reach them at once."""

    def __init__(
        self,
        number: int,
        process: subprocess.Popen[bytes],
        line: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        started_s: float,
        spread: float,
    ) -> None:
        self.number = number
        self.started_s = started_s
        self.spread = spread
        self.draining_since_s: float | None = None
        self.report: Report | None = None
        self._process = process
        self._writer = line[1]
        self._heard = asyncio.Event()
        self._silent = False
        self._reading = asyncio.create_task(self._read(line[0]))

    @classmethod
    async def start(cls, number: int, make_spec: MakeSpec, started_s: float, spread: float) -> Self:
        """Needs the main thread. OSError when the system has no place for one more."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                spec = make_spec(number, theirs.fileno())
                process = spawn(spec, keep_open=(theirs.fileno(),))
        except BaseException:
            ours.close()
            raise
        line = await asyncio.open_unix_connection(sock=ours, limit=MOST_REPORT_BYTES)
        return cls(number, process, line, started_s, spread)

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Once it has ended and all that it said is read; negative for a signal."""
        code = self._process.poll()
        return code if self._reading.done() else None

    @property
    def open(self) -> bool:
        """Whether it answers calls and is to go on."""
        listens = self.report is not None and self.report.open
        return listens and self.draining_since_s is None and self._process.poll() is None

    @property
    def missing(self) -> str | None:
        """What it cannot serve, None for nothing; asked of one that is open."""
        return "does not answer" if self._silent or self.report is None else self.report.missing

    @property
    def alarm(self) -> str | None:
        """What is wrong with it all the same."""
        return None if self.report is None else self.report.alarm

    @property
    def metrics(self) -> list[Readings]:
        """As it last said."""
        return [] if self.report is None else self.report.metrics

    @property
    def calls(self) -> int:
        """How many calls it has answered."""
        name = SERVER_CALL_SECONDS.name
        found = next((family.samples for family in self.metrics if family.name == name), [])
        return int(sum(sample.value for sample in found if sample.name == f"{name}_count"))

    @property
    def memory_mib(self) -> int:
        """What it holds for itself, without what it maps of files; 0 where the system does not say."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) // 1024
        return 0

    async def look(self) -> None:
        """Ask what it has to say now, and wait a moment for the answer."""
        if self._reading.done():
            return
        self._heard.clear()
        self._writer.write(b"\n")
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._heard.wait()
        except TimeoutError:
            self._silent = True

    def drain(self, now_s: float) -> None:
        """Ask it to let its calls end and to end; asked twice it would end at once."""
        if self.draining_since_s is None:
            self.draining_since_s = now_s
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """And all that belongs to it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """After its end."""
        self._writer.close()
        stop(self._process, signal.SIGKILL, 0)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                # The last line of a killed one may be torn.
                with suppress(msgspec.DecodeError):
                    self.report = _decode(line)
                self._silent = False
                self._heard.set()
        self._heard.set()
