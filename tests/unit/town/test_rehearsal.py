"""Two policies in the same towns: figures, intervals and what they say."""

import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy import stats

from nearcast_town.curves import Scale, draw_curves
from nearcast_town.intervals import Interval, interval, student
from nearcast_town.measure import Window
from nearcast_town.rehearsal import MEASURES, Rehearsal
from nearcast_town.report import Report

SVG = "{http://www.w3.org/2000/svg}"


def life(seed, missed, clicks=100, newcomers=(2.0, 4.0)):
    window = Window(
        asks=500, visits=400, clicks=clicks, applies=8, oracle=1000.0, policy=1000.0 - missed, random=200.0,
        newcomers=newcomers[0], newcomers_even=newcomers[1],
    )  # fmt: skip
    return Report(seed, 60.0, (window, window), 0, 0, {}, 0)


def line(rehearsal, key):
    return next(line for line in rehearsal.lines if line.measure.key == key)


@pytest.mark.parametrize("freedom", [1, 2, 9, 19, 30, 31, 100, 5000])
def test_quantiles_are_students(freedom):
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=6e-4)


def test_an_interval_is_students_and_leaves_out_what_is_missing():
    values = [1.0, 2.0, math.nan, 4.0]
    known = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, np.mean(known), stats.sem(known))
    found = interval(values)
    assert (found.mean, found.low, found.high) == pytest.approx((7 / 3, low, high), rel=1e-3)
    assert not interval([3.0]).is_known
    assert math.isnan(interval([]).mean)


def test_figures_are_told_per_session_and_question():
    found = Rehearsal((life(1, 50.0),), (life(1, 40.0),))
    assert line(found, "clicks_per_session").old.mean == pytest.approx(0.25)
    assert line(found, "applies_per_session").old.mean == pytest.approx(0.02)
    assert line(found, "regret").old.mean == pytest.approx(100.0)
    assert line(found, "regret").new.mean == pytest.approx(80.0)
    assert line(found, "newcomer_exposure").old.mean == pytest.approx(0.5)
    assert line(found, "gap_closed").new.mean == pytest.approx(1 - 40 / 800)
    assert {each.says for each in found.lines} == {"one town tells nothing of chance"}


def test_differences_are_paired_by_town():
    """Towns differ by hundreds, the policies by ten in each: paired, that is certain."""
    missed = [100.0, 300.0, 500.0]
    old = tuple(life(seed, value) for seed, value in enumerate(missed))
    new = tuple(life(seed, value - 10 - seed) for seed, value in enumerate(missed))
    found = line(Rehearsal(old, new), "regret")
    assert found.difference.mean == pytest.approx(-22.0)
    assert found.says == "better"
    assert line(Rehearsal(new, old), "regret").says == "worse"
    assert "-22.000 (-26.969 to -17.031)  better" in Rehearsal(old, new).text()
    assert line(Rehearsal(old, old[:1] + new[1:2] + old[2:]), "regret").says == "no difference to be told"


def test_more_exposure_of_new_items_is_neither_better_nor_worse():
    old = tuple(life(seed, 50.0, newcomers=(1.0 + seed / 100, 4.0)) for seed in range(3))
    new = tuple(life(seed, 50.0, newcomers=(3.0, 4.0)) for seed in range(3))
    assert line(Rehearsal(old, new), "newcomer_exposure").says == "more"
    assert line(Rehearsal(new, old), "newcomer_exposure").says == "less"


def test_what_could_not_be_measured_is_a_dash_and_null():
    lives = tuple(life(seed, 50.0, newcomers=(0.0, 0.0)) for seed in range(2))
    found = Rehearsal(lives, lives)
    assert line(found, "newcomer_exposure").says == "nothing to measure"
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["measures"]["newcomer_exposure"]["old"] == {"mean": None, "low": None, "high": None}
    assert "nan" not in found.text()
    assert len(found.text().splitlines()) == 1 + len(MEASURES)


def test_other_towns_are_not_compared():
    with pytest.raises(ValueError, match="the towns of both must be the same"):
        Rehearsal((life(1, 50.0),), (life(2, 50.0),))


def test_curves_lie_on_the_ground_and_are_named():
    curves = {
        "a & b": [Interval(at / 10, at / 20, at / 5) for at in range(50)],
        "c": [Interval(at / 10, math.nan, math.nan) for at in range(50)],
    }
    root = ElementTree.fromstring(
        draw_curves("Missed", ("questions", 10_000.0), "clicks", curves, {"c": "a & b"})
    )
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    words = [node.text for node in root.iter(f"{SVG}text")]
    assert {"Missed", "questions", "clicks", "a & b", "c", "10,000"} <= set(words)
    assert len(list(root.iter(f"{SVG}polyline"))) == 2
    assert len(list(root.iter(f"{SVG}polygon"))) == 1
    for node in root.iter():
        for point in node.attrib.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_a_curve_that_never_moves_is_drawn():
    assert "polyline" in draw_curves("Nothing", ("n", 1.0), "", {"flat": [Interval(0.0, 0.0, 0.0)] * 3})


def test_ticks_are_round_and_within():
    assert Scale(0.0, 1.0, 0.0, 100.0).ticks() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Scale(-3.0, 47.0, 0.0, 100.0).ticks() == pytest.approx([0.0, 10.0, 20.0, 30.0, 40.0])
