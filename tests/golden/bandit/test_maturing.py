"""Rates from young impressions, and evidence that fades: both against what is known in closed form."""

import numpy as np
import pytest

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evidence import EvidenceTable
from nearcast_bandit.exposure import Buckets, ExposureRule, exposures

RATE = 0.03
DELAY_HOURS = 6.0
PER_HOUR = 100
REPLICATES = 4000


def simulated(age_hours: int) -> tuple[Floats, Floats]:
    """E and S of many items shown 100 times an hour, after so many hours."""
    rng = np.random.default_rng(90 + age_hours)
    now, rows = 1000 + age_hours, np.arange(REPLICATES)
    exposed, succeeded = np.zeros((2, REPLICATES))
    for hour in range(1000, now):
        # Each impression at a moment of its own within the hour; its success comes after a delay, or not yet.
        ages = now - hour - rng.random((REPLICATES, PER_HOUR))
        arrived = rng.exponential(DELAY_HOURS, ages.shape) <= ages
        done = ((rng.random(ages.shape) < RATE) & arrived).sum(axis=1)
        shown = np.full(REPLICATES, PER_HOUR)
        buckets = Buckets(rows, np.full(REPLICATES, hour), np.ones(REPLICATES, np.int64), shown, done)
        e, s = exposures(buckets, ExposureRule(maturity_mean_hours=DELAY_HOURS), float(now), REPLICATES)
        exposed += e
        succeeded += s
    return exposed, succeeded


@pytest.mark.parametrize("age_hours", [1, 3, 6, 12, 48])
def test_a_rate_is_right_however_young_its_impressions_are(age_hours: int) -> None:
    """Within four standard errors over 4,000 items."""
    exposed, succeeded = simulated(age_hours)
    rates = succeeded / exposed
    assert abs(rates.mean() - RATE) < 4 * rates.std() / np.sqrt(REPLICATES)


def test_impressions_at_face_value_make_an_hour_old_item_look_twelve_times_worse() -> None:
    _, succeeded = simulated(1)
    assert succeeded.mean() / PER_HOUR == pytest.approx(0.0025, rel=0.1)


@pytest.mark.parametrize("passed_hours", [1, 24, 720])
def test_after_a_time_evidence_is_its_closed_form_in_any_order_and_from_any_shards(passed_hours: int) -> None:
    """One part in 10^12: an hour's mean times two to the power of minus half-lives passed."""
    half_life, first, now = 36.0, 500, 501 + passed_hours
    rng = np.random.default_rng(passed_hours)
    lines = [(int(row), int(count)) for row, count in rng.integers(0, 50, (400, 2))]
    mean = (1 - 2 ** (-1 / half_life)) / (np.log(2) / half_life) * 2 ** (-passed_hours / half_life)
    wanted = np.bincount([row for row, _ in lines], [count for _, count in lines], 50) * mean
    rule = ExposureRule(half_life_hours=half_life)
    for seed in range(3):
        shuffled = np.random.default_rng(seed).permutation(lines)
        shards = [EvidenceTable([rule], first) for _ in range(2)]
        for place, (row, count) in enumerate(shuffled.tolist()):
            shard = shards[place % 2]
            shard.add_impressions(row, first, 1, count)
            shard.add_successes(row, first, 0, count)
        told = [np.zeros((2, 50)), np.zeros((2, 50))]
        for sums, shard in zip(told, shards, strict=True):
            for total, column in zip(sums, shard.at(float(now)), strict=True):
                total[: column.shape[1]] = column[0]
        np.testing.assert_allclose(told[0] + told[1], [wanted, wanted], rtol=1e-12)
