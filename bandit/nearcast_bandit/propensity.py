"""The probability with which each candidate was to stand at each position: what its exposure is weighed by.

    P(i at r) = integral of f_i(x) * P(exactly r - 1 of the others exceed x) dx

The number of others above x is Poisson-binomial, kept for the first k values only. "All but i" is i divided
out of the counts of all, which costs k, where that loses nothing; where i is above too likely it is what
comes before i joined with what comes after it, which costs k**2. Where i has no mass nothing is to be found.
"""

from collections.abc import Iterator

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.convolution import sum_table
from nearcast_bandit.distributions import ScoreTable, beta_table
from nearcast_bandit.ranking import Ranking

_NUMBERS_AT_ONCE = 100_000
# A row that is above too likely is not divided out: of sixteen digits eleven shall be left.
_LEAST_LOST = 1e-5
_NO_MASS = 1e-18
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
    for points in _stretches(wanted, max(_NUMBERS_AT_ONCE // count, 1)):
        _add_rank_masses(table.mass[:, points], 1 - table.below[:, points], chances[:, :ranks])
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


def _add_rank_masses(mass: Floats, above: Floats, chances: Floats) -> None:
    """What a stretch of points adds to the chances of each rank, for the rows that have mass there."""
    ranks = chances.shape[1]
    likely = _LEAST_LOST ** (-1 / ranks)
    divisible = (above <= likely / (1 + likely)).all(axis=1)
    has_mass = (mass > _NO_MASS).any(axis=1)
    joined, others = has_mass & ~divisible, ~has_mass | divisible
    counts = _counted(above[others], ranks)
    for row, found in _joined_masses(np.flatnonzero(joined), mass, above, counts):
        chances[row] += found
    divided = np.flatnonzero(has_mass & divisible)
    if divided.size:
        everybody = _counted(above[joined], ranks, counts)
        chances[divided] += _divided_masses(mass[divided], above[divided], everybody)


def _divided_masses(mass: Floats, above: Floats, everybody: Floats) -> Floats:
    """Each row taken out of the counts of everybody: errors grow by p / (1 - p) from rank to rank."""
    odds = above / (1 - above)
    left = everybody[0] / (1 - above)
    found = np.empty((mass.shape[0], everybody.shape[0]))
    found[:, 0] = np.einsum("ij,ij->i", mass, left)
    for rank in range(1, everybody.shape[0]):
        left *= -odds
        left += everybody[rank] / (1 - above)
        found[:, rank] = np.einsum("ij,ij->i", mass, left)
    return found


def _joined_masses(
    rows: Integers, mass: Floats, above: Floats, counts: Floats
) -> Iterator[tuple[int, Floats]]:
    """Of rows that are above too likely: what comes before each of them, joined with what comes after."""
    ranks = counts.shape[0]
    after = [counts]
    for row in rows[:0:-1].tolist():
        after.append(_with_one_more(after[-1], above[row]))
    before = np.zeros_like(counts)
    before[0] = 1
    for row in rows.tolist():
        both = (before * mass[row]) @ after.pop().T
        yield row, np.array([both[: rank + 1, rank::-1].trace() for rank in range(ranks)])
        before = _with_one_more(before, above[row])


def _counted(above: Floats, ranks: int, begun: Floats | None = None) -> Floats:
    """At each point the chances that 0, 1, ... ranks - 1 of the rows, and of those begun with, are above."""
    counts = np.zeros((ranks, above.shape[1])) if begun is None else begun
    if begun is None:
        counts[0] = 1
    for row in above:
        counts = _with_one_more(counts, row)
    return counts


def _with_one_more(counts: Floats, chance: Floats) -> Floats:
    found = counts * (1 - chance)
    found[1:] += counts[:-1] * chance
    return found
