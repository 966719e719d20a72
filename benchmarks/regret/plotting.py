"""The plots: regret and gap over time, beliefs beside the truth, and ranks of true rates."""

import math
from collections.abc import Iterator, Sequence

from benchmarks.regret.believing import Course
from benchmarks.regret.calibration import BINS, Calibration
from benchmarks.regret.comparing import Lives
from benchmarks.regret.ways import RANDOM, TOWN
from nearcast_cli.rehearsing import regret_curve
from nearcast_town.curves import draw_curves
from nearcast_town.intervals import Interval
from nearcast_town.rehearsal import mean_curve


def plots(
    lives: dict[str, Lives], believed: Sequence[Course], calibrated: Sequence[Calibration], steps: int
) -> Iterator[tuple[str, str]]:
    """File name and SVG of each; `lives` by the kind of town."""
    across = ("questions asked", float(steps))
    for place, found in lives.items():
        suffix = "" if place == TOWN else "-oslo"
        learning = {way: reports for way, reports in found.items() if way != RANDOM}
        regrets = {way: regret_curve(reports) for way, reports in learning.items()}
        yield f"regret{suffix}.svg", draw_curves(f"Missed so far, {place}", across, "worth", regrets)
        gaps = {
            way: mean_curve(reports, lambda window: window.gap_closed) for way, reports in learning.items()
        }
        title = f"Gap closed between a random order and the best, {place}"
        yield f"gap{suffix}.svg", draw_curves(title, across, "gap closed", gaps)
    yield "beliefs.svg", _beliefs(believed, across)
    yield "calibration.svg", _calibration(calibrated)


def _beliefs(believed: Sequence[Course], across: tuple[str, float]) -> str:
    curves, dashed = {}, {}
    for course in believed:
        curves[course.name] = [Interval(each.mean, each.low, each.high) for each in course.beliefs]
    for course in believed:
        name = f"{course.name}: {course.view_rate:.3f}"
        dashed[name] = course.name
        curves[name] = [Interval(course.view_rate, math.nan, math.nan)] * len(course.beliefs)
    title = "What is believed of four items' view rates (mean, 90 %), and what is true (dashed)"
    return draw_curves(title, across, "view rate", curves, dashed)


def _calibration(calibrated: Sequence[Calibration]) -> str:
    curves = {
        each.kind: [Interval(float(number), math.nan, math.nan) for number in each.bins]
        for each in calibrated
    }
    items = sum(calibrated[0].bins)
    even, reach = items / BINS, 2 * math.sqrt(items / BINS * (1 - 1 / BINS))
    curves["even"] = [Interval(even, even - reach, even + reach)] * BINS
    title = "Where the true rate lies in its posterior: every twentieth as often (band: two deviations)"
    return draw_curves(title, ("twentieth of the posterior", float(BINS)), "items", curves, {"even": "even"})
