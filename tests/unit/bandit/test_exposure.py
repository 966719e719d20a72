import math
from itertools import pairwise

import numpy as np
import pytest

from nearcast_bandit.arrays import Floats
from nearcast_bandit.exposure import Buckets, ExposureRule, exposures

NOW = 480_000.0


def buckets(*lines: tuple[int, int, int, int, int]) -> Buckets:
    """Lines of (row, bucket, position, impressions, successes)."""
    return Buckets(*np.array(lines, dtype=np.int64).reshape(-1, 5).T)


def test_without_position_delay_and_decay_exposures_are_impressions() -> None:
    counts = buckets((0, 1, 1, 10, 0), (0, 479_000, 9, 5, 2), (2, 479_999, 3, 7, 1))
    exposed, succeeded = exposures(counts, ExposureRule(), NOW, 4)
    assert exposed.tolist() == [15, 0, 7, 0]
    assert succeeded.tolist() == [2, 0, 1, 0]


def test_evidence_halves_each_half_life() -> None:
    counts = buckets((0, 479_990, 1, 8, 4))
    rule = ExposureRule(half_life_hours=5)
    exposed, succeeded = exposures(counts, rule, 479_991.0, 1)
    for halvings in (1, 10):
        later = exposures(counts, rule, 479_991.0 + 5 * halvings, 1)
        assert later[0][0] == pytest.approx(exposed[0] * 2.0**-halvings, rel=1e-12)
        assert later[1][0] == pytest.approx(succeeded[0] * 2.0**-halvings, rel=1e-12)


def test_an_hour_counts_by_its_mean_over_all_its_moments() -> None:
    rule = ExposureRule(half_life_hours=5, maturity_mean_hours=2)
    counts = buckets((0, 479_990, 1, 1000, 1000))
    for now, moments in ((479_993.0, 1.0), (479_990.4, 0.4)):
        ages = now - 479_990 - (np.arange(100_000) + 0.5) / 100_000 * moments
        kept = 2.0 ** (-ages / 5)
        exposed, succeeded = exposures(counts, rule, now, 1)
        assert succeeded[0] == pytest.approx(1000 * kept.mean(), rel=1e-9)
        assert exposed[0] == pytest.approx(1000 * (kept * (1 - np.exp(-ages / 2))).mean(), rel=1e-9)


def test_an_infinite_half_life_forgets_nothing() -> None:
    counts = buckets((0, 1, 1, 8, 4))
    for rule in (ExposureRule(half_life_hours=math.inf), ExposureRule(half_life_hours=0)):
        assert [column[0] for column in exposures(counts, rule, NOW, 1)] == [8, 4]


def test_positions_count_by_the_curve_whose_last_value_goes_on() -> None:
    rule = ExposureRule(position_curve=(1.0, 0.5, 0.2))
    counts = buckets(*((row, 1, position, 10, 1) for row, position in enumerate((1, 2, 3, 4, 99, 0))))
    exposed, succeeded = exposures(counts, rule, NOW, 6)
    np.testing.assert_allclose(exposed, [10, 5, 2, 2, 2, 10])
    np.testing.assert_array_equal(succeeded, 1)


def test_young_impressions_count_by_the_share_of_successes_that_can_have_come() -> None:
    rule = ExposureRule(maturity_mean_hours=6)
    counts = buckets((0, 479_994, 1, 100, 0))
    minute = exposures(counts, rule, 479_994 + 1 / 60, 1)[0][0]
    assert minute == pytest.approx(100 * (1 / 120) / 6, rel=0.01)
    for age in (1.0, 6.0, 60.0):
        exposed, _ = exposures(counts, rule, 479_994.5 + age, 1)
        assert exposed[0] == pytest.approx(100 * (1 - math.exp(-age / 6)), rel=0.01)


def test_exposure_only_grows_with_age_when_nothing_is_forgotten() -> None:
    rule = ExposureRule(maturity_mean_hours=6)
    counts = buckets((0, 479_994, 1, 100, 0), (0, 479_999, 1, 30, 0))
    grown = [exposures(counts, rule, 479_990 + step / 4, 1)[0][0] for step in range(200)]
    assert all(later >= earlier for earlier, later in pairwise(grown))


def test_an_hour_that_lies_ahead_has_age_zero() -> None:
    counts = buckets((0, 480_002, 1, 10, 3))
    exposed, succeeded = exposures(counts, ExposureRule(half_life_hours=1), NOW, 1)
    assert (exposed[0], succeeded[0]) == (10, 3)
    exposed, succeeded = exposures(counts, ExposureRule(half_life_hours=1, maturity_mean_hours=1), NOW, 1)
    assert (exposed[0], succeeded[0]) == (0, 3)


def test_no_buckets_give_zeros() -> None:
    exposed, succeeded = exposures(buckets(), ExposureRule(half_life_hours=3), NOW, 2)
    assert exposed.tolist() == succeeded.tolist() == [0.0, 0.0]


def test_counts_beyond_single_precision_stay_exact() -> None:
    counts = buckets(*((0, hour, 1, 1_000_000, 1) for hour in range(20)), (0, 20, 1, 1, 1))
    exposed, succeeded = exposures(counts, ExposureRule(), NOW, 1)
    assert (exposed[0], succeeded[0]) == (20_000_001, 21)


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_outside_the_table_is_refused(row: int) -> None:
    with pytest.raises(ValueError, match="row_index"):
        exposures(buckets((row, 1, 1, 1, 0)), ExposureRule(), NOW, 2)


def test_columns_of_unequal_length_are_refused() -> None:
    one, two = np.ones(1, dtype=np.int64), np.ones(2, dtype=np.int64)
    with pytest.raises(ValueError, match="one length"):
        Buckets(one, one, one, two, one)


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="now_hours"):
        exposures(buckets((0, 1, 1, 1, 0)), ExposureRule(), math.nan, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position_curve", (1.0, 0.0)),
        ("position_curve", (1.1,)),
        ("position_curve", (math.nan,)),
        ("maturity_mean_hours", -1.0),
        ("maturity_mean_hours", math.inf),
        ("maturity_mean_hours", math.nan),
        ("half_life_hours", -1.0),
        ("half_life_hours", math.nan),
    ],
)
def test_a_rule_out_of_range_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        ExposureRule(**{key: value})  # type: ignore[arg-type]


RATE, DELAY_HOURS, TICKS_PER_HOUR, IMPRESSIONS_PER_TICK, REPLICATES = 0.03, 6, 20, 5, 4000


def town_of_late_conversions(age_hours: int) -> tuple[Buckets, Floats]:
    """What is known after so many hours of 100 impressions an hour; ticks of 3 minutes stand in for hours."""
    rng = np.random.default_rng(age_hours)
    ticks = age_hours * TICKS_PER_HOUR
    shape = (REPLICATES, ticks)
    wanted = rng.binomial(IMPRESSIONS_PER_TICK, RATE, shape)
    row, tick = (np.repeat(place.ravel(), wanted.ravel()) for place in np.indices(shape))
    shown_at = tick + rng.uniform(size=tick.size)
    arrived = shown_at + rng.exponential(DELAY_HOURS * TICKS_PER_HOUR, tick.size) <= ticks
    successes = np.zeros(shape, dtype=np.int64)
    np.add.at(successes, (row[arrived], tick[arrived]), 1)
    rows, bucket = (place.ravel() for place in np.indices(shape))
    impressions = np.full(rows.size, IMPRESSIONS_PER_TICK)
    return Buckets(rows, bucket, np.ones_like(rows), impressions, successes.ravel()), successes.sum(axis=1)


@pytest.mark.parametrize("age_hours", [1, 3, 6, 12, 48])
def test_matured_exposures_are_unbiased_at_every_age_where_raw_counts_are_not(age_hours: int) -> None:
    counts, seen_successes = town_of_late_conversions(age_hours)
    now = float(age_hours * TICKS_PER_HOUR)
    rule = ExposureRule(maturity_mean_hours=float(DELAY_HOURS * TICKS_PER_HOUR))
    exposed, succeeded = exposures(counts, rule, now, REPLICATES)
    rates = succeeded / exposed
    error = rates.std() / math.sqrt(REPLICATES)
    assert abs(rates.mean() - RATE) < 4 * error
    naive = seen_successes.mean() / (100 * age_hours)
    assert naive < RATE - 20 * error
    if age_hours == 1:
        assert naive == pytest.approx(0.0024, abs=0.0003)
