"""Thompson sampling as published and as nearcast draws it: `python -m benchmarks.published`.

Fixed seeds, so the same figures each time. Exit status 1 when one lies outside its tolerance.
"""

import sys
from collections.abc import Iterator

import click
import msgspec
import numpy as np

from benchmarks.events.report import finish, print_table, progress
from benchmarks.published import drifting, experiment, positions, replacing, stationary
from nearcast_compiling.native import IS_NATIVE, WHY_NOT

QUICK_DELAYS = (1, 100, 1000)
WORLDS, QUICK_WORLDS = 12, 6
MARKS = (10_000, 100_000, 1_000_000)
UNMEASURED = ("the rows of the papers for other policies", "display advertising (private data)")


class Line(msgspec.Struct, frozen=True):
    """One figure; `least` and `most` are where ours must lie, `error` its standard error."""

    what: str
    published: float
    ours: float
    error: float
    least: float
    most: float

    @property
    def is_within(self) -> bool:
        """Whether ours is what was to be expected."""
        return self.least <= self.ours <= self.most


def _replacing(delays: tuple[int, ...], runs: int) -> Iterator[Line]:
    told = (
        ("told with the feedback", False, replacing.PUBLISHED, 0.12),
        ("told at once (beside our first)", True, replacing.AT_ONCE, 0.06),
    )
    for name, is_told_at_once, published, tolerance in told:
        for delay in delays:
            progress(f"items that come and go, {name}, feedback every {delay} steps")
            ours, error = replacing.mean_regret(delay, is_told_at_once, runs)
            value = published[delay]
            what = f"regret, births {name}, feedback every {delay}"
            yield Line(what, value, ours, error, value * (1 - tolerance), value * (1 + tolerance))


def _stationary(runs: int) -> Iterator[Line]:
    for (arms, gap), value in stationary.BOUNDS.items():
        ours = stationary.bound(arms, gap)
        yield Line(
            f"bound of the slope, {arms} arms, gap {gap}", value, ours, 0.0, value * 0.999, value * 1.001
        )
    progress("ten arms that stay as they are")
    means, errors = stationary.slopes(10, 0.1, MARKS, runs)
    yield Line(
        "slope of regret, 10 arms, gap 0.1, from 100,000 to 1,000,000 steps",
        stationary.BOUNDS[10, 0.1],
        float(means[-1]),
        float(errors[-1]),
        stationary.LEAST_SLOPE,
        stationary.GREATEST_SLOPE,
    )


def _experiment(count: int) -> Iterator[Line]:
    progress(f"{count} experiments with two pages")
    found = experiment.experiments(count)
    yield Line(
        "days until the stop", experiment.PUBLISHED_DAYS, found.days, found.days_error, *experiment.DAYS
    )
    yield Line("conversions saved", experiment.PUBLISHED_SAVED, found.saved, 0.0, *experiment.SAVED)
    yield Line(
        "the better page won (beside what the rule asks)", 0.95, found.right, 0.0, experiment.LEAST_RIGHT, 1.0
    )


def _drifting(runs: int) -> Iterator[Line]:
    progress("rates that drift")
    never, hundred = drifting.regret_per_step(runs * 10, 10_000)
    first_never, first_hundred = drifting.MEASURED
    yield Line("regret per step, drift, no decay (beside our first)", first_never, never, 0.0, 0.12, 0.15)
    most = drifting.GREATEST_RATIO * never
    yield Line("regret per step, drift, half-life 100 (as above)", first_hundred, hundred, 0.0, 0.0, most)


def _positions(worlds: int) -> Iterator[Line]:
    progress(f"{worlds} worlds of slates that fewer people read to the end")
    ways = (
        ("counted by who looked", positions.CORRECTED, positions.LEAST_CORRECTED, 1.0),
        ("counted at face value", positions.NAIVE, 0.0, positions.MOST_NAIVE),
    )
    for (name, rule, least, most), first in zip(ways, positions.MEASURED, strict=True):
        won = np.array([positions.share_of_the_best(seed, rule) for seed in range(1, worlds + 1)])
        error = float(won.std(ddof=1) / np.sqrt(worlds))
        what = f"share of the most clicks, {name} (beside our first)"
        yield Line(what, first, float(won.mean()), error, least, most)


@click.command()
@click.option("--runs", default=20, show_default=True, help="Runs of a million steps for each cell.")
@click.option("--experiments", default=500, show_default=True, help="Simulated experiments.")
@click.option("--quick", is_flag=True, help="Three delays, 6 runs, 60 experiments.")
@click.option("--json", "as_json", is_flag=True)
def main(runs: int, experiments: int, quick: bool, as_json: bool) -> None:
    """About six minutes on one core; a minute with --quick."""
    if not IS_NATIVE:
        sys.exit(f"a million steps need machine code: {WHY_NOT}")
    delays = QUICK_DELAYS if quick else tuple(replacing.PUBLISHED)
    runs, experiments = (6, 60) if quick else (runs, experiments)
    lines = [*_replacing(delays, runs), *_stationary(runs), *_experiment(experiments), *_drifting(runs)]
    lines += _positions(QUICK_WORLDS if quick else WORLDS)
    rows = [
        (
            line.what,
            float(line.published),
            line.ours,
            line.error,
            line.ours / line.published,
            f"{line.least:,.6g} to {line.most:,.6g}",
            "yes" if line.is_within else "NO",
        )
        for line in lines
    ]
    if not as_json:
        head = ("figure", "published", "ours", "standard error", "ratio", "must lie in", "does")
        print_table("Published and ours", head, rows)
    finish(as_json, {"runs": runs, "experiments": experiments, "lines": lines}, UNMEASURED)
    sys.exit(0 if all(line.is_within for line in lines) else 1)


if __name__ == "__main__":
    main()
