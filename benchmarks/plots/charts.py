"""The two charts there are: lines over a number, and bars beside a goal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.plots.scale import LogScale, short
from benchmarks.plots.svg import Drawing

WIDTH, TOP, LEFT, FOOT = 860, 52, 72, 58
LEGEND_WIDTH = 250
ROW_HEIGHT, BAR_HEIGHT, NAMES_WIDTH = 30, 14, 330
LEAST_GAP = 16.0
Named = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Axis:
    """What a scale says, and how its numbers are written."""

    title: str
    named: Named = short


@dataclass(frozen=True, slots=True)
class Bar:
    """A group is written once, over its bars; a goal is a mark across the bar."""

    name: str
    value: float
    colour: int = 0
    goal: float | None = None


def lines(
    title: str, across: Axis, up: Axis, series: Mapping[str, Sequence[tuple[float, float]]], height: int = 460
) -> str:
    """Both scales logarithmic; each line is named at its end."""
    drawing = Drawing(WIDTH, height, title)
    every = [point for points in series.values() for point in points]
    x = LogScale.over((at for at, _ in every), LEFT, WIDTH - LEGEND_WIDTH)
    y = LogScale.over((value for _, value in every), height - FOOT, TOP)
    for value in y.ticks():
        drawing.line(LEFT, y.at(value), x.end, y.at(value))
        drawing.text(LEFT - 8, y.at(value) + 4, up.named(value), anchor="end")
    drawing.line(LEFT, y.begin, x.end, y.begin)
    for value in sorted({at for at, _ in every}):
        drawing.line(x.at(value), y.begin, x.at(value), y.begin + 5)
        drawing.text(x.at(value), y.begin + 20, across.named(value), anchor="middle")
    drawing.text((LEFT + x.end) / 2, height - 14, across.title, anchor="middle")
    drawing.upright(18, (TOP + y.begin) / 2, up.title)
    ends = {name: y.at(max(points)[1]) for name, points in series.items()}
    for colour, points in enumerate(series.values()):
        drawing.path([(x.at(at), y.at(value)) for at, value in sorted(points)], colour)
    for (name, at), label_y in zip(_by_height(ends), _apart(ends), strict=True):
        colour = list(series).index(name)
        last = x.at(max(series[name])[0])
        drawing.line(last + 5, at, x.end + 14, label_y - 4, f"axis s{colour}")
        drawing.text(x.end + 18, label_y, name, f"f{colour}")
    return str(drawing)


def _by_height(ends: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(ends.items(), key=lambda each: each[1])


def _apart(ends: Mapping[str, float]) -> list[float]:
    """Heights of names, from the top, that do not lie on each other."""
    found: list[float] = []
    for _, at in _by_height(ends):
        found.append(max(at + 4, found[-1] + LEAST_GAP) if found else at + 4)
    return found


def bars(title: str, across: Axis, rows: Sequence[Bar]) -> str:
    """On a logarithmic scale, each with its number behind it."""
    height = TOP + ROW_HEIGHT * len(rows) + FOOT
    drawing = Drawing(WIDTH, height, title)
    marks = [row.goal for row in rows if row.goal]
    x = LogScale.over([*(row.value for row in rows), *marks], NAMES_WIDTH, WIDTH - 90)
    foot = height - FOOT
    for value in x.ticks():
        drawing.line(x.at(value), TOP, x.at(value), foot)
        drawing.text(x.at(value), foot + 18, across.named(value), anchor="middle")
    for number, row in enumerate(rows):
        y = TOP + ROW_HEIGHT * number + (ROW_HEIGHT - BAR_HEIGHT) / 2
        drawing.text(NAMES_WIDTH - 10, y + BAR_HEIGHT - 3, row.name, anchor="end")
        drawing.bar(x.begin, y, x.at(row.value) - x.begin, BAR_HEIGHT, row.colour)
        drawing.text(x.at(row.value) + 6, y + BAR_HEIGHT - 3, across.named(row.value), "small ink")
        if row.goal:
            drawing.line(x.at(row.goal), y - 5, x.at(row.goal), y + BAR_HEIGHT + 5, "goal")
    drawing.text((x.begin + x.end) / 2, height - 14, across.title, anchor="middle")
    return str(drawing)
