"""On what it was measured: the machine, its servers, the checkout, and how busy others kept it."""

import os
import platform
import re
import subprocess
from pathlib import Path

from msgspec import Struct

from nearcast_cli.embedded.binaries import find_postgres, find_redis, postgres_version

ROOT = Path(__file__).resolve().parents[1]
# More than one process that wants to run takes a core from what is measured.
BUSY_LOAD = 1.0


class Machine(Struct, frozen=True):
    """`load` is that of the last minute before anything was started."""

    cpu: str
    cores: int
    load: float
    kernel: str
    python: str
    redis: str
    postgres: str
    revision: str

    @property
    def loaded(self) -> bool:
        """Whether others kept it busy."""
        return self.load > BUSY_LOAD


def look() -> Machine:
    """As it is now."""
    return Machine(
        cpu_model(),
        os.cpu_count() or 1,
        round(os.getloadavg()[0], 2),
        f"{platform.system()} {platform.release()}",
        platform.python_version(),
        _redis_version(),
        postgres_version(find_postgres()),
        _revision(),
    )


def cpu_model() -> str:
    """As the kernel names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _redis_version() -> str:
    program = find_redis()
    said = _output(str(program), "--version")
    found = re.search(r"v=(\S+)", said)
    return f"{program.name.removesuffix('-server')} {found[1] if found else 'of unknown version'}"


def _revision() -> str:
    """Of the checkout, with a plus when files differ from it."""
    revision = _output("git", "rev-parse", "--short", "HEAD").strip()
    changed = _output("git", "status", "--porcelain", "--untracked-files=no").strip()
    return f"{revision}{'+' if changed else ''}" or "unknown"


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout
