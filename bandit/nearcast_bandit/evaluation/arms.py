"""Two arms that sessions were split over by hash: what a session is worth in each, and the difference.

Sessions are drawn independently, so sums over them are all it takes: an arm's mean has the variance of its
sessions over their number, and the difference that of both together (Welch). With a hundred sessions and
twenty that were worth anything in each arm the mean is near enough to normal; below that nothing is said.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

from nearcast_bandit.evaluation.report import Estimate

LEAST_SESSIONS = 100
LEAST_REWARDED = 20


@dataclass(frozen=True, slots=True)
class ArmSums:
    """An arm's sessions, how many were worth anything, the sum of their worth and of its squares."""

    sessions: int
    rewarded: int
    reward: float
    squares: float

    @property
    def mean(self) -> float:
        """What a session is worth."""
        return self.reward / self.sessions

    @property
    def variance_of_mean(self) -> float:
        """Of the mean, not of a session."""
        spread = self.squares - self.sessions * self.mean**2
        return max(spread, 0.0) / (self.sessions - 1) / self.sessions


@dataclass(frozen=True, slots=True)
class Comparison:
    """The worth of a session in each arm, how much more it is in the second, and that relative to the first.

    Without `missing` every figure is there; otherwise it says in words what would be needed for one, and a
    figure is None where even the point is not known.
    """

    first: Estimate | None
    second: Estimate | None
    difference: Estimate | None
    gain: Estimate | None
    missing: tuple[str, ...]


def compare(first: ArmSums, second: ArmSums, names: tuple[str, str], confidence: float = 0.95) -> Comparison:
    """The second arm beside the first."""
    missing = tuple(
        said for arm, name in zip((first, second), names, strict=True) for said in _lacks(arm, name)
    )
    if missing:
        return Comparison(None, None, None, None, missing)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    spread = first.variance_of_mean + second.variance_of_mean
    return Comparison(
        _around(first.mean, z * math.sqrt(first.variance_of_mean)),
        _around(second.mean, z * math.sqrt(second.variance_of_mean)),
        _around(second.mean - first.mean, z * math.sqrt(spread)),
        _gain(first, second, z),
        (),
    )


def _gain(first: ArmSums, second: ArmSums, z: float) -> Estimate:
    """The ratio less 1, by the delta method."""
    ratio = second.mean / first.mean
    spread = second.variance_of_mean + ratio**2 * first.variance_of_mean
    return _around(ratio - 1, z * math.sqrt(spread) / first.mean)


def _around(value: float, reach: float) -> Estimate:
    return Estimate(value, value - reach, value + reach)


def _lacks(arm: ArmSums, name: str) -> Iterator[str]:
    if arm.sessions < LEAST_SESSIONS:
        yield (
            f"{name} has {arm.sessions} sessions and needs at least {LEAST_SESSIONS}: wait, or give it a"
            " larger share"
        )
    elif arm.rewarded < LEAST_REWARDED:
        yield (
            f"{name} has {arm.rewarded} sessions in which anything was done and needs at least"
            f" {LEAST_REWARDED}: wait, or weigh a kind of event that is not as rare"
        )
