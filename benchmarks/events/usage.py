"""What processes use, as the kernel counts it."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def family(pid: int) -> set[int]:
    """The process and everything that descends from it."""
    children: dict[int, set[int]] = {}
    for process in _running():
        parent = _fields(process)
        if parent:
            children.setdefault(int(parent[1]), set()).add(process)
    found, fresh = {pid}, {pid}
    while fresh:
        fresh = set().union(*(children.get(each, set()) for each in fresh)) - found
        found |= fresh
    return found


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process and its descendants, those that have ended included."""
    return sum(_ticks(each) for each in family(pid)) / _TICKS_PER_S


def cpu_alone_s(pid: int) -> float:
    """Seconds of processor time of a process, without its descendants."""
    return sum(map(int, _fields(pid)[11:13])) / _TICKS_PER_S


def cpu_by_name(pids: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Seconds of processor time of the processes under each name."""
    return {name: sum(cpu_s(pid) for pid in each) for name, each in pids.items()}


def _running() -> list[int]:
    return [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on; empty when the process is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(pid: int) -> int:
    """Its own in user and kernel mode, and those of children it has waited for."""
    fields = _fields(pid)
    return sum(map(int, fields[11:15]))


def anonymous_kib(pid: int) -> int:
    """Memory that a process holds for itself; what it maps of files can be dropped and read again."""
    return _rollup_kib(pid, "Pss_Anon:")


def shared_kib(pid: int) -> int:
    """Its part of memory that processes share, each page divided by how many of them map it."""
    return _rollup_kib(pid, "Pss_Shmem:")


def arguments(pid: int) -> list[str]:
    """With which it was started; none when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _rollup_kib(pid: int, line_name: str) -> int:
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(line_name))


def own_cpu_s() -> float:
    """Seconds of processor time of this process, without its children."""
    return time.process_time()
