"""nearcast as a user runs it: commands as processes of their own, and `up` with everything below it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

from tests.leftovers import MARK

COMMAND = (sys.executable, "-m", "nearcast_cli")
PATIENCE_S = 60.0


def environment() -> dict[str, str]:
    """Ours without the developer's settings. The tests' own Postgres is quick, not safe.

    Loading machine code takes each process seconds: it is the crews of workers and scribes that have it.
    """
    ours = {
        name: text for name, text in os.environ.items() if not name.startswith("NEARCAST_") or name == MARK
    }
    return {**ours, "NEARCAST_PREFLIGHT__ENFORCE": "false", "NEARCAST_KERNEL": "twin"}


def nearcast(
    *arguments: str | Path,
    given: str | None = None,
    within_s: float = 100,
    settings: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=given,
        env={**environment(), **(settings or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=within_s,
    )


def answer(*arguments: str | Path, given: str | None = None, within_s: float = 100) -> Any:
    """The document that a command prints with --json, which must be all that it prints."""
    done = nearcast(*arguments, "--json", given=given, within_s=within_s)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def eventually(look: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
    """What the look gives once it gives something true; half of the time is left to what is looked at."""
    deadline_s = time.monotonic() + within_s
    while True:
        began_s = time.monotonic()
        found = look()
        if found:
            return found
        ended_s = time.monotonic()
        assert ended_s < deadline_s, f"not within {within_s:.0f} s; last seen: {found!r}"
        Event().wait(max(ended_s - began_s, 0.05))


class Up:
    """`nearcast up` on a state directory."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.state = state
        self.written = ""
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--state", str(state), *arguments],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def read_until(self, text: str, within_s: float = PATIENCE_S) -> None:
        """Return once it has written the text, from here on."""
        assert self.process.stdout
        descriptor, start = self.process.stdout.fileno(), len(self.written)
        deadline_s = time.monotonic() + within_s
        while text not in self.written[start:]:
            left_s = deadline_s - time.monotonic()
            readable, _, _ = select.select([descriptor], [], [], max(left_s, 0))
            more = os.read(descriptor, 65536) if readable else b""
            assert more, f"never wrote {text!r}, but:\n{self.written}"
            self.written += more.decode()

    def ready(self) -> "Up":
        """Itself, once its doors are open."""
        self.read_until("nearcast is ready")
        return self

    def instance(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.state / "instance.json").read_text())
        return facts

    def descendants(self) -> dict[int, str]:
        """Every process below it, with its command line."""
        parents = _parents()
        found: dict[int, str] = {}
        below = [self.process.pid]
        while below:
            parent = below.pop()
            for pid in [pid for pid, ppid in parents.items() if ppid == parent]:
                found[pid] = _read(pid, "cmdline").replace("\0", " ")
                below.append(pid)
        return found

    def child(self, words: str) -> int:
        """The process right below it whose command line has these words."""
        parents = _parents()
        (pid,) = [
            pid
            for pid, line in self.descendants().items()
            if words in line and parents.get(pid) == self.process.pid
        ]
        return pid

    def interrupt(self) -> int:
        """As Ctrl-C does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self._end()

    def kill(self) -> None:
        """Without a chance to clean up."""
        self.process.kill()
        self._end()

    def close(self) -> None:
        """Whatever a test left of it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self._end()

    def _end(self) -> int:
        try:
            rest, _ = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            rest, _ = self.process.communicate()
        except ValueError:  # read to its end before
            return self.process.wait()
        self.written += (rest or b"").decode()
        return self.process.returncode


def alive(pids: dict[int, str]) -> dict[int, str]:
    """Those that still run; what has ended and is not waited for does not."""
    parents = _parents()
    return {pid: line for pid, line in pids.items() if pid in parents and line}


def _parents() -> dict[int, int]:
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        state = _read(int(place.name), "stat").rpartition(")")[2].split()
        if len(state) > 1 and state[0] != "Z":
            found[int(place.name)] = int(state[1])
    return found


def _read(pid: int, name: str) -> str:
    try:
        return Path("/proc", str(pid), name).read_text(errors="replace")
    except OSError:
        return ""
