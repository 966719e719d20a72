import json
import math

import numpy as np
import pytest

from nearcast_town.baselines import BaselineBackend, RandomOrder
from nearcast_town.measure import Meter, Window
from nearcast_town.plot import plot_lines, sparkline, thin
from nearcast_town.report import Report, Summary
from nearcast_town.simulate import run
from nearcast_town.world import World


def report_of(gaps):
    windows = tuple(Window(asks=1, policy=gap, random=0.0, oracle=1.0) for gap in gaps)
    return Report(seed=1, window_s=1.0, windows=windows, unanswered=0, turnovers=0, sent={}, learned=0)


def test_the_last_part_is_the_last_fifth_of_the_windows():
    report = report_of([0.0] * 8 + [0.5, 0.7])

    assert report.last.gap_closed == pytest.approx(0.6)
    assert report.overall.gap_closed == pytest.approx(0.12)


def test_a_report_of_nothing_can_still_be_told():
    report = Report.of(1, Meter(0.0, 1.0))

    assert report.as_dict()["gap_closed"] is None
    assert "questions" in report.text()


async def test_a_report_is_json_and_text():
    world = World(1)
    report = await run(world, BaselineBackend(RandomOrder(np.random.default_rng(1))), steps=300)

    told = json.loads(json.dumps(report.as_dict(), allow_nan=False))

    assert told["overall"]["questions"] == 300
    assert told["gap_closed"] == pytest.approx(report.overall.gap_closed)
    assert len(told["curve"]) == len(report.windows)
    assert f"{report.last.gap_closed:.3f}" in report.text()
    assert "random 100%" in report.text()


def test_a_summary_gives_mean_and_lowest_of_the_seeds():
    summary = Summary((report_of([0.4]), report_of([0.8])))
    told = json.loads(json.dumps(summary.as_dict(), allow_nan=False))

    assert told["gap_closed_last_fifth_mean"] == pytest.approx(0.6)
    assert told["gap_closed_last_fifth_min"] == pytest.approx(0.4)
    assert "0.600" in summary.text()


def test_a_sparkline_has_one_mark_per_value():
    assert sparkline([0.0, 0.5, 1.0, math.nan, 7.0, -7.0]) == "▁▅█ █▁"


def test_a_plot_fills_its_lines_from_below():
    assert plot_lines([0.25, 1.0], height=2) == [" 1.00 ┤ █", " 0.50 ┤▅█", " 0.00 └──"]


def test_thinning_keeps_means_and_skips_what_is_missing():
    assert thin([1.0, 3.0, math.nan, 4.0], 2) == [2.0, 4.0]
    assert thin([1.0, 2.0], 5) == [1.0, 2.0]
    assert math.isnan(thin([math.nan, math.nan], 1)[0])
