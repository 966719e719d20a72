"""Curves over time with the band they may lie in, as SVG in colours that light and dark pages both bear."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType

from nearcast_town.intervals import Interval

WIDTH, HEIGHT, TOP, LEFT, FOOT, LEGEND = 860, 380, 52, 72, 54, 250
LABEL_HEIGHT = 16.0
TICKS = 5
LIGHT = ("#0b62c4", "#c2410c", "#15803d", "#7c3aed", "#be123c", "#0e7490", "#a16207", "#4b5563")
DARK = ("#60a5fa", "#fb923c", "#4ade80", "#c4b5fd", "#fb7185", "#67e8f9", "#fde047", "#cbd5e1")
Curve = Sequence[Interval]
NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Scale:
    """From `low` at `begin` to `high` at `end`, in pixels, evenly."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """In pixels; what lies outside is drawn at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """About five round numbers."""
        rough = (self.high - self.low) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def draw_curves(
    title: str,
    across: tuple[str, float],
    up: str,
    curves: Mapping[str, Curve],
    dashed: Mapping[str, str] = NONE,
) -> str:
    """An SVG; `across` is what the last value's place is called, and its number. Values start after 0.

    `dashed` names curves that are drawn so, each in the colour of another one.
    """
    words, most = across
    x = Scale(0.0, most, LEFT, WIDTH - LEGEND)
    y = _height(curves)
    parts = [
        _text(16, 26, title, "title ink"),
        *_axes(x, y),
        _text((x.begin + x.end) / 2, HEIGHT - 14, words, "ink", "middle"),
        _upright_text(18, (TOP + HEIGHT - FOOT) / 2, up),
    ]
    names = list(curves)
    colours = {name: names.index(dashed.get(name, name)) % len(LIGHT) for name in names}
    for name, curve in curves.items():
        parts += _curve(x, y, curve, colours[name], "dashed" if name in dashed else "")
    parts += _names(y, x.end, curves, colours)
    return "\n".join([*_opening(title), *parts, "</svg>\n"])


def _height(curves: Mapping[str, Curve]) -> Scale:
    """As high as the bands, and as low as the curves: what is below is cut off."""
    points = [point for curve in curves.values() for point in curve if not math.isnan(point.mean)]
    low = min(0.0, *(point.mean for point in points))
    high = max(point.high if point.is_known else point.mean for point in points)
    return Scale(low, high if high > low else low + 1, HEIGHT - FOOT, TOP)


def _axes(x: Scale, y: Scale) -> Iterator[str]:
    for value in y.ticks():
        yield _line(LEFT, y.at(value), x.end, y.at(value))
        yield _text(LEFT - 8, y.at(value) + 4, f"{value:,.6g}", "ink", "end")
    for value in x.ticks():
        yield _line(x.at(value), y.begin, x.at(value), y.begin + 5)
        yield _text(x.at(value), y.begin + 20, f"{value:,.6g}", "ink", "middle")


def _curve(x: Scale, y: Scale, curve: Curve, colour: int, kind: str) -> Iterator[str]:
    shown = [(at, point) for at, point in enumerate(curve, 1) if not math.isnan(point.mean)]

    def place(at: int, value: float) -> str:
        return f"{x.at(x.high * at / len(curve)):.1f},{y.at(value):.1f}"

    band = [(at, point) for at, point in shown if point.is_known]
    if band:
        there = [place(at, point.high) for at, point in band]
        back = [place(at, point.low) for at, point in reversed(band)]
        yield f'<polygon points="{" ".join([*there, *back])}" class="band f{colour}"/>'
    drawn = " ".join(place(at, point.mean) for at, point in shown)
    yield f'<polyline points="{drawn}" class="line s{colour} {kind}"/>'


def _names(y: Scale, right: float, curves: Mapping[str, Curve], colours: Mapping[str, int]) -> Iterator[str]:
    """At the ends of their curves, and never on each other."""
    ends = {
        name: y.at(next((point.mean for point in reversed(curve) if not math.isnan(point.mean)), 0.0))
        for name, curve in curves.items()
    }
    height = TOP - LABEL_HEIGHT
    for name, at in sorted(ends.items(), key=lambda end: end[1]):
        height = max(at + 4, height + LABEL_HEIGHT)
        yield _text(right + 24, height, name, f"f{colours[name]}")


def _opening(title: str) -> Iterator[str]:
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    yield f"<title>{escape(title)}</title>"
    yield f"<style>{_style()}</style>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" class="ground"/>'


def _style() -> str:
    def rules(ground: str, ink: str, line: str, colours: Sequence[str]) -> str:
        named = [f".ground{{fill:{ground}}}.ink{{fill:{ink}}}.axis{{stroke:{line}}}"]
        named += [f".f{at}{{fill:{one}}}.s{at}{{stroke:{one}}}" for at, one in enumerate(colours)]
        return "".join(named)

    plain = (
        "text{font:12px system-ui,-apple-system,Segoe UI,Roboto,sans-serif}"
        ".title{font-size:15px;font-weight:600}.axis{stroke-width:1}"
        ".line{fill:none;stroke-width:2}.dashed{stroke-dasharray:6 4}.band{opacity:.16}"
    )
    dark = rules("#0d1117", "#e6edf3", "#3d444d", DARK)
    light = rules("#ffffff", "#1f2328", "#d1d9e0", LIGHT)
    return f"{plain}{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="axis"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _upright_text(x: float, y: float, words: str) -> str:
    turned = f'transform="translate({x:.1f},{y:.1f}) rotate(-90)"'
    return f'<text {turned} class="ink" text-anchor="middle">{escape(words)}</text>'
