"""Machine code is made once and kept, and where it cannot be the twin answers."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from nearcast_compiling.native import WHY_NOT

SAY = "from nearcast_compiling.native import WHY_NOT; print(WHY_NOT)"
ANSWER = """
from nearcast_replica.answering import answerer
answers = answerer()
print(type(answers).__name__)
if type(answers).__name__ == "Kernel":
    from nearcast_replica.choosing import decide
    print(sum(decide.stats.cache_misses.values()), sum(decide.stats.cache_hits.values()))
"""
NO_NUMBA = "import sys; sys.modules['numba'] = None\n"


def run(code: str, environment: Mapping[str, str]) -> list[str]:
    """What a new process prints."""
    left = {name: value for name, value in os.environ.items() if not name.startswith(("NEARCAST_", "NUMBA_"))}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env={**left, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "there is machine code")
def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    kept = {"NEARCAST_KERNEL_CACHE_DIR": str(tmp_path)}
    assert run(ANSWER, kept) == ["Kernel", "1 0"]
    assert run(ANSWER, kept) == ["Kernel", "0 1"]


def test_a_place_that_cannot_be_written_leaves_the_twin(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = {"NEARCAST_KERNEL_CACHE_DIR": str(tmp_path / "file" / "below")}
    assert run(ANSWER, nowhere) == ["Twin"]
    assert "can be written; set NEARCAST_KERNEL_CACHE_DIR" in run(SAY, nowhere)[0]


def test_a_place_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert run(SAY, {"NEARCAST_KERNEL_CACHE_DIR": str(tmp_path)})[0].startswith("no directory")


@pytest.mark.parametrize(
    ("code", "environment", "reason"),
    [
        ("", {"NEARCAST_KERNEL": "twin"}, "NEARCAST_KERNEL is twin"),
        ("", {"NEARCAST_KERNEL": "fast"}, "NEARCAST_KERNEL must be auto or twin, not 'fast'"),
        (NO_NUMBA, {}, "numba is not installed"),
    ],
)
def test_without_machine_code_the_twin_answers(
    code: str, environment: dict[str, str], reason: str, tmp_path: Path
) -> None:
    environment = {"NEARCAST_KERNEL_CACHE_DIR": str(tmp_path), **environment}
    assert run(code + ANSWER, environment) == ["Twin"]
    assert run(code + SAY, environment) == [reason]
