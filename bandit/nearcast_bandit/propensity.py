"""The probability with which each candidate was to stand at each position: what its exposure is weighed by.

    P(i at r) = integral of f_i(x) * P(exactly r - 1 of the others exceed x) dx

The number of others above x is Poisson-binomial, kept for the first k values only. "All but i" is what comes
before i joined with what comes after it: no division, so no loss where a probability is near 0 or 1. The cost
is candidates * k**2 * points.
"""

from collections.abc import Iterator

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.convolution import sum_table
from nearcast_bandit.distributions import ScoreTable, beta_table
from nearcast_bandit.ranking import Ranking

_NUMBERS_AT_ONCE = 4_000_000
# Points where fewer than k above has a chance below e**-40 add nothing.
_NEGLIGIBLE = 40.0


def draw_propensities(ranking: Ranking, k: int) -> Floats:
    """P(candidate at position), a column per position from 1 to k, for a slate that is the k best draws.

    One kind with equal factors is integrated over the posteriors themselves; several kinds, or factors that
    differ, over sums convolved on a grid. Rules that act after the draw (pins, diversity) are not in it.
    """
    return rank_probabilities(score_table(ranking, k), k)


def score_table(ranking: Ranking, k: int) -> ScoreTable:
    """The distributions of all scores, or of what has their order; fine enough for the ranks 1 to k."""
    a, b = ranking.shapes
    weighing = [row for row, weight in enumerate(ranking.weights) if weight]
    factors = np.ones(ranking.postings.size) if ranking.factors is None else ranking.factors
    if len(weighing) > 1 or (factors != factors[:1]).any():
        return sum_table(ranking.weights, a, b, factors)
    row = weighing[0]
    if ranking.weights[row] < 0:
        a, b = b, a
    return beta_table(a[row], b[row], k)


def floor_propensities(count: int, pool: Integers, k: int) -> Floats:
    """P(candidate at position) when the slate is an even shuffle of the pool."""
    chances = np.zeros((count, k))
    chances[pool, : pool.size] = 1 / max(pool.size, 1)
    return chances


def with_floor(drawn: Floats, floor: Floats, share: float) -> Floats:
    """What holds of a request of which it is not known whether it explores; `share` of requests do."""
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}; it must lie in [0, 1]")
    return (1 - share) * drawn + share * floor


def rank_probabilities(table: ScoreTable, k: int) -> Floats:
    """P(score i is the r-th greatest) for r = 1 to k; with fewer scores than k the last columns are 0."""
    count = table.mass.shape[0]
    ranks = min(k, count)
    chances = np.zeros((count, max(k, 0)))
    if ranks <= 0:
        return chances
    wanted = np.flatnonzero(_matters(table, ranks))
    for points in _stretches(wanted, max(_NUMBERS_AT_ONCE // (count * ranks), 1)):
        chances[:, :ranks] += _rank_masses(table.mass[:, points], 1 - table.below[:, points], ranks)
    return chances


def _matters(table: ScoreTable, ranks: int) -> Booleans:
    """Where "fewer than `ranks` above" is not beyond hope, by Chernoff's bound."""
    expected = (1 - table.below).sum(axis=0)
    excess = np.maximum(expected - ranks, 0)
    matters: Booleans = excess**2 <= 2 * _NEGLIGIBLE * np.maximum(expected, 1)
    return matters & (table.mass > 0).any(axis=0)


def _stretches(points: Integers, length: int) -> Iterator[Integers]:
    for start in range(0, points.size, length):
        yield points[start : start + length]


def _rank_masses(mass: Floats, above: Floats, ranks: int) -> Floats:
    before = _counts_of_earlier(above, ranks)
    before *= mass[:, None, :]
    after = _counts_of_earlier(above[::-1], ranks)[::-1]
    # For each row the mass at which so many before it and so many after it are above.
    both = before @ after.transpose(0, 2, 1)
    earlier = np.arange(ranks)
    return np.stack(
        [both[:, earlier[: rank + 1], rank - earlier[: rank + 1]].sum(axis=1) for rank in range(ranks)],
        axis=1,
    )


def _counts_of_earlier(above: Floats, ranks: int) -> Floats:
    """For each row and point the chances that 0, 1, ... ranks - 1 of the rows before it are above."""
    counts = np.zeros((above.shape[0], ranks, above.shape[1]))
    counts[0, 0] = 1
    for row in range(1, above.shape[0]):
        chance = above[row - 1]
        counts[row] = counts[row - 1] * (1 - chance)
        counts[row, 1:] += counts[row - 1, :-1] * chance
    return counts
