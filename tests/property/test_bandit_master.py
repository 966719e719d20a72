"""Whatever the posteriors, the shares of feeds are a distribution that respects every floor."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.master import FeedArm, Goal, choose, feed_shares

SHAPES = st.floats(-9, 9).map(lambda exponent: 10.0**exponent)
ARMS = st.lists(st.tuples(SHAPES, SHAPES, st.floats(0, 0.2)), min_size=1, max_size=5)
UNITS = st.floats(0, 1, exclude_max=True)


@settings(max_examples=60, deadline=None)
@given(ARMS, UNITS, st.sampled_from(Goal), st.floats(0, 20))
def test_shares_are_a_distribution_above_the_floors(
    arms: list[tuple[float, float, float]], unit: float, goal: Goal, least_trials: float
) -> None:
    named = [FeedArm(f"feed {place}", *arm, trials=7.0 * place) for place, arm in enumerate(arms)]
    shares = feed_shares(named, goal=goal, least_trials=least_trials)
    assert math.isclose(math.fsum(share.probability for share in shares), 1, abs_tol=1e-9)
    assert all(share.probability >= arm.floor - 1e-12 for arm, share in zip(named, shares, strict=True))
    assert choose(shares, unit) in [share for share in shares if share.probability > 0]
