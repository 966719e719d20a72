"""Places kept for newcomers, and from them: shares hold over seeds, and a page goes on with the slate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast_bandit.arranging import SlotKind
from nearcast_bandit.reserving import Budget

SEEDS = st.integers(0, 2**64 - 1)
SHARES = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: Budget(min(pair), max(pair)))


@given(SEEDS, SHARES, st.integers(1, 150), st.integers(1, 40), st.integers(0, 40))
def test_a_page_goes_on_with_the_places_of_the_slate(
    seed: int, budget: Budget, first: int, count: int, more: int
) -> None:
    whole = budget.slots(seed, first, count + more)
    assert budget.slots(seed, first, count) + budget.slots(seed, first + count, more) == whole


@given(SEEDS, SHARES, st.floats(0, 1))
def test_more_for_newcomers_takes_no_place_from_them(seed: int, budget: Budget, share: float) -> None:
    """The same seed keeps for them what it kept under a smaller floor."""
    wider = Budget(max(budget.floor_share, min(share, budget.cap_share)), budget.cap_share)
    was, now = np.array(budget.slots(seed, 1, 60)), np.array(wider.slots(seed, 1, 60))
    assert np.all(now[was == SlotKind.NEW] == SlotKind.NEW)
    assert np.array_equal(now == SlotKind.KNOWN, was == SlotKind.KNOWN)


@given(SEEDS)
def test_without_a_budget_every_place_is_open(seed: int) -> None:
    assert set(Budget().slots(seed, 1, 200)) == {SlotKind.OPEN}


@pytest.mark.parametrize(("floor", "cap"), [(0.1, 0.3), (0.25, 0.25), (0.0, 0.05), (1.0, 1.0), (0.0, 0.0)])
def test_over_seeds_the_shares_hold_at_every_place(floor: float, cap: float) -> None:
    """5,000 seeds of 20 places; each share within 4.9 standard errors of what was asked for."""
    seeds = 5000
    drawn = np.stack([Budget(floor, cap).slots(seed * 7919 + 3, 1, 20) for seed in range(seeds)])
    for kind, share in ((SlotKind.NEW, floor), (SlotKind.KNOWN, 1 - cap)):
        error = math.sqrt(share * (1 - share) / seeds)
        assert np.all(np.abs((drawn == kind).mean(axis=0) - share) <= 4.9 * error)


def test_places_are_drawn_apart() -> None:
    """5,000 seeds: being kept at one place says nothing of the next; |correlation| below 4.9 / sqrt(n)."""
    drawn = np.stack([Budget(0.5, 0.5).slots(seed, 1, 6) for seed in range(5000)]) == SlotKind.NEW
    correlations = np.corrcoef(drawn.T)[~np.eye(6, dtype=bool)]
    assert np.abs(correlations).max() < 4.9 / math.sqrt(5000)


@pytest.mark.parametrize(("floor", "cap"), [(0.3, 0.2), (-0.1, 0.5), (0.0, 1.1), (math.nan, 1.0)])
def test_what_is_no_budget_is_refused(floor: float, cap: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        Budget(floor, cap)
