"""A disk that is easily full: a small file system in memory, which only root may make."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE_BYTES = 32 * 1024 * 1024
REASON = "only root may mount a small file system, and without one no disk is ever full here"


class SmallDisk:
    """Where it is mounted, and what fills it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave not a byte."""
        try:
            with self._ballast.open("ab", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError:
            return

    def free(self) -> None:
        """Give back what filled it."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mounted until the block ends; skips the test where that cannot be done."""
    if os.geteuid() != 0:
        pytest.skip(REASON)
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "nearcast", str(path)]
    if subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip(REASON)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
