"""Two arms of sessions: what a session is worth in each, and when nothing is said."""

import numpy as np
import pytest

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.arms import ArmSums, compare

NAMES = ("the policy in force", "the contender")


def sums_of(worth: Floats) -> ArmSums:
    return ArmSums(worth.size, int((worth > 0).sum()), float(worth.sum()), float((worth**2).sum()))


def test_the_difference_is_that_of_welch() -> None:
    """Against the textbook: means 1 and 2 of 400 sessions, each with a variance of 1 or 3."""
    first = ArmSums(400, 300, 400.0, 399.0 + 400.0)
    second = ArmSums(400, 300, 800.0, 3 * 399.0 + 1600.0)
    found = compare(first, second, NAMES)
    assert found.difference is not None
    reach = 1.959964 * (1 / 400 + 3 / 400) ** 0.5
    assert found.difference.value == pytest.approx(1.0)
    assert (found.difference.low, found.difference.high) == pytest.approx((1 - reach, 1 + reach))
    assert found.gain is not None
    assert found.gain.value == pytest.approx(1.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """1,000 experiments of rare rewards, the second arm 30 % better; 95 % within 2.2 percentage points."""
    rng = np.random.default_rng(7)
    held = gained = 0
    for _ in range(1000):
        first, second = (2.5 * rng.binomial(4, rate, 600).astype(np.float64) for rate in (0.05, 0.065))
        found = compare(sums_of(first), sums_of(second), NAMES)
        assert found.difference is not None
        assert found.gain is not None
        held += found.difference.low <= 0.15 <= found.difference.high
        gained += found.gain.low <= 0.3 <= found.gain.high
    assert 0.928 <= held / 1000 <= 0.972
    assert 0.928 <= gained / 1000 <= 0.972


def test_too_few_sessions_or_rewards_are_refused_with_what_is_missing() -> None:
    found = compare(ArmSums(99, 50, 99.0, 200.0), ArmSums(500, 19, 19.0, 19.0), NAMES)
    assert found.difference is None
    assert len(found.missing) == 2
    assert "the policy in force has 99 sessions" in found.missing[0]
    assert "the contender has 19 sessions in which" in found.missing[1]
