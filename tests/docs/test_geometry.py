"""The page of geometry names every case once, and only tests that exist."""

import re
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "geometry.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([A-F])(\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
CASES = {"A": 13, "B": 22, "C": 13, "D": 10, "E": 11, "F": 14}
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_case_has_a_row() -> None:
    found = {letter: [int(row[1]) for row in rows] for letter, rows in groupby(ROWS, key=lambda row: row[0])}
    assert found == {letter: list(range(1, count + 1)) for letter, count in CASES.items()}


def test_every_row_has_a_test_or_a_reason() -> None:
    rows = {f"{letter}{number}": last for letter, number, _, _, last in ROWS}
    for name, last in rows.items():
        others = re.findall(r"(?:^|, )([A-F]\d+)\b", last)
        assert NAMED.search(last) or others or re.match(r"none: \w+ \w+", last), name
        assert all(NAMED.search(rows[other]) for other in others if rows[other] != last), name


def test_every_test_named_exists() -> None:
    named = set(NAMED.findall(PAGE))
    assert len(named) > 90
    for file, test in named:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {test}\(", text, re.MULTILINE), f"{file} has no {test}"


def test_every_golden_test_belongs_to_a_case() -> None:
    golden = (ROOT / "tests" / "golden" / "geo").rglob("test_*.py")
    tests = {
        (path.relative_to(ROOT / "tests").as_posix(), test)
        for path in golden
        for test in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(tests) > 40
    assert not tests - set(NAMED.findall(PAGE))
