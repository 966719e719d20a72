"""From a prior and the evidence to a Beta posterior: prior strength and prior mean, exposures and successes.

    A = strength * mean + S          B = strength * (1 - mean) + max(E - S, 0)

Counting a discounted exposure as a trial is an approximation of the position model; it is good for rates
below about 10 %.
"""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.draw import SHAPE_FLOOR


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a rate before any evidence: its mean, and the exposures it is worth."""

    mean: float
    strength: float

    def __post_init__(self) -> None:
        if not 0 < self.mean < 1:
            raise ValueError(f"prior mean is {self.mean}; it must lie strictly between 0 and 1")
        if not 0 < self.strength < float("inf"):
            raise ValueError(f"prior strength is {self.strength}; it must be above 0 and finite")


def posterior(prior: Prior, exposures: Floats, successes: Floats) -> tuple[Floats, Floats]:
    """A and B for each row; successes beyond the exposures only raise A."""
    return posteriors(np.array(prior.mean), np.array(prior.strength), exposures, successes)


def posteriors(
    means: Floats, strengths: Floats, exposures: Floats, successes: Floats
) -> tuple[Floats, Floats]:
    """A and B for each row by the prior of its own; means and strengths are those of a Prior each."""
    _check("exposures", exposures)
    _check("successes", successes)
    a = strengths * means + successes
    b = strengths * (1 - means) + np.maximum(exposures - successes, 0)
    return np.maximum(a, SHAPE_FLOOR), np.maximum(b, SHAPE_FLOOR)


def posterior_mean(a: Floats, b: Floats) -> Floats:
    """The mean of Beta(a, b)."""
    a = a.astype(np.float64, copy=False)
    return a / (a + b)


def sharpen(a: Floats, b: Floats, exploration: float) -> tuple[Floats, Floats]:
    """The same mean with about `exploration` times the variance; 1 leaves the posterior as it is."""
    if not 0 < exploration < float("inf"):
        raise ValueError(
            f"exploration is {exploration}; it must be above 0 and finite, 1 for plain Thompson sampling"
        )
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    if exploration == 1:
        return a, b
    return np.maximum(a / exploration, SHAPE_FLOOR), np.maximum(b / exploration, SHAPE_FLOOR)


def _check(name: str, values: Floats) -> None:
    wrong = ~(np.isfinite(values) & (values >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{name} of row {row} are {values[row]}; they must be finite and not below 0")
