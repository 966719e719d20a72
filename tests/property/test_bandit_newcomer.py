"""The prior for a chance has that chance, wherever the incumbent is; a higher chance takes a higher mean."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.newcomer import Incumbent, chance_to_beat, prior_for_chance

CHANCES = st.floats(0.001, 0.999)
# At least one success has been seen.
INCUMBENTS = st.tuples(st.floats(0.0005, 0.5), st.floats(0, 5)).map(
    lambda drawn: Incumbent(drawn[0], drawn[0] * (1 - drawn[0]) / (10 ** drawn[1] / drawn[0] + 1))
)
STRENGTHS = st.floats(20, 20_000)


def logit(share: float) -> float:
    return math.log(share) - math.log1p(-share)


@settings(max_examples=15, deadline=None)
@given(CHANCES, STRENGTHS, INCUMBENTS)
def test_the_prior_for_a_chance_has_that_chance(chance: float, strength: float, place: Incumbent) -> None:
    found = chance_to_beat(prior_for_chance(chance, strength, place), place)
    assert abs(logit(found) - logit(chance)) < 1e-4


@settings(max_examples=8, deadline=None)
@given(CHANCES, CHANCES, STRENGTHS, INCUMBENTS)
def test_a_higher_chance_takes_a_higher_mean(
    one: float, other: float, strength: float, place: Incumbent
) -> None:
    low, high = (prior_for_chance(chance, strength, place).mean for chance in sorted((one, other)))
    assert low <= high * (1 + 1e-5)
