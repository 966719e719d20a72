"""What exact propensities cost beside counting draws: `python -m benchmarks.published.propensities`."""

import time
from collections.abc import Callable

import click
import msgspec
import numpy as np

from benchmarks.events.report import finish, print_table, progress
from nearcast_bandit.propensity import draw_propensities
from nearcast_bandit.ranking import Ranking
from nearcast_bandit.replaying import draws_needed, replayed_propensities

ROUNDS = 5
SIZES = ((1, 50, 10), (1, 400, 20), (1, 1000, 20), (3, 50, 10), (3, 400, 20))
REPLAYED = 1_000
LEAST_PROPENSITY = 0.001
UNMEASURED = ("replays in full: a thousand draws are timed, and the rest taken to cost the same",)


class Cost(msgspec.Struct, frozen=True):
    """Seconds of CPU of one decision's propensities, the least of the rounds."""

    kinds: int
    candidates: int
    positions: int
    exact_s: float
    replay_s: float

    @property
    def ratio(self) -> float:
        """Exact over replay."""
        return self.exact_s / self.replay_s


def _least(run: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    return min(times)


def _cost(kinds: int, candidates: int, positions: int) -> Cost:
    rng = np.random.default_rng([kinds, candidates])
    a = rng.uniform(0.5, 40, (kinds, candidates))
    b = a * rng.uniform(15, 60, (kinds, candidates))
    served = Ranking(np.arange(candidates), range(1, kinds + 1), (1.0, 2.0, 5.0)[:kinds], a, b)
    exact_s = _least(lambda: draw_propensities(served, positions), ROUNDS)
    replay_s = _least(lambda: replayed_propensities(served, positions, REPLAYED), ROUNDS)
    return Cost(kinds, candidates, positions, exact_s, replay_s * draws_needed(LEAST_PROPENSITY) / REPLAYED)


@click.command()
@click.option("--json", "as_json", is_flag=True)
def main(as_json: bool) -> None:
    """Time both ways for decisions of several sizes."""
    costs = []
    for size in SIZES:
        progress("{} kinds, {} candidates, {} positions".format(*size))
        costs.append(_cost(*size))
    if not as_json:
        print_table(
            f"CPU per decision; the replay draws {draws_needed(LEAST_PROPENSITY):,} times",
            ("kinds", "candidates", "positions", "exact s", "replay s", "ratio"),
            [
                (each.kinds, each.candidates, each.positions, each.exact_s, each.replay_s, each.ratio)
                for each in costs
            ],
        )
    finish(as_json, {"costs": costs}, UNMEASURED)


if __name__ == "__main__":
    main()
