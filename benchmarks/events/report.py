"""What is printed: tables for people, JSON for programs, and on which machine it was measured."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from benchmarks.machine import cpu_model


def machine() -> str:
    """One line, with how busy others kept it."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} cores of {cpu_model()}, Linux {platform.release()},"
        f" Python {platform.python_version()}, load {load}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as what is in them."""
    cells = [list(head), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    print(f"\n{title}")
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def finish(as_json: bool, figures: dict[str, Any], unmeasured: Sequence[str]) -> None:
    """The end of every report."""
    if as_json:
        figures = {**figures, "machine": machine(), "unmeasured": unmeasured}
        print(msgspec.json.format(msgspec.json.encode(figures), indent=2).decode())
        return
    print(f"\n{machine()}")
    print(f"Not measured: {'; '.join(unmeasured)}.")


def progress(text: str) -> None:
    """To whoever waits, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def _shown(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
