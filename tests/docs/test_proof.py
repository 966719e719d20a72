"""Whatever the page of proof names as proof is there."""

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Is the bandit right?")[2]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ") and "`" in line]
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", SECTION)))
COMMANDS = sorted(set(re.findall(r"`(benchmarks\.[\w.]+)`", SECTION)))


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_every_test_that_is_named_is_there(file: str, test: str) -> None:
    assert test in functions(file)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_is_named_is_there(command: str) -> None:
    assert find_spec(command)


def test_every_claim_names_its_proof() -> None:
    assert len(ROWS) >= 24
    assert all(re.search(r"`tests/[\w/]+\.py::test_\w+`", row) for row in ROWS)
