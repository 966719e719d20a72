"""The check that nothing outlives the tests does see what would."""

import subprocess
import sys

from tests.leftovers import processes_left

FOREVER = "import sys; print(flush=True); sys.stdin.read()"
# Starts such a program and leaves it behind.
ABANDON = (
    f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid, flush=True)"
)


def test_a_running_child_is_seen() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", FOREVER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert any(line.startswith(f"{child.pid} ") for line in processes_left())
    child.communicate()
    assert not any(line.startswith(f"{child.pid} ") for line in processes_left())


def test_an_abandoned_grandchild_is_seen() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ABANDON], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stdin
        grandchild = child.stdout.readline().strip()
        child.wait()
        assert any(line.startswith(f"{grandchild} ") for line in processes_left())
        child.stdin.close()
        while child.stdout.read():
            pass
    assert not any(line.startswith(f"{grandchild} ") for line in processes_left())
