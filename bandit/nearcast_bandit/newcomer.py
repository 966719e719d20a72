"""What a new item's prior does: how often it beats the incumbent of a place before anything is known of it.

The newcomer draws from Beta(strength * m, strength * (1 - m)), the incumbent from a Beta of its own mean mu
and variance v. Were both normal, m would solve, with z the normal quantile that `chance` lies above,

    (mu - m)**2 = z**2 * (m * (1 - m) / (strength + 1) + v)

but a Beta has the fatter upper tail, so that a chance of 2 % may become one of 5 %. The root is therefore
only where the search on the exact integral begins.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.posterior import Prior
from nearcast_bandit.quadrature import best_probabilities

LEAST_CHANCE, GREATEST_CHANCE = 0.001, 0.999
_LEAST_MEAN, _GREATEST_MEAN = 1e-9, 1 - 1e-9
_CLOSE = 1e-6
_MOST_STEPS = 60
_STRIDE = 0.5


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Mean and variance of the rate that a newcomer must beat: that of the item in the last place shown."""

    mean: float
    variance: float

    def __post_init__(self) -> None:
        if not 0 < self.mean < 1:
            raise ValueError(f"mean of the incumbent is {self.mean}; it must lie strictly between 0 and 1")
        if not 0 < self.variance < self.mean * (1 - self.mean):
            raise ValueError(
                f"variance of the incumbent is {self.variance}; of a mean of {self.mean} it must lie"
                f" strictly between 0 and {self.mean * (1 - self.mean):.6g}"
            )

    @property
    def trials(self) -> float:
        """A + B of the Beta with this mean and variance."""
        return self.mean * (1 - self.mean) / self.variance - 1


def chance_to_beat(prior: Prior, incumbent: Incumbent) -> float:
    """How often an item of which nothing but the prior is known beats the incumbent."""
    means = np.array([prior.mean, incumbent.mean])
    strengths = np.array([prior.strength, incumbent.trials])
    a, b = np.maximum(strengths * means, SHAPE_FLOOR), np.maximum(strengths * (1 - means), SHAPE_FLOOR)
    return float(best_probabilities(a, b)[0])


def prior_for_chance(chance: float, strength: float, incumbent: Incumbent) -> Prior:
    """The prior of that strength with which a new item beats the incumbent just so often, to 1e-6.

    Where no mean has that chance, as against an incumbent of which nothing is known, the nearest there is.
    """
    if not LEAST_CHANCE <= chance <= GREATEST_CHANCE:
        raise ValueError(
            f"chance of a new item is {chance}; it must lie in [{LEAST_CHANCE:g}, {GREATEST_CHANCE:g}]"
        )
    target = _logit(chance)

    def excess(logit: float) -> float:
        beats = chance_to_beat(Prior(_expit(logit), strength), incumbent)
        return _logit(min(max(beats, 1e-12), 1 - 1e-12)) - target

    return Prior(_expit(_root(excess, _logit(normal_guess(chance, strength, incumbent)))), strength)


def normal_guess(chance: float, strength: float, incumbent: Incumbent) -> float:
    """The mean that would be right if both rates were normal; at least a thousandth of the incumbent's."""
    mean, z = incumbent.mean, NormalDist().inv_cdf(1 - chance)
    c = z * z / (strength + 1)
    inner = (2 * mean + c) ** 2 - 4 * (1 + c) * (mean * mean - z * z * incumbent.variance)
    root = (2 * mean + c - math.copysign(math.sqrt(max(inner, 0.0)), z)) / (2 * (1 + c))
    return min(max(root, mean / 1000, _LEAST_MEAN), _GREATEST_MEAN)


def _root(rising: Callable[[float], float], start: float) -> float:
    """Where the function is 0: steps until it changes sign, then regula falsi that halves a lazy end."""
    low, at_low = start, rising(start)
    if abs(at_low) < _CLOSE:
        return start
    stride = -math.copysign(_STRIDE, at_low)
    high, at_high = low, at_low
    while at_low * at_high > 0:
        low, at_low = high, at_high
        high = min(max(low + stride, _logit(_LEAST_MEAN)), _logit(_GREATEST_MEAN))
        if high == low:
            return high
        at_high, stride = rising(high), 2 * stride
    for _ in range(_MOST_STEPS):
        found = (low * at_high - high * at_low) / (at_high - at_low)
        value = rising(found)
        if abs(value) < _CLOSE:
            return found
        if value * at_high < 0:
            low, at_low = high, at_high
        else:
            at_low /= 2
        high, at_high = found, value
    return high


def _logit(share: float) -> float:
    return math.log(share) - math.log1p(-share)


def _expit(logit: float) -> float:
    return min(max(1 / (1 + math.exp(-logit)), _LEAST_MEAN), _GREATEST_MEAN)
