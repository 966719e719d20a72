import numpy as np
import pytest

from nearcast_bandit.posterior import Prior, posterior, posterior_mean, sharpen

PRIOR = Prior(mean=0.02, strength=50)


def test_without_evidence_the_posterior_is_the_prior() -> None:
    a, b = posterior(PRIOR, np.zeros(1), np.zeros(1))
    assert (a[0], b[0]) == pytest.approx((1.0, 49.0), rel=1e-15)
    assert posterior_mean(a, b)[0] == pytest.approx(0.02)


def test_evidence_is_added_to_the_prior() -> None:
    a, b = posterior(PRIOR, np.array([100.0, 2.5]), np.array([10.0, 0.25]))
    np.testing.assert_allclose(a, [11, 1.25])
    np.testing.assert_allclose(b, [139, 51.25])


def test_successes_beyond_the_exposures_leave_b_at_the_prior() -> None:
    a, b = posterior(PRIOR, np.array([1.0]), np.array([3.0]))
    assert (a[0], b[0]) == pytest.approx((4.0, 49.0))


def test_the_faintest_prior_stays_above_zero() -> None:
    a, b = posterior(Prior(mean=1e-12, strength=1e-3), np.zeros(1), np.zeros(1))
    assert a[0] == 1e-9
    assert b[0] > 0


@pytest.mark.parametrize("mean", [0.0, 1.0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_prior_mean_out_of_range_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match="prior mean"):
        Prior(mean=mean, strength=1)


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan"), float("inf")])
def test_a_prior_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="prior strength"):
        Prior(mean=0.5, strength=strength)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_evidence_that_is_no_count_is_refused_with_its_row(value: float) -> None:
    with pytest.raises(ValueError, match="exposures of row 1"):
        posterior(PRIOR, np.array([1.0, value]), np.zeros(2))
    with pytest.raises(ValueError, match="successes of row 1"):
        posterior(PRIOR, np.ones(2), np.array([0.0, value]))


@pytest.mark.parametrize("exploration", [0.25, 0.5, 2.0])
def test_sharpening_keeps_the_mean_and_scales_the_variance(exploration: float) -> None:
    a, b = np.array([40.0, 300.0]), np.array([900.0, 500.0])
    sharper, spread = sharpen(a, b, exploration)
    np.testing.assert_allclose(posterior_mean(sharper, spread), posterior_mean(a, b))
    variance = posterior_mean(a, b) * (1 - posterior_mean(a, b)) / (a + b + 1)
    scaled = posterior_mean(a, b) * (1 - posterior_mean(a, b)) / (sharper + spread + 1)
    np.testing.assert_allclose(scaled / variance, exploration, rtol=0.005)


def test_exploration_of_one_changes_nothing() -> None:
    a, b = np.array([0.3]), np.array([7.0])
    np.testing.assert_array_equal(sharpen(a, b, 1.0), (a, b))


@pytest.mark.parametrize("exploration", [0.0, -1.0, float("nan"), float("inf")])
def test_exploration_out_of_range_is_refused(exploration: float) -> None:
    with pytest.raises(ValueError, match="exploration"):
        sharpen(np.ones(1), np.ones(1), exploration)
