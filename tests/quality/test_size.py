"""What a reader can hold: the limits of files and functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.quality.sources import python_files, shown

LONGEST_FILE_LINES = 600
LONGEST_FUNCTION_LINES = 60
SHAPELESS_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base"}


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of each function, decorators not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_files_are_short_enough() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert not {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE_LINES}


def test_functions_are_short_enough() -> None:
    long = [
        f"{shown(path)}: {name} has {length} lines"
        for path in python_files()
        for name, length in functions(path)
        if length > LONGEST_FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_files_are_named_for_an_idea() -> None:
    assert not [shown(path) for path in python_files() if path.stem in SHAPELESS_NAMES]
