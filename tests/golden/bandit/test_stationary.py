"""The bound on regret beside the published: Chapelle and Li 2011, figure 1."""

import pytest

from benchmarks.published.stationary import BOUNDS, bound


@pytest.mark.parametrize(("arms", "gap"), BOUNDS)
def test_the_slope_of_the_bound_is_the_published_one(arms: int, gap: float) -> None:
    assert bound(arms, gap) == pytest.approx(BOUNDS[arms, gap], rel=1e-3)
