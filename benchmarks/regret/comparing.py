"""Regret beside that of other ways, town by town, with intervals; what of it is a goal."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from benchmarks.goals import Row, at_least, at_most, told
from benchmarks.regret.ways import GREEDY, NEARCAST, RANDOM, THOMPSON
from nearcast_town.intervals import interval
from nearcast_town.report import Report

Lives = Mapping[str, Sequence[Report]]
"""By the name of the way; each in the order of the seeds."""

MOST_RATIO, MOST_UPPER, LEAST_GAP = 0.6, 0.7, 0.75
FEWEST_SEEDS = 10
"""With fewer towns nothing is judged."""


class Standing(Struct, frozen=True):
    """One way over all towns; `ratio` is nearcast's regret over this one's, paired by town."""

    place: str
    way: str
    towns: int
    gap_closed_last_fifth: float
    gap_low: float
    gap_high: float
    regret: float
    ratio: float
    ratio_low: float
    ratio_high: float


def standings(place: str, lives: Lives) -> list[Standing]:
    """Every way that was lived."""
    ours = [report.overall.regret for report in lives[NEARCAST]]
    found = []
    for way, reports in lives.items():
        regrets = [report.overall.regret for report in reports]
        ratio = interval([one / other for one, other in zip(ours, regrets, strict=True)])
        gap = interval([report.last.gap_closed for report in reports])
        regret = interval(regrets).mean
        found.append(
            Standing(
                *(place, way, len(reports), gap.mean, gap.low, gap.high),
                *(regret, ratio.mean, ratio.low, ratio.high),
            )
        )
    return found


def rows(found: Sequence[Standing]) -> Iterator[Row]:
    """What is told of it in one line each."""
    for one in found:
        judged = one.towns >= FEWEST_SEEDS
        if one.way == NEARCAST:
            what, against = f"{one.place}: gap closed, last 20 %", "the best order"
            gap = one.gap_closed_last_fifth
            yield at_least(what, against, gap, LEAST_GAP) if judged else told(what, against, gap)
        elif one.way != RANDOM:
            yield from _ratios(one, judged=judged and one.way in {THOMPSON, GREEDY})


def _ratios(one: Standing, *, judged: bool) -> Iterator[Row]:
    what = f"{one.place}: missed"
    if not judged:
        yield told(what, one.way, one.ratio)
        return
    yield at_most(what, one.way, one.ratio, MOST_RATIO)
    yield at_most(f"{what}, upper end of 95 %", one.way, one.ratio_high, MOST_UPPER)
