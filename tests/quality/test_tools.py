"""The tools that read the code agree with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.sources import ROOT, rooms, shown

BIN = Path(sys.executable).parent
MYPY_PATHS = [*map(shown, rooms()), "benchmarks", "tests", "tools"]


def run(*command: str | Path) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{Path(command[0]).name} finds:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


def test_ruff_finds_nothing() -> None:
    run(BIN / "ruff", "check", "--quiet", ".", "nearcast")


def test_code_is_formatted() -> None:
    run(BIN / "ruff", "format", "--check", "--quiet", ".", "nearcast")


@pytest.mark.timeout(600)
def test_types_are_sound() -> None:
    run(BIN / "mypy", *MYPY_PATHS)


def test_bootstrap_types_are_sound() -> None:
    run(BIN / "mypy", "--scripts-are-modules", "nearcast")


def test_rooms_import_only_what_the_layers_allow() -> None:
    run(BIN / "lint-imports", "--no-cache")


def test_contract_is_clean_for_buf() -> None:
    run(BIN / "buf", "lint")


def test_contract_is_formatted() -> None:
    run(BIN / "buf", "format", "--diff", "--exit-code")
