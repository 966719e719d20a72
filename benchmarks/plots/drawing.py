"""Which benchmarks deserve a plot, and of what."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.goals import Row
from benchmarks.plots.charts import Axis, Bar, bars, lines
from benchmarks.plots.scale import duration
from benchmarks.suite.outcome import Outcome

EMPTY = "empty call"
# What does not look at all candidates is no peer of a choice among them; three kinds hide one,
# and polygons have a table.
LEFT_OUT = ("kinds: 3", "nearest 20", "corners")


def draw(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str]]:
    """File name and SVG of each."""
    for outcome in outcomes:
        figures = outcome.figures
        if outcome.name == "decision" and figures.get("cells"):
            yield "decision.svg", decision(figures["cells"])
        if outcome.name == "recommend" and figures.get("medians"):
            yield "recommend-throughput.svg", throughput(figures["medians"], figures.get("goals", {}))
            yield "recommend-latency.svg", latency(figures["medians"])
    judged = [row for outcome in outcomes for row in outcome.rows if row.goal and row.ratio > 0]
    if judged:
        yield "goals.svg", goals(judged)


def decision(cells: Sequence[dict[str, Any]]) -> str:
    """Time by candidates, a line for every way."""
    series: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for cell in cells:
        if not any(part in cell["way"] for part in LEFT_OUT):
            name = cell["way"].replace(", kinds: 1", "").replace(", 20 at random", "")
            series[name].append((cell["candidates"], cell["least_us"]))
    return lines(
        "What it takes to choose among those within 5 km",
        Axis("candidates within 5 km"),
        Axis("time, logarithmic", duration),
        series,
    )


def throughput(medians: Sequence[dict[str, Any]], marks: Mapping[str, float]) -> str:
    """Calls a second of each way as a share of an empty call's; a goal is a dashed line."""
    most = next(each["calls_per_s"] for each in medians if each["name"] == EMPTY)
    rows = [
        Bar(each["name"], each["calls_per_s"] / most, goal=marks.get(each["name"].removeprefix("replica: ")))
        for each in medians
        if each["name"] != EMPTY
    ]
    return bars("Recommend: calls/s beside an empty call", Axis("share of an empty call, logarithmic"), rows)


def latency(medians: Sequence[dict[str, Any]]) -> str:
    """p50 and p99 at half of what each way answers at most."""
    rows = [
        Bar(f"{each['name']}, {name}", 1_000 * each[field], colour)
        for each in medians
        for colour, (name, field) in enumerate((("p50", "open_p50_ms"), ("p99", "open_p99_ms")))
        if each[field] > 0
    ]
    return bars(
        "Recommend: latency at half of each way's own most calls/s",
        Axis("latency, logarithmic", duration),
        rows,
    )


def goals(rows: Sequence[Row]) -> str:
    """How far from its goal each is: more than 1 is reached, whichever way it counts."""
    reached = {True: 2, False: 1, None: 0}
    bars_ = [
        Bar(
            row.what,
            row.ratio / row.goal if row.bound == "at least" else row.goal / row.ratio,
            reached[row.reached],
            1.0,
        )
        for row in rows
        if row.goal
    ]
    return bars(
        "Beside the goal: right of the dashed line it is reached", Axis("times the goal, logarithmic"), bars_
    )
