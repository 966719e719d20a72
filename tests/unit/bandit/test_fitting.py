import numpy as np
import pytest
from scipy import optimize, special

from nearcast_bandit.fitting import FitKind, StrengthBounds, effective_trials, fit_prior
from nearcast_bandit.posterior import Prior

WIDE = StrengthBounds(0.5, 1e6)
PARENT = Prior(0.02, 200)


def children(seed: int, count: int, mean: float, strength: float, exposures: float = 500.0):
    rng = np.random.default_rng(seed)
    seen = rng.exponential(exposures, count) + 1
    rates = rng.beta(strength * mean, strength * (1 - mean), count)
    return seen, rng.poisson(rates * seen) * 0.9


def likelihood(a: np.float64, b: np.float64, exposures: np.ndarray, successes: np.ndarray) -> float:
    failures = np.maximum(exposures - successes, 0)
    return float((special.betaln(a + successes, b + failures) - special.betaln(a, b)).sum())


def test_the_fit_is_the_maximum_that_a_general_search_finds() -> None:
    exposures, successes = children(1, 300, 0.03, 80)

    def loss(place: np.ndarray) -> float:
        return -likelihood(np.exp(place[0]), np.exp(place[1]), exposures, successes)

    found = optimize.fmin(loss, np.array([0.0, 3.0]), xtol=1e-9, ftol=1e-9, disp=False)
    a, b = np.exp(found)
    fit = fit_prior(exposures, successes, bounds=WIDE)
    assert fit.kind is FitKind.FITTED
    assert fit.prior is not None
    assert fit.prior.mean == pytest.approx(a / (a + b), rel=1e-5)
    assert fit.prior.strength == pytest.approx(a + b, rel=1e-5)


def test_it_finds_what_the_children_were_made_from() -> None:
    exposures, successes = children(2, 4000, 0.03, 150)
    fit = fit_prior(exposures, successes / 0.9)
    assert fit.prior is not None
    assert fit.prior.mean == pytest.approx(0.03, rel=0.03)
    assert fit.prior.strength == pytest.approx(150, rel=0.15)


def test_it_says_what_it_was_fitted_to() -> None:
    fit = fit_prior(np.array([100.0, 0.5, 50.0]), np.array([3.0, 0.4, 6.0]))
    assert (fit.children, fit.exposures, fit.successes) == (2, 150.0, 9.0)


def test_children_seen_less_than_once_do_not_matter() -> None:
    exposures, successes = children(3, 50, 0.1, 30)
    more = fit_prior(np.append(exposures, 0.99), np.append(successes, 0.99))
    assert more == fit_prior(exposures, successes)


def test_children_alike_are_held_at_the_greatest_strength() -> None:
    fit = fit_prior(np.full(40, 1000.0), np.full(40, 30.0))
    assert fit.kind is FitKind.GREATEST_STRENGTH
    assert fit.prior is not None
    assert (fit.prior.mean, fit.prior.strength) == pytest.approx((0.03, 20_000), rel=2e-3)


def test_children_at_odds_are_held_at_the_least_strength() -> None:
    fit = fit_prior(np.full(40, 1000.0), np.tile([1.0, 900.0], 20))
    assert fit.kind is FitKind.LEAST_STRENGTH
    assert fit.prior is not None
    assert fit.prior.strength == pytest.approx(20)


@pytest.mark.parametrize(
    ("exposures", "successes"),
    [
        ([], []),
        ([500.0], [20.0]),
        ([500.0, 400.0], [0.0, 0.0]),
        ([50.0, 40.0], [50.0, 40.0]),
        ([0.9] * 9, [0.1] * 9),
    ],
)
def test_too_little_makes_no_prior_without_a_parent_and_the_fit_says_so(exposures, successes) -> None:
    fit = fit_prior(np.array(exposures), np.array(successes))
    assert (fit.prior, fit.kind) == (None, FitKind.TOO_LITTLE)


def test_successes_beyond_exposures_are_borne() -> None:
    fit = fit_prior(np.array([2.0, 100.0, 90.0]), np.array([3.0, 5.0, 9.0]), parent=PARENT)
    assert fit.prior is not None
    assert 0.02 < fit.prior.mean < 0.2


def test_where_the_climb_is_cut_short_moments_stand() -> None:
    exposures, successes = children(4, 500, 0.05, 60)
    fit = fit_prior(exposures, successes / 0.9, most_steps=1)
    assert fit.kind is FitKind.MOMENTS
    assert fit.prior is not None
    assert fit.prior.mean == pytest.approx(0.05, rel=0.1)
    assert fit.prior.strength == pytest.approx(60, rel=0.5)


def test_without_children_the_parent_is_believed_as_it_is() -> None:
    fit = fit_prior(np.array([0.5]), np.array([0.0]), parent=PARENT)
    assert (fit.prior, fit.kind, fit.children) == (PARENT, FitKind.TOO_LITTLE, 0)


def test_a_parent_is_forgotten_as_children_grow_in_number() -> None:
    means = []
    for count in (1, 10, 100, 1000):
        exposures, successes = children(5, count, 0.08, 100)
        fit = fit_prior(exposures, successes / 0.9, parent=PARENT)
        assert fit.prior is not None
        means.append(fit.prior.mean)
    assert 0.02 < means[0] < means[1] < means[2]
    assert means[0] < 0.05
    assert means[-1] == pytest.approx(0.08, rel=0.05)


def test_one_child_seen_without_end_moves_the_mean_only_as_far_as_one_child_can() -> None:
    fit = fit_prior(np.array([1e7]), np.array([1e6]), parent=PARENT)
    assert fit.prior is not None
    assert 0.02 < fit.prior.mean < 0.09


def test_nothing_but_failures_pulls_the_mean_down_and_not_to_nothing() -> None:
    fit = fit_prior(np.full(5, 200.0), np.zeros(5), parent=PARENT)
    assert fit.prior is not None
    assert 0.0005 < fit.prior.mean < 0.01


def test_the_strength_of_few_children_stays_near_that_of_the_parent() -> None:
    fit = fit_prior(np.array([300.0, 250.0]), np.array([6.0, 5.0]), parent=PARENT)
    assert fit.prior is not None
    assert 100 < fit.prior.strength < 600


def test_effective_trials_of_a_child_end_at_the_strength_and_one() -> None:
    np.testing.assert_allclose(effective_trials(np.array([1.0, 1e12]), 99.0), [1, 100])


@pytest.mark.parametrize(
    ("exposures", "successes", "message"),
    [
        ([1.0, np.nan], [0.0, 0.0], "exposures of child 1 are nan"),
        ([1.0, np.inf], [0.0, 0.0], "exposures of child 1 are inf"),
        ([5.0, 5.0], [-1.0, 0.0], "successes of child 0 are -1"),
        ([5.0, 5.0], [1.0], "one length"),
    ],
)
def test_nonsense_is_refused(exposures, successes, message) -> None:
    with pytest.raises(ValueError, match=message):
        fit_prior(np.array(exposures), np.array(successes))


@pytest.mark.parametrize("bounds", [(0, 20), (20, 20), (30, 20), (20, float("inf")), (float("nan"), 20)])
def test_impossible_bounds_are_refused(bounds) -> None:
    with pytest.raises(ValueError, match="strengths may run from"):
        StrengthBounds(*bounds)
