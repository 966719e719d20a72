"""What it costs to judge a policy by one logged decision: `python -m benchmarks.published.judging`."""

import time
from dataclasses import replace

import click
import msgspec
import numpy as np

from benchmarks.events.report import finish, print_table, progress
from nearcast_bandit.evaluation.slates import Chances, Side, Way, slate_rows
from nearcast_bandit.record import Circumstances, DecisionRecord, FeedChoice, Ordering, Outcome, Pool
from nearcast_bandit.redeciding import redecide
from nearcast_ledger.requestid import uuid7

ROUNDS = 3
SIZES = ((1, 50, 10), (1, 400, 20), (3, 50, 10), (3, 400, 5), (3, 400, 20))
PRIORS = ((0.1, 20.0), (0.02, 50.0), (0.01, 100.0))
WEIGHTS = (1.0, 2.0, 5.0)
UNMEASURED = ("reading records and events from Postgres", "decisions whose rules act after the draw")


class Cost(msgspec.Struct, frozen=True):
    """Seconds of CPU for one decision of two policies, neither of which is known yet."""

    kinds: int
    candidates: int
    positions: int
    seconds: float


def _pool(kinds: int, candidates: int) -> Pool:
    """Candidates of which some were seen much and most little."""
    rng = np.random.default_rng([kinds, candidates])
    seen = np.floor(rng.gamma(0.5, 400, candidates))
    shapes = []
    for mean, strength in PRIORS[:kinds]:
        rates = rng.beta(mean * strength, (1 - mean) * strength, candidates)
        acted = rng.binomial(seen.astype(np.int64), rates)
        shapes.append((mean * strength + acted, (1 - mean) * strength + seen - acted))
    a, b = (np.array(column) for column in zip(*shapes, strict=True))
    return Pool(np.arange(candidates), None, None, tuple(range(2, 2 + kinds)), a, b)


def _record(kinds: int, candidates: int, positions: int) -> DecisionRecord:
    pool = _pool(kinds, candidates)
    said = Circumstances(
        uuid7(1, 1), 1, 0.0, "", "share", 1, 1, "default", 0, 1000.0, truncated=False, eligible=candidates
    )
    ordering = Ordering("draw", pool.kinds, WEIGHTS[:kinds], 1.0, 0, 1, positions)
    choice = FeedChoice((), 0.0, 0.0, 0.0, resumed=True)
    drawn = DecisionRecord(said, choice, ordering, (), Outcome("draw", 1.0, False, (), ()), pool)
    return replace(drawn, outcome=redecide(drawn))


def _side(record: DecisionRecord, sharpness: float, explored: float) -> Side:
    assert record.pool is not None
    draw = msgspec.structs.replace(record.ordering, sharpness=sharpness)
    shuffle = msgspec.structs.replace(draw, order="explore", pool_size=50)
    return Side([Way(draw, 1 - explored), Way(shuffle, explored)], record.pool)


def _cost(kinds: int, candidates: int, positions: int) -> Cost:
    record = _record(kinds, candidates, positions)
    logged, current, wanted = _side(record, 1.0, 0.67), _side(record, 1.0, 0.02), _side(record, 0.5, 0.02)
    model, times = np.ones(candidates), []
    for _ in range(ROUNDS):
        started = time.process_time()
        slate_rows(record, logged, [current, wanted], model, positions, Chances())
        times.append(time.process_time() - started)
    return Cost(kinds, candidates, positions, min(times))


@click.command()
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool) -> None:
    """Time decisions of several sizes."""
    costs = []
    for size in SIZES:
        progress("{} kinds, {} candidates, {} positions".format(*size))
        costs.append(_cost(*size))
    if not as_json:
        print_table(
            f"CPU per decision that is judged, the least of {ROUNDS}",
            ("kinds", "candidates", "positions", "seconds"),
            [(each.kinds, each.candidates, each.positions, each.seconds) for each in costs],
        )
    finish(as_json, {"costs": costs}, UNMEASURED)


if __name__ == "__main__":
    main()
