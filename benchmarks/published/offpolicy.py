"""Is what a log says of another policy unbiased? Many logs of a known truth tell.

`python -m benchmarks.published.offpolicy`
"""

import asyncio
import math
from collections.abc import Iterator
from typing import Protocol

import click
import msgspec
import numpy as np

from benchmarks.events.report import finish, print_table, progress
from benchmarks.published.slates import POSITIONS, SlateWorld, ranking, slate_world
from benchmarks.published.townlog import town_log
from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.evaluation.estimators import estimates
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.sums import session_sums
from nearcast_bandit.replaying import replayed_propensities

WORLD, REPLICATES, REQUESTS = 3, 300, 20_000
# One false alarm in a million.
LIMIT = 4.9
# What the log itself earned must be this far from what the target does, or nothing is shown.
LEAST_NAIVE = 0.10
UNMEASURED = ("logs of people", "policies that learn while they log")


class LoggedWorld(Protocol):
    """A known truth, P(item at position) when logging and of the target, and logs without end."""

    @property
    def logged(self) -> Floats: ...

    @property
    def target(self) -> Floats: ...

    def value(self, propensities: Floats) -> float:
        """The true reward per slate of a policy with these propensities."""
        ...

    def log(self, requests: int, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Items shown and their rewards."""
        ...

    def rows(self, shown: Integers, rewards: Floats, logged: Floats) -> ShownItems:
        """The log as an evaluation reads it."""
        ...


class Bias(msgspec.Struct, frozen=True):
    """An estimator's mean over replicates against the truth; `z` in standard errors of that mean."""

    estimator: str
    propensities: str
    mean: float
    truth: float
    off: float
    z: float
    deviation: float


def biases(world: LoggedWorld, replicates: int, requests: int, guesses: dict[str, Floats]) -> list[Bias]:
    """The bias of each estimator, with exact propensities and with each of the guesses."""
    drawn: dict[tuple[str, str], list[float]] = {}
    for replicate in range(replicates):
        for key, value in _replicate(world, requests, np.random.default_rng([WORLD, replicate]), guesses):
            drawn.setdefault(key, []).append(value)
    truth = world.value(world.target)
    return [_bias(name, source, np.array(values), truth) for (name, source), values in drawn.items()]


def _replicate(
    world: LoggedWorld, requests: int, rng: np.random.Generator, guesses: dict[str, Floats]
) -> Iterator[tuple[tuple[str, str], float]]:
    shown, rewards = world.log(requests, rng)
    for source, logged in {"exact": world.logged, **guesses}.items():
        found = estimates(session_sums(world.rows(shown, rewards, logged)).totals())
        for name in ("logged", "ips", "snips"):
            if name != "logged" or source == "exact":
                yield (name, source), float(found[name][0])


def _bias(estimator: str, source: str, values: Floats, truth: float) -> Bias:
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    z = (mean - truth) / (deviation / math.sqrt(values.size))
    return Bias(estimator, source, mean, truth, mean / truth - 1, z, deviation)


def _guesses(world: SlateWorld) -> dict[str, Floats]:
    """Propensities from draws; what was shown but never drawn counts as drawn once."""
    belief = ranking(world.early)
    return {
        f"{draws:,} draws": np.maximum(replayed_propensities(belief, POSITIONS, draws), 1 / draws)
        for draws in (1_000, 100_000)
    }


@click.command()
@click.option("--quick", is_flag=True, help="40 logs instead of 300.")
@click.option("--town", is_flag=True, help="By the decision log of a town, for what it believes later.")
@click.option("--json", "as_json", is_flag=True)
def main(quick: bool, town: bool, as_json: bool) -> None:
    """Compare estimates of a policy's reward, from logs of another, with the truth."""
    replicates = 40 if quick else REPLICATES
    progress(f"{replicates} logs of {REQUESTS:,} slates")
    if town:
        found = biases(asyncio.run(town_log(WORLD)), replicates, REQUESTS, {})
    else:
        world = slate_world(WORLD)
        found = biases(world, replicates, REQUESTS, _guesses(world))
    if not as_json:
        print_table(
            f"Reward per slate, {replicates} logs of {REQUESTS:,} slates; z must stay below {LIMIT}",
            ("estimator", "propensities", "mean", "truth", "off by", "z", "deviation"),
            [
                (each.estimator, each.propensities, f"{each.mean:.5f}", f"{each.truth:.5f}",
                 f"{each.off:+.2%}", f"{each.z:+.1f}", f"{each.deviation:.4f}")
                for each in found
            ],
        )  # fmt: skip
    finish(as_json, {"biases": found}, UNMEASURED)
    exact = [each for each in found if each.propensities == "exact" and each.estimator != "logged"]
    naive = next(each for each in found if each.estimator == "logged")
    if any(abs(each.z) >= LIMIT for each in exact) or abs(naive.off) <= LEAST_NAIVE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
