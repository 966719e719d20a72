"""The page of bad input names every case once, and only tests and reasons that exist."""

import re
from pathlib import Path

from nearcast.v1.error_reason_pb2 import ErrorReason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([ADE])(\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
# The numbers left out say the same as a row beside them.
CASES = {
    "A": [*range(1, 6), *range(7, 14), *range(15, 22), 23, 24],
    "D": [
        *range(1, 5),
        *range(6, 13),
        *range(14, 21),
        *range(22, 29),
        *range(30, 37),
        *range(38, 42),
    ],
    "E": [1, 2, 3, *range(5, 12), 13, 14, 15],
}
OTHERS = {"OK", "IDLE", "AGE"}


def test_every_case_has_a_row() -> None:
    for letter, numbers in CASES.items():
        assert [int(number) for found, number, *_ in ROW.findall(PAGE) if found == letter] == numbers


def test_every_row_has_a_test_or_a_reason() -> None:
    rows = {f"{letter}{number}": last for letter, number, _, _, last in ROW.findall(PAGE)}
    for name, last in rows.items():
        tested = "::test_" in last
        others = re.findall(r"\bas ([ADE]\d+)", last)
        assert tested or others or last.startswith("none"), name
        assert all("::test_" in rows[other] for other in others), name


def test_every_test_named_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE))
    assert len(named) > 40
    for file, test in named:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), f"{file} has no {test}"


def test_every_reason_named_exists() -> None:
    codes = r"INVALID_ARGUMENT|RESOURCE_EXHAUSTED|UNAVAILABLE|UNIMPLEMENTED|INTERNAL|DEADLINE_EXCEEDED"
    for word in re.findall(r"`([A-Z][A-Z_]+)`", PAGE):
        if word not in OTHERS and not re.fullmatch(codes, word):
            assert f"ERROR_REASON_{word}" in ErrorReason.keys(), word  # noqa: SIM118 - no mapping
