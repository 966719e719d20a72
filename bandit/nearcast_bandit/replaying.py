"""Propensities by drawing again: the real draw on its own counter streams, once per seed.

Right for any rule, also those after the draw; exact only in the limit. Weights are one over a propensity, and
with n draws their mean is too great by about (1 - p) / (n * p): hence n >= 100 / p for 1 %.
"""

import math
from collections.abc import Callable

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import draw_from_keys
from nearcast_bandit.ranking import Ranking
from nearcast_bandit.scoring import weighted_sum
from nearcast_bandit.stream import seeded_keys

Arrangement = Callable[[Integers], Integers]
"""From all candidates in drawn order, as indices, to those shown: pins, diversity, filling up."""

_DRAWS_AT_ONCE = 50_000


def draws_needed(least_propensity: float, bias: float = 0.01) -> int:
    """How many draws keep the weight of an item shown that rarely within this relative bias."""
    if not 0 < least_propensity <= 1 or not 0 < bias < 1:
        raise ValueError(
            f"least propensity is {least_propensity} and bias {bias};"
            " the first must lie in (0, 1], the second in (0, 1)"
        )
    return math.ceil(1 / (bias * least_propensity))


def replayed_propensities(
    ranking: Ranking, k: int, draws: int, arrange: Arrangement | None = None, first_seed: int = 0
) -> Floats:
    """The share of `draws` seeds, counted on from `first_seed`, at which a candidate stands at a position."""
    if draws < 1:
        raise ValueError(f"draws is {draws}; it must be at least 1")
    count = ranking.postings.size
    tally = np.zeros((count, k))
    batch = max(_DRAWS_AT_ONCE // max(count * len(ranking.kinds), 1), 1)
    for start in range(0, draws, batch):
        scores = _scores(ranking, first_seed + start, min(batch, draws - start))
        for position, shown in enumerate(_slates(ranking, scores, k, arrange).T):
            tally[:, position] += np.bincount(shown[shown >= 0], minlength=count)
    return tally / draws


def _scores(ranking: Ranking, first_seed: int, seeds: int) -> Floats:
    """A row per seed: what `Ranking.scores` gives."""
    a, b = ranking.shapes
    rates = np.stack(
        [
            draw_from_keys(
                seeded_keys(first_seed, seeds, ranking.postings, kind).reshape(-1),
                np.tile(a[row], seeds),
                np.tile(b[row], seeds),
            )
            for row, kind in enumerate(ranking.kinds)
        ]
    )
    scores = weighted_sum(rates, ranking.weights).reshape(seeds, -1)
    return scores if ranking.factors is None else scores * ranking.factors


def _slates(ranking: Ranking, scores: Floats, k: int, arrange: Arrangement | None) -> Integers:
    """A row per seed: the index shown at each position, -1 where nothing is."""
    by_posting = np.argsort(ranking.postings)
    orders = by_posting[np.argsort(-scores[:, by_posting], axis=1, kind="stable")]
    if arrange is None:
        return orders[:, :k]
    slates = np.full((scores.shape[0], k), -1, dtype=np.int64)
    for slate, order in zip(slates, orders, strict=True):
        shown = arrange(order)[:k]
        slate[: shown.size] = shown
    return slates
