import pytest

from nearcast_bandit.posterior import Prior
from nearcast_bandit.trials import prior_from_parent, trial_posterior


def test_trials_fade_from_the_middle_of_their_hour() -> None:
    a, b = trial_posterior([(100, 40, 8)], Prior(0.1, 20), half_life_days=2, now_hours=148.5)
    assert (a, b) == pytest.approx((2 + 4, 18 + 16))


def test_a_half_life_of_zero_forgets_nothing() -> None:
    a, b = trial_posterior([(0, 40, 8)], Prior(0.1, 20), half_life_days=0, now_hours=1e6)
    assert (a, b) == pytest.approx((10, 50))


def test_a_narrow_segment_begins_with_what_the_wider_one_knows() -> None:
    prior = prior_from_parent(6, 54, greatest_strength=200)
    assert (prior.mean, prior.strength) == pytest.approx((0.1, 60))


def test_what_the_wider_segment_knows_never_drowns_the_narrow_one() -> None:
    prior = prior_from_parent(6e5, 54e5, greatest_strength=200)
    assert (prior.mean, prior.strength) == pytest.approx((0.1, 200))
