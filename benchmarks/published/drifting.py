"""Forgetting where rates drift: three arms, each given a new rate from U(0, 1) once in a thousand steps.

After the setting of Russo et al., A Tutorial on Thompson Sampling, section 6.3, which prints curves only.
"""

import math

import numpy as np

from nearcast_bandit.posterior import Prior, posterior

ARMS = 3
HALF_LIVES_STEPS = (math.inf, 100.0)
GREATEST_RATIO = 0.4
MEASURED = (0.1354, 0.0368)
"""What nearcast measured first in 200 runs of 10,000 steps, for each of the half-lives."""

_EVEN = Prior(0.5, 2)


def regret_per_step(runs: int, steps: int, seed: int = 20) -> tuple[float, float]:
    """What never forgetting loses, and a half-life of a hundred steps, on the same rates."""
    rng = np.random.default_rng(seed)
    kept = np.exp(-math.log(2) / np.array(HALF_LIVES_STEPS))[:, None, None]
    rates = rng.random((runs, ARMS))
    exposures, successes = np.zeros((2, runs, ARMS)), np.zeros((2, runs, ARMS))
    way, run = np.indices((2, runs))
    lost = np.zeros(2)
    for _ in range(steps):
        changed = rng.random((runs, ARMS)) < 0.001
        rates[changed] = rng.random(int(changed.sum()))
        shown = rng.beta(*posterior(_EVEN, exposures, successes)).argmax(axis=2)
        gained = rates[run, shown]
        lost += (rates.max(axis=1) - gained).mean(axis=1)
        exposures *= kept
        successes *= kept
        exposures[way, run, shown] += 1
        successes[way, run, shown] += rng.random((2, runs)) < gained
    never, hundred = (lost / steps).tolist()
    return never, hundred
