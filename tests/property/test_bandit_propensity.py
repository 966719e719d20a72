"""Whatever the posteriors, propensities are chances: of each position, of each item, in any order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.propensity import draw_propensities
from nearcast_bandit.quadrature import best_probabilities
from nearcast_bandit.ranking import Ranking

SHAPES = st.floats(-4, 7).map(lambda exponent: 10.0**exponent)
BELIEFS = st.lists(st.tuples(SHAPES, SHAPES), min_size=1, max_size=7)
MODEST = st.tuples(st.floats(0.5, 40), st.floats(10, 900), st.floats(0.5, 40), st.floats(10, 900))


def ranking(beliefs: list[tuple[float, float]], order: np.ndarray | None = None) -> Ranking:
    a, b = np.array(beliefs).T[:, None, :]
    order = np.arange(a.size) if order is None else order
    return Ranking(order, (1,), (1.0,), a[:, order], b[:, order])


@settings(max_examples=60, deadline=None)
@given(BELIEFS, st.integers(1, 8))
def test_every_position_is_filled_once_and_every_item_shown_at_most_once(
    beliefs: list[tuple[float, float]], k: int
) -> None:
    chances = draw_propensities(ranking(beliefs), k)
    filled = min(k, len(beliefs))
    assert (chances >= 0).all()
    np.testing.assert_allclose(chances.sum(axis=0), [1] * filled + [0] * (k - filled), atol=1e-5)
    assert (chances.sum(axis=1) <= 1 + 1e-5).all()


@settings(max_examples=40, deadline=None)
@given(BELIEFS)
def test_the_first_position_goes_to_the_best(beliefs: list[tuple[float, float]]) -> None:
    a, b = np.array(beliefs).T
    np.testing.assert_allclose(
        draw_propensities(ranking(beliefs), 1)[:, 0], best_probabilities(a, b), atol=2e-5
    )


@settings(max_examples=40, deadline=None)
@given(BELIEFS, st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter(beliefs: list[tuple[float, float]], random: object) -> None:
    order = np.array(random.sample(range(len(beliefs)), len(beliefs)))  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        draw_propensities(ranking(beliefs, order), 3),
        draw_propensities(ranking(beliefs), 3)[order],
        atol=1e-9,
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(MODEST, min_size=2, max_size=6), st.floats(0.05, 20), st.floats(0.1, 10))
def test_sums_are_ranked_alike_at_any_scale(
    beliefs: list[tuple[float, ...]], weight: float, scale: float
) -> None:
    columns = np.array(beliefs).T
    a, b = columns[[0, 2]], columns[[1, 3]]
    postings = np.arange(len(beliefs))
    chances = draw_propensities(Ranking(postings, (1, 2), (1.0, weight), a, b), 2)
    scaled = draw_propensities(Ranking(postings, (1, 2), (scale, scale * weight), a, b), 2)
    np.testing.assert_allclose(chances.sum(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(scaled, chances, atol=1e-4)
