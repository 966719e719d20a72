"""Plots as SVG that stands by itself: no script, no file beside it, colours that also differ in grey."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 68, 16, 16, 44
OLD, NEW, GRID, INK = "#8a94a6", "#1f5fbf", "#e3e7ee", "#2b3140"
GOOD, BAD = "#146c43", "#a12622"
_TICKS = 4
_NAMES, _ROW = 150, 30


class Mark(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


class Pair(NamedTuple):
    """What is before and after, under one name."""

    name: str
    before: Mark
    after: Mark


def pairs_plot(title: str, pairs: Sequence[Pair], below: str) -> str:
    """Values side by side with their intervals, from left to right."""
    marks = [mark for pair in pairs for mark in (pair.before, pair.after)]
    scale = _Scale.around(min(mark.low for mark in marks), max(mark.high for mark in marks))
    step = (WIDTH - LEFT - RIGHT) / len(pairs)
    body = list(scale.grid())
    every = math.ceil(len(pairs) / 20)
    for place, pair in enumerate(pairs):
        middle = LEFT + step * (place + 0.5)
        offset = min(step / 5, 9)
        body += _marked(middle - offset, pair.before, scale, OLD, f"{pair.name}, in force")
        body += _marked(middle + offset, pair.after, scale, NEW, f"{pair.name}, new")
        if place % every == 0:
            body.append(_text(middle, HEIGHT - BOTTOM + 16, _short(pair.name), "middle"))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, below, "middle"))
    return _svg(title, body)


def gains_plot(
    title: str, gains: Sequence[tuple[str, Mark]], guardrail: float, *, are_sure: bool = True
) -> str:
    """Gains with their intervals from top to bottom, beside nothing gained and what loss is put up with.

    Only what is sure is coloured by whether it is good.
    """
    ends = [0.0, -guardrail, *(end for _, mark in gains for end in (mark.low, mark.high))]
    low, high = min(ends), max(ends)
    spread = max(high - low, 1e-4)
    low, high = low - 0.08 * spread, high + 0.08 * spread
    floor = TOP + _ROW * len(gains)

    def x(value: float) -> float:
        return _NAMES + (WIDTH - RIGHT - _NAMES) * (value - low) / (high - low)

    body = []
    for value in round_numbers(low, high):
        body.append(_line(x(value), TOP, x(value), floor, GRID))
        body.append(_text(x(value), floor + 16, f"{value:+.3g} %" if value else "0 %", "middle"))
    body.append(_line(x(0.0), TOP, x(0.0), floor, INK))
    if guardrail:
        body.append(_line(x(-guardrail), TOP, x(-guardrail), floor, BAD))
        body.append(_text(x(-guardrail), TOP - 4, "guardrail", "middle"))
    for row, (name, mark) in enumerate(gains):
        y = TOP + _ROW * (row + 0.5)
        colour = OLD if not are_sure else GOOD if mark.low > 0 else BAD if mark.high < 0 else NEW
        said = f"{name}: {mark.value:+.1f} % ({mark.low:+.1f} to {mark.high:+.1f})"
        body.append(_text(_NAMES - 10, y + 4, name, "end"))
        body.append(_line(x(mark.low), y, x(mark.high), y, colour, 4.0))
        place = f'cx="{x(mark.value):.1f}" cy="{y:.1f}" r="6"'
        body.append(f'<circle {place} fill="{colour}"><title>{escape(said)}</title></circle>')
    return _svg(title, body, floor + 26)


def histogram(title: str, counts: Sequence[tuple[str, int]], below: str) -> str:
    """How many there are of each; the height is by the logarithm, so that single ones are seen."""
    top = math.log10(1 + max(count for _, count in counts))
    step = (WIDTH - LEFT - RIGHT) / len(counts)
    body, floor = [], HEIGHT - BOTTOM
    for place, (name, count) in enumerate(counts):
        height = (floor - TOP - 14) * math.log10(1 + count) / top if top else 0.0
        x = LEFT + step * place
        body.append(
            f'<rect x="{x + 2:.1f}" y="{floor - height:.1f}" width="{step - 4:.1f}" height="{height:.1f}"'
            f' fill="{NEW}"><title>{escape(name)}: {count}</title></rect>'
        )
        body.append(_text(x + step / 2, floor - height - 4, str(count) if count else "", "middle"))
        body.append(_text(x + step / 2, floor + 16, name, "middle"))
    body.append(_line(LEFT, floor, WIDTH - RIGHT, floor, INK))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, below, "middle"))
    return _svg(title, body)


class _Scale:
    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._high = high

    @classmethod
    def around(cls, low: float, high: float) -> "_Scale":
        """With a little room, and from 0 where that is near."""
        spread = max(high - low, abs(high) * 0.01, 1e-9)
        return cls(0.0 if 0 <= low < spread else low - 0.1 * spread, high + 0.1 * spread)

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    def grid(self) -> Iterator[str]:
        for value in round_numbers(self._low, self._high):
            yield _line(LEFT, self.y(value), WIDTH - RIGHT, self.y(value), GRID)
            yield _text(LEFT - 6, self.y(value) + 4, f"{value:.3g}", "end")


def round_numbers(low: float, high: float) -> list[float]:
    """About four between the two that are easily read."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _marked(x: float, mark: Mark, scale: _Scale, colour: str, told: str) -> list[str]:
    said = f"{told}: {mark.value:.4g} ({mark.low:.4g} to {mark.high:.4g})"
    place = f'cx="{x:.1f}" cy="{scale.y(mark.value):.1f}" r="4"'
    return [
        _line(x, scale.y(mark.low), x, scale.y(mark.high), colour),
        f'<circle {place} fill="{colour}"><title>{escape(said)}</title></circle>',
    ]


def _svg(title: str, body: Sequence[str], height: float = HEIGHT) -> str:
    inner = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img"'
        f' aria-label="{escape(title, quote=True)}" font-family="sans-serif" font-size="11">\n{inner}\n</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1.5) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width:g}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{escape(text)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= 10 else f"{name[:9]}…"
