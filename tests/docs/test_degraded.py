"""The page of degraded answers has a row for each reason, with a test that raises it."""

import ast
import re
from pathlib import Path

from nearcast.v1.recommend_pb2 import DegradedReason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "degraded.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
REASONS = {name.removeprefix("DEGRADED_REASON_") for name in DegradedReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def awaited(file: str, test: str) -> set[str]:
    """The words that a test waits for: arguments of `says` and `hears`."""
    tree = ast.parse((ROOT / "tests" / "integration" / file).read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    assert test in functions, f"{file} has no {test}"
    calls = [node for node in ast.walk(functions[test]) if isinstance(node, ast.Call)]
    waiting = [call for call in calls if getattr(call.func, "attr", "") in {"says", "hears"}]
    words = [word.value for call in waiting for word in call.args if isinstance(word, ast.Constant)]
    return {word for word in words if isinstance(word, str)}


def test_every_reason_has_one_row_that_says_something() -> None:
    assert sorted(reason for reason, *_ in ROWS) == sorted(REASONS)
    assert all(len(raised) > 20 and len(left) > 20 for _, raised, left, _ in ROWS)


def test_every_reason_is_raised_by_each_test_of_its_row() -> None:
    for reason, _, _, tests in ROWS:
        named = NAMED.findall(tests)
        assert named, f"no test raises {reason}"
        for file, test in named:
            assert reason in awaited(file, test), f"{test} does not wait for {reason}"


def test_every_test_named_exists() -> None:
    for file, test in NAMED.findall(PAGE):
        awaited(file, test)
