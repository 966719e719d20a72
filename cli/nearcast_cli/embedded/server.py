"""What both servers share: start once, wait until it answers, say why it did not, stop."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nearcast_cli.embedded.errors import ServerFailedError
from nearcast_cli.embedded.state import take_lock
from nearcast_cli.processes import ChildSpec, spawn, stop

READY_WITHIN_S = 90.0
LEFTOVERS_WITHIN_S = 10.0
PROBE_EVERY_S = 0.01
LOG_LINES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """How one server runs. `answers` speaks to the socket and is true once it serves."""

    title: str
    child: ChildSpec
    directory: Path
    guard: Path
    socket_path: Path
    stop_signal: signal.Signals
    answers: Callable[[socket.socket], bool]
    advice: str


class RunningServer:
    """One server process. Its whole tree holds the guard's lock, so a free lock proves that none is left."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self._log_offset = _size(plan.child.log)
        with plan.guard.open("a", encoding="utf-8") as guard:
            if not take_lock(guard, LEFTOVERS_WITHIN_S):
                raise self._failed("is still running from before and does not end")
            self._process: subprocess.Popen[bytes] = spawn(plan.child, keep_open=(guard.fileno(),))

    def wait_ready(self) -> None:
        """Return once the server answers; raise ServerFailedError with its last words if it ends instead."""
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not _answers(self.plan):
            with suppress(subprocess.TimeoutExpired):
                raise self._failed(f"ended with exit status {self._process.wait(PROBE_EVERY_S)}")
            if time.monotonic() > deadline_s:
                self.stop(grace_s=1)
                raise self._failed(f"gave no answer for {READY_WITHIN_S:.0f} s")

    def is_alive(self) -> bool:
        """Whether it runs and can be reached: something may have cleaned its socket away."""
        return self._process.poll() is None and self.plan.socket_path.exists()

    def wait_ended(self, within_s: float) -> None:
        """Return once the process has ended; subprocess.TimeoutExpired if it does not."""
        self._process.wait(within_s)

    def stop(self, grace_s: float) -> None:
        stop(self._process, self.plan.stop_signal, grace_s)

    def _failed(self, outcome: str) -> ServerFailedError:
        plan = self.plan
        return ServerFailedError(
            server=plan.title,
            directory=plan.directory,
            outcome=outcome,
            log_path=plan.child.log,
            log_end=log_end(plan.child.log, self._log_offset),
            advice=plan.advice,
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def log_end(path: Path, offset: int) -> str:
    """The last lines written since the offset."""
    with path.open("rb") as file:
        file.seek(min(offset, _size(path)))
        written = file.read().decode(errors="replace").splitlines()
    return "\n".join(written[-LOG_LINES_SHOWN:])


def _answers(plan: ServerPlan) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        try:
            connection.connect(str(plan.socket_path))
            return plan.answers(connection)
        except OSError:
            return False


def plain_environment() -> dict[str, str]:
    """An environment in which no PG… or locale variable of the user changes how a server behaves."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": "/usr/bin:/bin", **kept, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
