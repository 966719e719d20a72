"""A child process whose log is read as it is written, and which can be killed, frozen and armed."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nearcast_cli.processes.child import LAUNCHER
from tests.leftovers import MARK

CIRCUMSTANCES = Path(__file__).with_name("circumstances")
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 100.0
LINES_SHOWN = 15


class ChildFailedError(Exception):
    """A process did not do what was waited for."""


class Child:
    """One life of a process. `heard` holds every line of its log that was JSON with an event, by event."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_path: Path) -> None:
        self.name = name
        self.heard: dict[str, list[dict[str, Any]]] = {}
        self._process = process
        self._log_path = log_path
        self._news = asyncio.Condition()
        self._last_lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self._signalled = False
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], settings: Mapping[str, str], log_path: Path
    ) -> "Child":
        """Start it; it is killed when this process ends."""
        launch = [sys.executable, "-I", "-S", str(LAUNCHER), f"--parent={os.getpid()}", "--signal=9", "--"]
        process = await asyncio.create_subprocess_exec(
            *launch,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(settings),
            cwd=ROOT,
            start_new_session=True,
        )
        return cls(name, process, log_path)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    @property
    def killed_itself(self) -> bool:
        """Whether it died at an armed point, as nobody else killed it."""
        return self._process.returncode == -signal.SIGKILL and not self._signalled

    async def hears(self, event: str, times: int = 1) -> dict[str, Any]:
        """The line of its log with that event, once there are so many; ChildFailedError if it ends first."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            while len(self.heard.get(event, ())) < times:
                if self._reading.done():
                    raise ChildFailedError(f"{self.name} never wrote {event!r}:\n{self.last_words()}")
                await self._news.wait()
        return self.heard[event][times - 1]

    async def ended(self, within_s: float | None = PATIENCE_S) -> int:
        """Its exit status, once it has ended and its log is read; several may wait for it."""
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._reading)
            return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still lives."""
        if self.alive:
            self._signalled = self._signalled or number is signal.SIGKILL
            self._process.send_signal(number)

    async def kill(self) -> None:
        """Without a chance to clean up."""
        self.send(signal.SIGKILL)
        await self.ended()

    async def close(self) -> int:
        """End its input and ask it to stop, then wait; what does not end is killed."""
        assert self._process.stdin
        self._process.stdin.close()
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            return await self.ended()
        except TimeoutError:
            await self.kill()
            raise ChildFailedError(f"{self.name} did not stop:\n{self.last_words()}") from None

    def last_words(self) -> str:
        return "\n".join(self._last_lines)

    async def _read(self) -> None:
        assert self._process.stdout
        with self._log_path.open("ab") as log:
            while line := await self._process.stdout.readline():
                log.write(line)
                self._last_lines.append(line.decode(errors="replace").rstrip())
                await self._note(line)
        await self._process.wait()
        async with self._news:
            self._news.notify_all()

    async def _note(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            event = said["event"]
        except (ValueError, TypeError, KeyError):
            return
        async with self._news:
            self.heard.setdefault(event, []).append(said)
            self._news.notify_all()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("NEARCAST_") or name == MARK
    }
    path = os.pathsep.join(part for part in (str(CIRCUMSTANCES), os.environ.get("PYTHONPATH", "")) if part)
    return {**kept, "PYTHONPATH": path, **settings}
