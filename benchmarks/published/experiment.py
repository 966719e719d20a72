"""A page of 4 % against one of 5 %, tried on 100 visits a day (Scott 2013, Google Analytics experiments).

The classical test at 95 % power takes 223 days of even halves. The bandit gives each page the share of visits
with which it is the best, and stops after two weeks or more once the leader is sure to 95 % or less than
1 % remains to be won. What is saved are conversions of those 223 days, while the experiment runs.
"""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.best import DRAWS, Advice, StopRule, standing
from nearcast_bandit.quadrature import best_probabilities

RATES = (0.04, 0.05)
VISITS_PER_DAY = 100
CLASSICAL_DAYS = 223
PUBLISHED_DAYS, PUBLISHED_SAVED = 48.0, 97.5
DAYS, SAVED, LEAST_RIGHT = (36.0, 60.0), (92.0, 103.0), 0.93
"""Where the means of 500 experiments must lie."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Means over experiments: days until the stop, conversions saved, and how often the better page won."""

    days: float
    days_error: float
    saved: float
    right: float


def experiments(count: int, seed: int = 5, draws: int = DRAWS) -> Outcome:
    """The outcome of that many experiments; `draws` are those behind the value remaining."""
    rng = np.random.default_rng(seed)
    ends = np.array([_experiment(rng, StopRule(), draws) for _ in range(count)])
    days, saved, right = ends.mean(axis=0)
    return Outcome(days, ends[:, 0].std(ddof=1) / np.sqrt(count), saved, right)


def _experiment(rng: np.random.Generator, rule: StopRule, draws: int) -> tuple[float, float, float]:
    rates, worse = np.array(RATES), RATES[1] - RATES[0]
    a, b = np.ones(2), np.ones(2)
    lost = 0.0
    for day in range(1, CLASSICAL_DAYS + 1):
        visits = rng.multinomial(VISITS_PER_DAY, best_probabilities(a, b))
        won = rng.binomial(visits, rates)
        a, b = a + won, b + visits - won
        lost += worse * float(visits[0])
        if day >= rule.least_days:
            stands = standing(a, b, draws)
            if stands.advice(day, rule) in {Advice.LEADER_IS_SURE, Advice.LITTLE_REMAINS}:
                break
    classical = worse * VISITS_PER_DAY * CLASSICAL_DAYS / 2
    return float(day), classical - lost, float(np.argmax(a / (a + b)) == 1)
