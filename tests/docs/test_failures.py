"""The page of failures names every failure once, and only tests and points that exist."""

import re
from pathlib import Path

from nearcast_faultpoints.arming import ACTIONS, Failpoint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| K(\d+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
KNOWN = 48


def test_every_failure_has_a_row() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, KNOWN + 1))


def test_every_test_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE))
    assert named
    for file, test in named:
        text = (ROOT / "tests" / "faults" / file).read_text(encoding="utf-8")
        assert re.search(rf"^async def {test}\(", text, re.MULTILINE), f"{file} has no {test}"


def test_every_test_makes_a_failure_of_the_page() -> None:
    suite = (ROOT / "tests" / "faults").glob("test_*.py")
    tests = {
        (path.name, test)
        for path in suite
        for test in re.findall(r"^async def (test_\w+)", path.read_text(), re.M)
    }
    told = set(re.findall(r"`(?:(test_\w+\.py)::)?(test_\w+)`", PAGE))
    assert {test for _, test in tests} - {test for _, test in told} == {"test_soak"}


def test_a_failure_without_a_test_has_a_reason() -> None:
    for number, _, test in ROWS:
        assert "`test" in test or re.search(r"chaos|the same|none: \w+ \w+", test), f"K{number}"


def test_every_file_named_exists() -> None:
    for path in re.findall(r"`((?:tests|docs)/[\w/]+\.(?:py|md))`", PAGE):
        assert (ROOT / path).exists(), path


def test_every_point_and_action_is_told() -> None:
    assert re.findall(r"^\| `((?:gateway|keeper|relay)\.\w+)` \|", PAGE, re.MULTILINE) == list(Failpoint)
    assert not [action for action in ACTIONS if f"`{action}`" not in PAGE]
