"""The logarithm of the gamma function and its first two derivatives, of arrays of positive numbers.

Each argument is moved up by eight, where the asymptotic series is exact to rounding.
"""

import math

import numpy as np

from nearcast_bandit.arrays import Floats

_SHIFTS = np.arange(8.0)[:, None]
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def log_gamma(x: Floats) -> Floats:
    """ln Γ(x) of a flat array."""
    top = x + _SHIFTS.size
    r = 1 / (top * top)
    series = 1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * 691 / 360360))))
    value: Floats = (top - 0.5) * np.log(top) - top + _HALF_LOG_TWO_PI + series / top
    # The product is taken relative to x, so that a great x does not make it overflow.
    value -= np.log((1 + _SHIFTS / x).prod(axis=0)) + _SHIFTS.size * np.log(x)
    return value


def digamma(x: Floats) -> Floats:
    """The derivative of ln Γ, of a flat array."""
    top = x + _SHIFTS.size
    r = 1 / (top * top)
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r * (1 / 132 - r * 691 / 32760)))))
    value: Floats = np.log(top) - 0.5 / top - series
    value -= (1 / (x + _SHIFTS)).sum(axis=0)
    return value


def trigamma(x: Floats) -> Floats:
    """The second derivative of ln Γ, of a flat array."""
    top = x + _SHIFTS.size
    r = 1 / (top * top)
    series = r * (1 / 6 - r * (1 / 30 - r * (1 / 42 - r * (1 / 30 - r * (5 / 66 - r * 691 / 2730)))))
    value: Floats = 1 / top + 0.5 * r + series / top
    value += ((x + _SHIFTS) ** -2).sum(axis=0)
    return value
