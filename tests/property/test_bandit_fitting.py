"""Whatever the children, a fitted prior is a prior within its bounds, and no order of theirs changes it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.fitting import BOUNDS, FitKind, fit_prior
from nearcast_bandit.posterior import Prior

CHILDREN = st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1.1)), max_size=12)
PARENTS = st.builds(Prior, st.floats(1e-6, 0.999), st.floats(1e-2, 1e6))


def columns(children: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    exposures, rates = np.array(children).reshape(-1, 2).T
    return exposures, exposures * rates


@settings(max_examples=60, deadline=None)
@given(CHILDREN, st.none() | PARENTS)
def test_a_fit_is_a_prior_within_bounds_or_says_that_there_was_too_little(
    children: list[tuple[float, float]], parent: Prior | None
) -> None:
    exposures, successes = columns(children)
    fit = fit_prior(exposures, successes, parent=parent)
    assert fit.children == (exposures >= 1).sum()
    if fit.kind is FitKind.TOO_LITTLE:
        assert fit.prior is parent
        return
    assert fit.prior is not None
    assert 0 < fit.prior.mean < 1
    assert BOUNDS.least * (1 - 1e-9) <= fit.prior.strength <= BOUNDS.greatest * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1, 1e7), min_size=1, max_size=12), PARENTS)
def test_failures_alone_never_raise_the_mean_and_successes_alone_never_lower_it(
    exposures: list[float], parent: Prior
) -> None:
    seen = np.array(exposures)
    failed, succeeded = (fit_prior(seen, all_of, parent=parent).prior for all_of in (seen * 0, seen))
    assert failed is not None
    assert succeeded is not None
    assert failed.mean <= parent.mean * (1 + 1e-6) + 1e-9
    assert succeeded.mean >= parent.mean * (1 - 1e-6)


@settings(max_examples=30, deadline=None)
@given(CHILDREN, PARENTS, st.integers(0, 1000))
def test_the_order_of_children_does_not_matter(
    children: list[tuple[float, float]], parent: Prior, seed: int
) -> None:
    exposures, successes = columns(children)
    order = np.random.default_rng(seed).permutation(exposures.size)
    one = fit_prior(exposures, successes, parent=parent)
    other = fit_prior(exposures[order], successes[order], parent=parent)
    assert one.prior is not None
    assert other.prior is not None
    assert np.isclose(one.prior.mean, other.prior.mean, rtol=1e-3)
