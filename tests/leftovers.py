"""Finds processes that the tests started and that still run."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

# Inherited by what the tests start. The servers get a bare environment, but name their directory.
MARK = "NEARCAST_TESTS_OF"
# Python's own helpers, which end with the interpreter.
HARMLESS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
PATIENCE_S = 20.0


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it ended while we looked, or is another user's


def _is_ours(process: Path, command: str) -> bool:
    status = _read(process / "stat").rpartition(")")[2].split()
    is_child = len(status) > 1 and status[1] == str(os.getpid())
    is_marked = f"{MARK}={os.getpid()} " in _read(process / "environ")
    return is_child or is_marked or f"nearcast-test-{os.getpid()}-" in command


def processes_left() -> list[str]:
    """One line for each process that descends from the tests, children not waited for included."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            command = _read(process / "cmdline")
            if _is_ours(process, command) and not any(name in command for name in HARMLESS):
                left.append(f"{process.name} {command or '(ended, but not waited for)'}")
    return left


def wait_until_gone(find: Callable[[], list[str]]) -> list[str]:
    """What is still there once everything had time to end."""
    deadline_s = time.monotonic() + PATIENCE_S
    while left := find():
        if time.monotonic() > deadline_s:
            break
        Event().wait(0.05)
    return left
