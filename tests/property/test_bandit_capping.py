"""Caps: over the cap now, and until when."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast_bandit.capping import capped_until

HOUR = 497_222


def last_hour(before: int, current: int, now_hours: float) -> float:
    """What the last sixty minutes hold, if nothing is added after the counts' own hour."""
    left = HOUR + 1 - now_hours
    if left >= 0:
        return current + before * left
    return current * max(1 + left, 0.0)


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(1, 400),
    st.floats(0, 0.999),
    st.floats(0, 2.5),
)
def test_an_item_pauses_just_while_its_last_hour_is_over_the_cap(
    before: int, current: int, cap: int, into: float, later: float
) -> None:
    now = HOUR + into
    (until,) = capped_until(np.array([float(before)]), np.array([float(current)]), cap, now)
    if last_hour(before, current, now) < cap - 1e-6:
        assert until <= now
        return
    at = now + later
    if abs(last_hour(before, current, at) - cap) > 1e-3:
        assert (last_hour(before, current, at) > cap) == (at < until)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 100), st.floats(0, 0.999))
def test_nothing_pauses_for_longer_than_it_was_counted(
    before: int, current: int, cap: int, into: float
) -> None:
    (until,) = capped_until(np.array([float(before)]), np.array([float(current)]), cap, HOUR + into)
    assert HOUR <= until < HOUR + 2


def test_each_is_looked_at_by_itself() -> None:
    until = capped_until(np.array([0.0, 80.0, 0.0]), np.array([10.0, 0.0, 5.0]), 10, HOUR + 0.5)
    assert until.tolist() == [HOUR + 1.0, HOUR + 1 - 10 / 80, HOUR]


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="cap is 0"):
        capped_until(np.zeros(1), np.zeros(1), 0, HOUR)
