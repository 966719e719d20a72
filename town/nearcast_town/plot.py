"""Curves as text, for a terminal."""

import math
from collections.abc import Sequence
from itertools import pairwise

_LEVELS = "▁▂▃▄▅▆▇█"
_LABEL_WIDTH = 5


def sparkline(values: Sequence[float], low: float = 0.0, high: float = 1.0) -> str:
    """One character per value; a space where there is none (NaN)."""
    return "".join(_level(value, low, high) for value in values)


def plot_lines(values: Sequence[float], height: int = 8, low: float = 0.0, high: float = 1.0) -> list[str]:
    """A plot of `height` lines, highest first, with the scale at the left."""
    lines = []
    for row in range(height - 1, -1, -1):
        line_low = low + (high - low) * row / height
        line_high = low + (high - low) * (row + 1) / height
        marks = "".join(_bar(value, line_low, line_high) for value in values)
        label = f"{line_high:.2f}" if row + 1 in (height, height // 2) else ""
        lines.append(f"{label:>{_LABEL_WIDTH}} ┤{marks.rstrip()}")
    lines.append(f"{low:>{_LABEL_WIDTH}.2f} └{'─' * len(values)}")
    return lines


def thin(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: means of neighbours, leaving out what is missing."""
    if len(values) <= width:
        return list(values)
    edges = [round(index * len(values) / width) for index in range(width + 1)]
    return [_mean(values[left:right]) for left, right in pairwise(edges)]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _level(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return " "
    share = (value - low) / (high - low)
    return _LEVELS[min(max(int(share * len(_LEVELS)), 0), len(_LEVELS) - 1)]


def _bar(value: float, low: float, high: float) -> str:
    if math.isnan(value) or value <= low:
        return " "
    return _level(min(value, high), low, high)
