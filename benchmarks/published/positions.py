"""Slates of ten where fewer people look at each further place: with and without counting by who looked.

Two hundred items with rates from Beta(2, 58), forty thousand slates, feedback after every two hundred.
"""

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.draw import draw_from_keys
from nearcast_bandit.exposure import Buckets, ExposureRule, exposures
from nearcast_bandit.posterior import Prior, posterior
from nearcast_bandit.stream import seeded_keys

ITEMS, POSITIONS, BATCH, REQUESTS = 200, 10, 200, 40_000
ATTENTION = 1 / np.arange(1, POSITIONS + 1)
RATES = (2.0, 58.0)
CORRECTED, NAIVE = ExposureRule(position_curve=tuple(ATTENTION.tolist())), ExposureRule()
LEAST_CORRECTED, MOST_NAIVE = 0.84, 0.81
MEASURED = (0.873, 0.771)
"""What nearcast measured first over 12 worlds: shares of the most clicks there can be."""


def share_of_the_best(seed: int, rule: ExposureRule, requests: int = REQUESTS) -> float:
    """Expected clicks over those of the best order, from the first slate to the last."""
    rng = np.random.default_rng([seed, 10])
    rates = rng.beta(*RATES, ITEMS)
    shown, clicked = np.zeros((2, ITEMS, POSITIONS), dtype=np.int64)
    prior = Prior(RATES[0] / sum(RATES), sum(RATES))
    won = 0.0
    for batch in range(requests // BATCH):
        exposed, succeeded = exposures(_buckets(shown, clicked), rule, 1.0, ITEMS)
        slates = _slates(seed * requests + batch * BATCH, *posterior(prior, exposed, succeeded))
        chances = rates[slates] * ATTENTION
        won += float(chances.sum())
        place = np.broadcast_to(np.arange(POSITIONS), slates.shape)
        np.add.at(shown, (slates, place), 1)
        np.add.at(clicked, (slates, place), rng.random(slates.shape) < chances)
    best = float(np.sort(rates)[::-1][:POSITIONS] @ ATTENTION)
    return won / (best * (requests // BATCH) * BATCH)


def _buckets(shown: np.ndarray, clicked: np.ndarray) -> Buckets:
    item, place = (column.ravel() for column in np.indices(shown.shape))
    return Buckets(item, np.zeros_like(item), place + 1, shown.ravel(), clicked.ravel())


def _slates(first_seed: int, a: Floats, b: Floats) -> np.ndarray:
    keys = seeded_keys(first_seed, BATCH, np.arange(ITEMS), 1).reshape(-1)
    drawn = draw_from_keys(keys, np.tile(a, BATCH), np.tile(b, BATCH)).reshape(BATCH, ITEMS)
    best: np.ndarray = np.argsort(-drawn, axis=1)[:, :POSITIONS]
    return best
