"""What is never written: promises for later, pretence, sleeping tests, one machine's paths."""

import re
from pathlib import Path

import pytest

from tests.quality.sources import ROOT, files, python_files, shown

FORBIDDEN = {
    "a promise for later": r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b",
    "an unfinished part": r"\bNotImplemented" + r"Error\b",
    "a mocked part": r"\bunittest" + r"\.mock\b|\bMagic" + r"Mock\b",
    "the path of one machine": r"(?<![\w.$}])/(work|home)/\w",
}
SLEEP = r"\bsl" + r"eep\((?=[\d.]*[1-9])"


def findings(paths: list[Path], pattern: str) -> list[str]:
    return [
        f"{shown(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]


@pytest.mark.parametrize("meaning", FORBIDDEN)
def test_nothing_written_holds(meaning: str) -> None:
    paths = [*python_files(), *files(".md", ".sql", ".proto", ".toml", ".yaml", ".sh")]
    found = findings(paths, FORBIDDEN[meaning])
    assert not found, "\n".join(found)


def test_tests_wait_for_signals_instead_of_sleeping() -> None:
    found = findings([path for path in python_files() if ROOT / "tests" in path.parents], SLEEP)
    assert not found, "\n".join(found)
