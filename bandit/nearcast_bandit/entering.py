"""How items of which nothing is known fare among those that are known: exposure of newcomers under a policy.

A newcomer takes one of the first k places when fewer than k others are drawn above it:

    P = integral of f(x) * P(fewer than k of the others exceed x)

Newcomers of one prior are alike, so each kind of them is integrated once, whatever their number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.posterior import sharpen
from nearcast_bandit.propensity import score_table
from nearcast_bandit.ranking import Ranking
from nearcast_bandit.scoring import mean_scores

# A sum of kinds that were each tried so often is as good as normal, and would need a grid of its own.
NORMAL_FROM_TRIALS = 5_000.0
# The same for a rate alone, which is tabulated whatever its sharpness, to save points.
_MOST_TRIALS = 200_000.0
_NORMAL_POINTS = np.linspace(-8.0, 8.0, 4001)
_NORMAL_BELOW = np.array([0.5 * math.erfc(-point / math.sqrt(2)) for point in _NORMAL_POINTS.tolist()])


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Those that compete: A and B with a row per weighted kind and a column per item.

    Items that are known come first. `strangers` says how many there are of each of the next columns, which
    are priors; the last column is the prior of one item more, which enters.
    """

    weights: Sequence[float]
    a: Floats
    b: Floats
    strangers: Integers
    exploration: float = 1.0

    @property
    def known(self) -> int:
        """How many items are known."""
        return int(self.a.shape[1]) - self.strangers.size - 1

    @property
    def size(self) -> int:
        """All but the one that enters."""
        return self.known + int(self.strangers.sum())


@dataclass(frozen=True, slots=True)
class Entry:
    """How often the item that enters takes a place, its mean rank, and the share of places strangers have.

    Over both: requests that draw, and those that explore.
    """

    chance: float
    expected_rank: float
    stranger_share: float


def entry_of(crowd: Crowd, places: int, pool: int, explore_share: float) -> Entry:
    """In the first `places`; a share of requests shuffles a pool of the best by posterior mean."""
    drawn = _drawn(crowd, places)
    explored = _explored(crowd, places, pool)
    mixed = [
        (1 - explore_share) * one + explore_share * other for one, other in zip(drawn, explored, strict=True)
    ]
    return Entry(*mixed)


def _drawn(crowd: Crowd, places: int) -> tuple[float, float, float]:
    count = crowd.a.shape[1]
    mass, above = _table(crowd, places)
    times = np.concatenate((np.ones(crowd.known, np.int64), crowd.strangers, [0]))
    known = _counts(above, np.where(np.arange(count) < crowd.known, times, 0), places)
    chances = np.zeros(crowd.strangers.size + 1)
    for column in range(chances.size):
        others = np.where(np.arange(count) < crowd.known, 0, times)
        others[crowd.known + column] = max(others[crowd.known + column] - 1, 0)
        fewer = _counts(above, others, places, known).sum(axis=0)
        chances[column] = mass[column] @ fewer
    rank = 1 + float(mass[-1] @ (times @ above))
    taken = min(places, crowd.size)
    share = float(chances[:-1] @ crowd.strangers) / taken if taken else 0.0
    return float(chances[-1]), rank, share


def _table(crowd: Crowd, places: int) -> tuple[Floats, Floats]:
    """The mass of each that is new at some points, and for all columns the chance to be above each point."""
    trials, columns = crowd.a + crowd.b, np.arange(crowd.a.shape[1])
    blunt = np.minimum(_MOST_TRIALS / trials, 1.0) if len(crowd.weights) == 1 else np.ones(trials.shape)
    is_sharp = (trials >= NORMAL_FROM_TRIALS).any(axis=0) & (columns < crowd.known)
    if len(crowd.weights) == 1:
        is_sharp[:] = False
    exact = columns[~is_sharp]
    a, b = (crowd.a * blunt)[:, exact], (crowd.b * blunt)[:, exact]
    ranking = Ranking(exact, range(len(crowd.weights)), crowd.weights, a, b, crowd.exploration)
    table = score_table(ranking, places)
    fresh = exact >= crowd.known
    points = np.flatnonzero((table.mass[fresh] > 0).any(axis=0))
    above = np.empty((columns.size, points.size))
    above[exact] = 1 - table.below[:, points]
    if table.points is not None:
        above[is_sharp] = _normal_above(crowd, is_sharp, table.points[points])
    return table.mass[fresh][:, points], above


def _normal_above(crowd: Crowd, which: Booleans, points: Floats) -> Floats:
    """The chance that a score of many trials is above each point."""
    a, b = sharpen(crowd.a[:, which], crowd.b[:, which], crowd.exploration)
    weights = np.array(crowd.weights)[:, None]
    means = (weights * a / (a + b)).sum(axis=0)
    deviations = np.sqrt((weights**2 * a * b / ((a + b) ** 2 * (a + b + 1))).sum(axis=0))
    below: Floats = np.interp((points - means[:, None]) / deviations[:, None], _NORMAL_POINTS, _NORMAL_BELOW)
    return 1 - below


def _explored(crowd: Crowd, places: int, pool: int) -> tuple[float, float, float]:
    """Whoever is in the pool stands anywhere in it alike; the rest follows in its order."""
    means = mean_scores(crowd.weights, crowd.a, crowd.b)
    times = np.concatenate((np.ones(crowd.known, np.int64), crowd.strangers))
    better = int(times[means[:-1] >= means[-1]].sum())
    size = min(pool, crowd.size + 1)
    is_in = better < size
    chance = min(places / size, 1.0) if is_in else 0.0
    rank = (size + 1) / 2 if is_in else float(better + 1)
    strangers = _in_pool(crowd, means[:-1], times, min(pool, crowd.size))
    return chance, rank, strangers


def _in_pool(crowd: Crowd, means: Floats, times: Integers, pool: int) -> float:
    """The share of the pool that is strangers."""
    if not pool:
        return 0.0
    order = np.argsort(-means, kind="stable")
    taken = np.minimum(np.maximum(pool - (np.cumsum(times[order]) - times[order]), 0), times[order])
    return float(taken[order >= crowd.known].sum()) / pool


def _counts(above: Floats, times: Integers, ranks: int, begun: Floats | None = None) -> Floats:
    """The chances that 0, 1, … ranks - 1 are above each point, of rows that count so many times."""
    counts = np.zeros((ranks, above.shape[1])) if begun is None else begun.copy()
    if begun is None:
        counts[0] = 1
    for row in np.flatnonzero(times).tolist():
        for _ in range(int(times[row])):
            moved = counts[:-1] * above[row]
            counts *= 1 - above[row]
            counts[1:] += moved
    return counts
