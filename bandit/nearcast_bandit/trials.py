"""What is believed of a feed's reward: sessions that saw it and those it pleased, fading with age."""

import math
from collections.abc import Iterable

from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.posterior import Prior

HOURS_PER_DAY = 24.0


def prior_from_parent(a: float, b: float, greatest_strength: float) -> Prior:
    """What the posterior Beta(a, b) of a wider segment says of a feed in a narrower one.

    It is worth what the wider segment knows, but never more than `greatest_strength` trials, so that trials
    of the narrower segment are heard. They are best left out of the wider one's.
    """
    return Prior(a / (a + b), min(a + b, greatest_strength))


def trial_posterior(
    hours: Iterable[tuple[int, int, int]], prior: Prior, half_life_days: float, now_hours: float
) -> tuple[float, float]:
    """A and B from (hour since the Unix epoch, trials, rewards)."""
    trials, rewards = faded(hours, half_life_days, now_hours)
    a = prior.strength * prior.mean + rewards
    return a, prior.strength * (1 - prior.mean) + max(trials - rewards, 0.0)


def narrowed_posterior(
    wider: tuple[float, float],
    own: Iterable[tuple[int, int, int]],
    greatest_strength: float,
    half_life_days: float,
    now_hours: float,
) -> tuple[float, float]:
    """A and B in a narrower segment, whose own hours are among those behind the A and B of the `wider` one.

    They are left out of what the others say, as they are counted in full.
    """
    hours = list(own)
    trials, rewards = faded(hours, half_life_days, now_hours)
    others_a = max(wider[0] - rewards, SHAPE_FLOOR)
    others_b = max(wider[1] - max(trials - rewards, 0.0), SHAPE_FLOOR)
    parent = prior_from_parent(others_a, others_b, greatest_strength)
    return trial_posterior(hours, parent, half_life_days, now_hours)


def faded(
    hours: Iterable[tuple[int, int, int]], half_life_days: float, now_hours: float
) -> tuple[float, float]:
    """What is left of trials and rewards, aged from the middle of each hour.

    A half-life of 0 forgets nothing.
    """
    rate = math.log(2) / (half_life_days * HOURS_PER_DAY) if half_life_days else 0.0
    trials = rewards = 0.0
    for hour, tried, rewarded in hours:
        weight = math.exp(-rate * max(now_hours - hour - 0.5, 0.0))
        trials += weight * tried
        rewards += weight * rewarded
    return trials, rewards
