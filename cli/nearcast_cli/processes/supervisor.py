"""Keeps a set of children running: starts them in order, restarts the dead, stops them in reverse."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nearcast_cli.processes.backoff import Backoff
from nearcast_cli.processes.child import ChildSpec, spawn, stop


@dataclass(frozen=True, slots=True)
class ChildEvent:
    """A child ended (with `exit_code`) or began again; `retry_in_s` is None if it stays ended."""

    name: str
    pid: int
    exit_code: int | None = None
    retry_in_s: float | None = None


@dataclass(slots=True)
class _Watched:
    spec: ChildSpec
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    failures: int = 0
    due_s: float | None = None


class Supervisor:
    """Owns its children. Nothing happens by itself: call `check` often, from the main thread."""

    def __init__(
        self,
        specs: Iterable[ChildSpec],
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._children = [_Watched(spec) for spec in specs]

    def start(self) -> None:
        """Start every child in the order given; if one cannot be started, stop those before it."""
        try:
            for child in self._children:
                self._begin(child)
        except BaseException:
            self.stop()
            raise

    def check(self) -> list[ChildEvent]:
        """Collect the children that ended and start those whose turn has come; what happened, in order."""
        events = []
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                events.append(self._end(child, child.process))
            elif child.due_s is not None and self._clock() >= child.due_s:
                events.append(ChildEvent(child.spec.name, self._begin(child).pid))
        return events

    def stop(self, grace_s: float = 15.0) -> None:
        """Stop all, the last started first; each may take `grace_s` before it is killed."""
        for child in reversed(self._children):
            child.due_s = None
            if child.process is not None:
                stop(child.process, signal.SIGTERM, grace_s)
                child.process = None

    def running(self) -> dict[str, int]:
        """Name and process id of each child that is running."""
        return {
            child.spec.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.poll() is None
        }

    def _begin(self, child: _Watched) -> subprocess.Popen[bytes]:
        child.process = spawn(child.spec)
        child.started_s = self._clock()
        child.due_s = None
        return child.process

    def _end(self, child: _Watched, process: subprocess.Popen[bytes]) -> ChildEvent:
        exit_code = stop(process, signal.SIGTERM, 0)
        child.process = None
        delay_s = None
        if child.spec.restart:
            child.failures = self._backoff.failures_after(child.failures, self._clock() - child.started_s)
            delay_s = self._backoff.delay_s(child.failures)
            child.due_s = self._clock() + delay_s
        return ChildEvent(child.spec.name, process.pid, exit_code, delay_s)
