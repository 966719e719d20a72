"""The prior that fits a group of rates best: its mean, and how many exposures it is worth.

Each child of the group has E effective exposures and S successes, F = max(E - S, 0). Its rate is a draw of
Beta(a, b) with a = strength * mean and b = strength * (1 - mean), so that the evidence says

    L = sum of  ln B(a + S, b + F) - ln B(a, b)

L is climbed by Newton in (logit of the mean, log of the strength), which hardly disturb each other; the
strength keeps to its bounds. For a fixed strength L is concave in the mean.

With a parent the climb begins at what the parent believes, and L has two terms more:

    + parent.strength * (parent.mean * ln(mean) + (1 - parent.mean) * ln(1 - mean))
    - ln(strength / parent.strength)**2 / 2

that is: the mean of the group is itself a draw of the parent's Beta, and its strength is the parent's up to
a factor of about e. Children without evidence so leave the parent's belief as it is, and much evidence
forgets the parent; nothing in between is a threshold.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.polygamma import digamma, log_gamma, trigamma
from nearcast_bandit.posterior import Prior

LEAST_EXPOSURES = 1.0
LEAST_CHILDREN = 2
_MOST_STEPS = 60
_LONGEST_STEP = 2.0
_CLOSE = 1e-7
_ROUNDING = 1e-13
_FARTHEST_LOGIT = 30.0


class FitKind(StrEnum):
    """How a prior came about."""

    FITTED = "fitted"
    LEAST_STRENGTH = "at the least strength allowed"
    GREATEST_STRENGTH = "at the greatest strength allowed"
    MOMENTS = "by moments"
    TOO_LITTLE = "too little evidence"
    BY_CHANCE = "by the chance to beat the incumbent"


@dataclass(frozen=True, slots=True)
class StrengthBounds:
    """The least and the greatest number of exposures that a fitted prior is worth."""

    least: float = 20.0
    greatest: float = 20_000.0

    def __post_init__(self) -> None:
        if not 0 < self.least < self.greatest < math.inf:
            raise ValueError(
                f"prior strengths may run from {self.least} to {self.greatest};"
                " the first must be above 0 and below the second, and both finite"
            )


BOUNDS = StrengthBounds()


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted prior, what it was fitted to, and how; no prior when there was too little and no parent."""

    prior: Prior | None
    kind: FitKind
    children: int
    exposures: float
    successes: float


def fit_prior(
    exposures: Floats,
    successes: Floats,
    *,
    parent: Prior | None = None,
    bounds: StrengthBounds = BOUNDS,
    most_steps: int = _MOST_STEPS,
) -> Fit:
    """The prior of children with that evidence; those with less than one exposure are left out."""
    group = _group(exposures, successes, parent)
    prior, kind = _fitted(group, bounds, most_steps)
    return Fit(prior, kind, group.successes.size, float(group.exposures.sum()), float(group.successes.sum()))


def effective_trials(exposures: Floats, strength: float) -> Floats:
    """What each child tells of the group's mean, in trials: never more than strength + 1."""
    known: Floats = exposures * (strength + 1) / (strength + np.maximum(exposures, 1))
    return known


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The children, and what is believed before them."""

    exposures: Floats
    successes: Floats
    failures: Floats
    parent: Prior | None

    def value(self, logit: float, log_strength: float) -> float:
        """L."""
        mean, strength = _expit(logit), math.exp(log_strength)
        a, b = strength * mean, strength * (1 - mean)
        gained = float(self._signed_sums(log_gamma, a, b, strength).sum())
        if self.parent is None:
            return gained
        pull = self.parent.mean * math.log(mean) + (1 - self.parent.mean) * math.log1p(-mean)
        return gained + self.parent.strength * pull - 0.5 * self._stretch(log_strength) ** 2

    def slopes(self, logit: float, log_strength: float) -> tuple[Floats, Floats]:
        """The gradient of L and its Hessian, by (logit of the mean, log of the strength)."""
        mean, strength = _expit(logit), math.exp(log_strength)
        a, b = strength * mean, strength * (1 - mean)
        by_a, by_b, by_k = self._signed_sums(digamma, a, b, strength)
        by_aa, by_bb, by_kk = self._signed_sums(trigamma, a, b, strength)
        turn, tilt = a * (1 - mean), by_a - by_b
        by_v = a * by_a + b * by_b + strength * by_k
        gradient = np.array([turn * tilt, by_v])
        across = turn * (a * by_aa - b * by_bb + tilt)
        curve_u = turn * turn * (by_aa + by_bb) + turn * (1 - 2 * mean) * tilt
        curve_v = a * a * by_aa + b * b * by_bb + strength * strength * by_kk + by_v
        if self.parent is not None:
            gradient += (self.parent.strength * (self.parent.mean - mean), -self._stretch(log_strength))
            curve_u -= self.parent.strength * mean * (1 - mean)
            curve_v -= 1
        return gradient, np.array([[curve_u, across], [across, curve_v]])

    def _signed_sums(self, gamma: Callable[[Floats], Floats], a: float, b: float, strength: float) -> Floats:
        """How much that function rises by the evidence from a, from b and, counted against, from a + b."""
        count = self.successes.size
        ends = np.concatenate((a + self.successes, b + self.failures, strength + self.exposures))
        starts = gamma(np.array((a, b, strength)))
        risen: Floats = gamma(ends).reshape(3, count).sum(axis=1) - count * starts
        risen[2] *= -1
        return risen

    def _stretch(self, log_strength: float) -> float:
        return log_strength - math.log(self.parent.strength) if self.parent else 0.0


def _group(exposures: Floats, successes: Floats, parent: Prior | None) -> _Group:
    if exposures.ndim != 1 or exposures.shape != successes.shape:
        raise ValueError(
            f"exposures and successes must be flat and of one length, not of shapes {exposures.shape}"
            f" and {successes.shape}"
        )
    for name, values in (("exposures", exposures), ("successes", successes)):
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if wrong.size:
            raise ValueError(
                f"{name} of child {wrong[0]} are {values[wrong[0]]}; they must be finite and not below 0"
            )
    seen = exposures >= LEAST_EXPOSURES
    shown, succeeded = exposures[seen].astype(np.float64), successes[seen].astype(np.float64)
    failures = np.maximum(shown - succeeded, 0)
    return _Group(succeeded + failures, succeeded, failures, parent)


def _fitted(group: _Group, bounds: StrengthBounds, most_steps: int) -> tuple[Prior | None, FitKind]:
    if not _is_enough(group):
        return group.parent, FitKind.TOO_LITTLE
    lowest, highest = math.log(bounds.least), math.log(bounds.greatest)
    start = _first_guess(group, bounds)
    end = _climb(group, start, (lowest, highest), most_steps)
    logit, log_strength = start if end is None else end
    prior = Prior(_expit(logit), math.exp(log_strength))
    if end is None:
        return prior, FitKind.MOMENTS
    if log_strength <= lowest:
        return prior, FitKind.LEAST_STRENGTH
    return prior, FitKind.GREATEST_STRENGTH if log_strength >= highest else FitKind.FITTED


def _is_enough(group: _Group) -> bool:
    """Without a parent there is no best mean when all failed or all succeeded."""
    if group.parent is not None:
        return group.exposures.size > 0
    return group.exposures.size >= LEAST_CHILDREN and bool(group.successes.any() and group.failures.any())


def _first_guess(group: _Group, bounds: StrengthBounds) -> tuple[float, float]:
    """By moments: logit of the mean and log of the strength; with a parent, its strength and its pull."""
    if group.parent is None:
        mean = float(group.successes.sum() / group.exposures.sum())
        strength = _strength_by_moments(group, mean, bounds)
        return _logit(mean), math.log(strength)
    strength = min(max(group.parent.strength, bounds.least), bounds.greatest)
    trials = effective_trials(group.exposures, strength)
    hits = float((trials * group.successes / group.exposures).sum())
    pulled = group.parent.strength * group.parent.mean + hits
    return _logit(pulled / (group.parent.strength + float(trials.sum()))), math.log(strength)


def _strength_by_moments(group: _Group, mean: float, bounds: StrengthBounds) -> float:
    """From how much more the children's rates scatter than chance alone would make them."""
    exposures, total = group.exposures, float(group.exposures.sum())
    scatter = float((exposures * (group.successes / exposures - mean) ** 2).sum()) / (mean * (1 - mean))
    by_chance = exposures.size - 1
    room = total - float((exposures**2).sum()) / total - by_chance
    share = (scatter - by_chance) / room if room > 0 else 0.0
    if share <= 1 / (bounds.greatest + 1):
        return bounds.greatest
    return max(1 / share - 1, bounds.least)


def _climb(
    group: _Group, start: tuple[float, float], reach: tuple[float, float], most_steps: int
) -> tuple[float, float] | None:
    """To the top of L from there; None if it was not reached within that many steps."""
    place, height = start, group.value(*start)
    for _ in range(most_steps):
        gradient, hessian = group.slopes(*place)
        step = _ascent(gradient, hessian, place[1], reach)
        if np.abs(step).max() < _CLOSE:
            return place
        while True:
            found = _within(place[0] + float(step[0]), place[1] + float(step[1]), reach)
            reached = group.value(*found)
            if reached >= height - _ROUNDING * abs(height):
                break
            step /= 2
            if np.abs(step).max() < _CLOSE:
                return place
        place, height = found, reached
    return None


def _ascent(gradient: Floats, hessian: Floats, log_strength: float, reach: tuple[float, float]) -> Floats:
    """Newton's step, turned uphill where L is not concave; along a bound that it would cross."""
    lowest, highest = reach
    outward = (log_strength <= lowest and gradient[1] < 0) or (log_strength >= highest and gradient[1] > 0)
    if outward:
        step = np.array([gradient[0] / max(abs(hessian[0, 0]), 1e-12), 0.0])
    else:
        curves, axes = np.linalg.eigh(hessian)
        step = axes @ ((axes.T @ gradient) / np.maximum(np.abs(curves), 1e-12))
    longest = float(np.abs(step).max())
    return step * (_LONGEST_STEP / longest) if longest > _LONGEST_STEP else step


def _within(logit: float, log_strength: float, reach: tuple[float, float]) -> tuple[float, float]:
    return min(max(logit, -_FARTHEST_LOGIT), _FARTHEST_LOGIT), min(max(log_strength, reach[0]), reach[1])


def _logit(mean: float) -> float:
    return min(max(math.log(mean) - math.log1p(-mean), -_FARTHEST_LOGIT), _FARTHEST_LOGIT)


def _expit(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
