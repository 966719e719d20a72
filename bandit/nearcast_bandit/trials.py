"""What is believed of a feed's reward: sessions that saw it and those it pleased, fading with age."""

import math
from collections.abc import Iterable

from nearcast_bandit.posterior import Prior

HOURS_PER_DAY = 24.0


def trial_posterior(
    hours: Iterable[tuple[int, int, int]], prior: Prior, half_life_days: float, now_hours: float
) -> tuple[float, float]:
    """A and B from (hour since the Unix epoch, trials, rewards), aged from the middle of each hour.

    A half-life of 0 forgets nothing.
    """
    rate = math.log(2) / (half_life_days * HOURS_PER_DAY) if half_life_days else 0.0
    trials = rewards = 0.0
    for hour, tried, rewarded in hours:
        weight = math.exp(-rate * max(now_hours - hour - 0.5, 0.0))
        trials += weight * tried
        rewards += weight * rewarded
    a = prior.strength * prior.mean + rewards
    return a, prior.strength * (1 - prior.mean) + max(trials - rewards, 0.0)
