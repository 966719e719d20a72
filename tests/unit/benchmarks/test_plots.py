"""Plots are well-formed, labelled and within their bounds."""

import re
from xml.etree import ElementTree

import pytest

from benchmarks.goals import at_least, at_most, told
from benchmarks.plots.drawing import decision, draw, goals, latency, throughput
from benchmarks.plots.scale import LogScale, duration
from benchmarks.suite.outcome import Outcome

SVG = "{http://www.w3.org/2000/svg}"
WAYS = {
    "GEOSEARCH": 10.0,
    "decision, kinds: 1": 1.0,
    "decision, kinds: 3": 2.0,
    "A & B, 20 at random": 90.0,
    "A & B, nearest 20": 80.0,
}
CELLS = [
    {"candidates": candidates, "way": way, "least_us": us * candidates}
    for candidates in (40, 400, 8_000)
    for way, us in WAYS.items()
]
MEDIANS = [
    {"name": name, "open_p50_ms": p50, "open_p99_ms": 10 * p50, "calls_per_s": 500 / p50}
    for name, p50 in (("empty call", 0.5), ("replica: anonymous, 400", 0.9))
]
MARKS = {"anonymous, 400": 0.8}
ROWS = [at_least("a", "b", 0.5, 0.9), at_most("c", "d", 0.01, 0.05)]


def words(text: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(text).iter(f"{SVG}text")]


@pytest.mark.parametrize("text", [decision(CELLS), latency(MEDIANS), throughput(MEDIANS, MARKS), goals(ROWS)])
def test_everything_drawn_lies_on_the_ground(text: str) -> None:
    root = ElementTree.fromstring(text)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for node in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            assert 0 <= float(node.attrib.get(name, 0)) <= width, node.attrib
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(node.attrib.get(name, 0)) <= height, node.attrib
    assert "prefers-color-scheme:dark" in text


def test_the_decision_has_a_line_for_each_way_and_names_its_axes() -> None:
    text = decision(CELLS)
    told_ = words(text)
    assert len(list(ElementTree.fromstring(text).iter(f"{SVG}polyline"))) == 3
    assert {"GEOSEARCH", "decision", "A & B", "candidates within 5 km", "time, logarithmic"} <= set(told_)
    assert {"40", "400", "8,000"} <= set(told_)


def test_names_of_lines_do_not_lie_on_each_other() -> None:
    alike = [{"candidates": n, "way": f"way {way}", "least_us": 5.0} for n in (40, 400) for way in range(6)]
    root = ElementTree.fromstring(decision(alike))
    heights = [
        float(node.attrib["y"]) for node in root.iter(f"{SVG}text") if (node.text or "").startswith("way ")
    ]
    assert len(heights) == 6
    assert min(b - a for a, b in zip(sorted(heights), sorted(heights)[1:], strict=False)) >= 12


def test_a_goal_is_right_of_the_line_when_it_is_reached() -> None:
    missed, reached = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', goals(ROWS))
    (mark, *_) = re.findall(r'<line x1="([\d.]+)"[^>]*class="goal"', goals(ROWS))
    assert sum(map(float, missed)) < float(mark) < sum(map(float, reached))


def test_only_what_was_measured_is_drawn() -> None:
    def outcome(name: str, rows: list, figures: dict) -> Outcome:
        return Outcome(name, "", "done", 1.0, rows, "", [], figures)

    assert list(draw([outcome("decision", [told("a", "b", 1.0)], {})])) == []
    drawn = draw(
        [outcome("decision", ROWS, {"cells": CELLS}), outcome("recommend", [], {"medians": MEDIANS})]
    )
    assert [name for name, _ in drawn] == [
        *("decision.svg", "recommend-throughput.svg", "recommend-latency.svg", "goals.svg")
    ]


def test_throughput_is_drawn_beside_an_empty_call_with_its_goal() -> None:
    text = throughput(MEDIANS, MARKS)
    assert "replica: anonymous, 400" in words(text)
    assert "empty call" not in words(text)
    assert "0.56" in words(text)
    assert text.count('class="goal"') == 1


def test_a_scale_is_logarithmic_and_has_some_ticks() -> None:
    scale = LogScale(1.0, 10_000.0, 0.0, 400.0)
    assert [scale.at(value) for value in (1.0, 100.0, 10_000.0)] == pytest.approx([0.0, 200.0, 400.0])
    assert scale.ticks() == [1.0, 10.0, 100.0, 1_000.0, 10_000.0]
    assert len(LogScale(3.0, 40.0, 0.0, 100.0).ticks()) >= 3


@pytest.mark.parametrize(
    ("us", "told_"), [(0.5, "0.5 µs"), (35.2, "35.2 µs"), (2_200.0, "2.2 ms"), (3e6, "3 s")]
)
def test_a_duration_has_its_unit(us: float, told_: str) -> None:
    assert duration(us) == told_
