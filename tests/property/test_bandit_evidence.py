"""The table in constant space says what the buckets say, in any order, however split and whenever asked."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evidence import EvidenceTable
from nearcast_bandit.exposure import Buckets, ExposureRule, exposures

Line = tuple[int, int, int, int, int]
ROWS = 3
HOURS = st.integers(0, 400)
DELAYS = st.lists(st.one_of(st.just(0.0), st.floats(0.01, 168)), min_size=1, max_size=3)
CURVES = st.sampled_from([(), (1.0, 0.6, 0.3), (0.5,)])
HALF_LIVES = st.one_of(st.just(0.0), st.floats(0.5, 10_000))
LINES = st.lists(
    st.tuples(
        st.integers(0, ROWS - 1),
        st.integers(0, 400),
        st.integers(1, 6),
        st.integers(0, 10**6),
        st.integers(0, 10**4),
    ),
    min_size=1,
    max_size=12,
)
RULES = st.builds(
    lambda curve, half_life, delays: [ExposureRule(curve, delay, half_life) for delay in delays],
    CURVES,
    HALF_LIVES,
    DELAYS,
)


def derived(rules: list[ExposureRule], lines: list[Line], now_hours: float) -> Floats:
    columns = Buckets(*np.array(lines, dtype=np.int64).T)
    return np.array([exposures(columns, rule, now_hours, ROWS) for rule in rules])


def told(table: EvidenceTable, kinds: int, lines: list[Line]) -> None:
    for row, bucket, position, impressions, successes in lines:
        table.add_impressions(row, bucket, position, impressions)
        for kind in range(kinds):
            table.add_successes(row, bucket, kind, successes)


def read(table: EvidenceTable, now_hours: float) -> Floats:
    exposed, succeeded = table.at(now_hours)
    padded = np.zeros((exposed.shape[0], 2, ROWS))
    padded[:, 0, : exposed.shape[1]], padded[:, 1, : succeeded.shape[1]] = exposed, succeeded
    return padded


@given(RULES, LINES, st.floats(0, 500), HOURS)
def test_the_table_equals_what_is_derived(
    rules: list[ExposureRule], lines: list[Line], now: float, hour: int
) -> None:
    now = max(now, hour, *(float(line[1]) for line in lines))
    table = EvidenceTable(rules, hour)
    told(table, len(rules), lines)
    assert read(table, now) == pytest.approx(derived(rules, lines, now), rel=1e-9, abs=1e-6)


@given(RULES, LINES, LINES, st.floats(0, 500), st.floats(0, 500), HOURS, st.randoms(use_true_random=False))
def test_it_does_not_matter_in_which_order_and_between_which_looks_counts_come(
    rules: list[ExposureRule],
    early: list[Line],
    late: list[Line],
    first: float,
    second: float,
    hour: int,
    random: Random,
) -> None:
    now = max(first, second, hour, *(float(line[1]) for line in early + late))
    table = EvidenceTable(rules, hour)
    told(table, len(rules), random.sample(early, len(early)))
    table.at(min(first, second))
    told(table, len(rules), random.sample(late, len(late)))
    assert read(table, now) == pytest.approx(derived(rules, early + late, now), rel=1e-9, abs=1e-6)


@given(RULES, LINES, st.floats(400, 500), HOURS)
def test_what_is_taken_back_is_gone(
    rules: list[ExposureRule], lines: list[Line], now: float, hour: int
) -> None:
    table = EvidenceTable(rules, hour)
    told(table, len(rules), lines)
    table.at(now)
    told(table, len(rules), [(row, hour, position, -n, -s) for row, hour, position, n, s in lines])
    assert read(table, now) == pytest.approx(0, abs=1e-6)


def test_rows_beyond_the_first_thousand_are_kept_apart() -> None:
    table = EvidenceTable([ExposureRule()], 10)
    for row in (1, 5000, 70_000):
        table.add_impressions(row, 10, 1, row)
        table.add_successes(row, 9, 0, 1)
    exposed, succeeded = table.at(12.0)
    assert exposed.shape == succeeded.shape == (1, 70_001)
    assert exposed[0, [1, 5000, 70_000]].tolist() == [1, 5000, 70_000]
    assert exposed.sum() == 75_001
    assert succeeded.sum() == 3


def test_hours_long_past_take_no_room_of_their_own() -> None:
    table = EvidenceTable([ExposureRule()], 700)
    for hour in range(701):
        table.add_impressions(hour, hour, 1, 1)
        table.add_successes(hour, hour, 0, 1)
    assert len(table.open_hours) == 1


def test_bounded_however_long_the_history() -> None:
    table = EvidenceTable([ExposureRule(half_life_hours=24)], 0)
    for hour in range(2000):
        table.add_impressions(0, hour, 1, 100)
        table.at(hour + 1.0)
    exposed, _ = table.at(2000.0)
    first = exposures(
        Buckets(*(np.array([v]) for v in (0, 1999, 1, 100, 0))), ExposureRule(half_life_hours=24), 2000.0, 1
    )
    # The sum of a geometric series: one hour's worth, halved every 24 hours.
    assert exposed[0, 0] == pytest.approx(first[0][0] / (1 - 2 ** (-1 / 24)), rel=1e-9)


def test_rules_that_differ_in_more_than_the_delay_are_refused() -> None:
    with pytest.raises(ValueError, match="half_life_hours"):
        EvidenceTable([ExposureRule(half_life_hours=1), ExposureRule(half_life_hours=2)], 0)
