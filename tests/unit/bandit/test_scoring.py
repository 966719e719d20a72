import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.arrays import Integers
from nearcast_bandit.draw import draw_betas
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k, weighted_scores
from nearcast_bandit.stream import request_seed

POSTINGS = np.arange(1000, 1040, dtype=np.int64)
WEIGHTS = (1.0, 2.0, 5.0)
KINDS = (1, 2, 3)


def shapes(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 8, (3, count)), rng.uniform(20, 400, (3, count))


def test_scores_are_the_weighted_sum_of_separate_draws() -> None:
    a, b = shapes(1, 40)
    scores = weighted_scores(9, POSTINGS, KINDS, WEIGHTS, a, b)
    expected = sum(
        weight * draw_betas(9, POSTINGS, kind, a[row], b[row])
        for row, (kind, weight) in enumerate(zip(KINDS, WEIGHTS, strict=True))
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-15)


def test_exploration_sharpens_the_scores() -> None:
    a, b = shapes(2, 40)
    np.testing.assert_allclose(
        weighted_scores(9, POSTINGS, KINDS, WEIGHTS, a, b, exploration=0.5),
        weighted_scores(9, POSTINGS, KINDS, WEIGHTS, 2 * a, 2 * b),
    )


def test_single_precision_statistics_are_scored_in_double() -> None:
    a, b = (column.astype(np.float32) for column in shapes(3, 40))
    for exploration in (1.0, 0.3):
        np.testing.assert_array_equal(
            weighted_scores(9, POSTINGS, KINDS, WEIGHTS, a, b, exploration),  # type: ignore[arg-type]
            weighted_scores(9, POSTINGS, KINDS, WEIGHTS, a.astype(float), b.astype(float), exploration),
        )


def test_mean_scores_are_what_the_draws_average_to() -> None:
    a, b = shapes(4, 40)
    draws = np.array([weighted_scores(seed, POSTINGS, KINDS, WEIGHTS, a, b) for seed in range(2000)])
    errors = (draws.mean(axis=0) - mean_scores(WEIGHTS, a, b)) / (draws.std(axis=0) / np.sqrt(2000))
    # Largest of 40 standard errors.
    assert np.abs(errors).max() < 6


def test_no_kinds_score_nothing() -> None:
    assert weighted_scores(1, POSTINGS, (), (), np.empty((0, 40)), np.empty((0, 40))).tolist() == [0.0] * 40


@pytest.mark.parametrize("weights", [(1.0, 2.0), (1.0, 2.0, float("nan")), (1.0, 2.0, float("inf"))])
def test_weights_that_do_not_fit_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        weighted_scores(1, POSTINGS, KINDS, weights, *shapes(1, 40))


def test_shapes_that_do_not_fit_are_refused() -> None:
    a, b = shapes(1, 40)
    with pytest.raises(ValueError, match="40 postings"):
        weighted_scores(1, POSTINGS, KINDS, WEIGHTS, a[:, :39], b)


@pytest.mark.parametrize("k", [0, 1, 5, 39, 40, 100])
def test_top_k_is_the_head_of_the_full_order(k: int) -> None:
    scores = np.random.default_rng(5).integers(0, 6, 40).astype(float)
    postings = np.random.default_rng(6).permutation(POSTINGS)
    full = sorted(range(40), key=lambda index: (-scores[index], postings[index]))
    assert top_k(scores, postings, k).tolist() == full[:k]


def test_equal_scores_go_by_posting_whatever_the_array_order() -> None:
    scores, postings = np.zeros(40), POSTINGS[::-1].copy()
    assert postings[top_k(scores, postings, 3)].tolist() == [1000, 1001, 1002]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_refused_with_its_posting(bad: float) -> None:
    with pytest.raises(ValueError, match="posting 1002"):
        top_k(np.array([1.0, 2.0, bad]), POSTINGS[:3], 1)


def test_a_shuffle_is_a_permutation_and_repeats() -> None:
    order = shuffle_order(3, POSTINGS)
    assert sorted(order.tolist()) == list(range(40))
    np.testing.assert_array_equal(order, shuffle_order(3, POSTINGS))
    assert (order != shuffle_order(4, POSTINGS)).any()


def test_leaving_a_posting_out_of_a_shuffle_keeps_the_order_of_the_others() -> None:
    everyone = POSTINGS[shuffle_order(3, POSTINGS)]
    fewer = POSTINGS[POSTINGS != 1007]
    np.testing.assert_array_equal(fewer[shuffle_order(3, fewer)], everyone[everyone != 1007])


def test_every_order_of_a_shuffle_is_equally_likely() -> None:
    orders = [tuple(shuffle_order(seed, POSTINGS[:4]).tolist()) for seed in range(24_000)]
    counts = np.array([orders.count(order) for order in set(orders)])
    assert counts.size == 24
    assert stats.chisquare(counts).pvalue > 1e-6


def test_a_shuffle_is_independent_of_the_draws() -> None:
    # Shapes below one read the first word of a stream, which is the one a shuffle orders by.
    a, b = np.full((1, 40), 0.3), np.full((1, 40), 100.0)
    correlations = [
        stats.pearsonr(
            np.argsort(shuffle_order(seed, POSTINGS)),
            np.argsort(np.argsort(weighted_scores(seed, POSTINGS, (0,), (1.0,), a, b))),
        ).statistic
        for seed in range(2000)
    ]
    assert abs(np.mean(correlations)) < 6 / np.sqrt(39 * 2000)


def ranks_of_request(number: int, a: np.ndarray, b: np.ndarray) -> Integers:
    seed = request_seed(b"secret", 1, b"one and the same session", number)
    scores = weighted_scores(seed, POSTINGS, (1,), (1.0,), a, b)
    return np.argsort(np.argsort(-scores))


@pytest.mark.slow
def test_consecutive_requests_draw_afresh() -> None:
    """One draw per refresh of the statistics would repeat the order: correlation 1, one winner."""
    requests = 20_001
    a, b = np.full((1, 40), 2.0), np.full((1, 40), 100.0)
    ranks = np.array([ranks_of_request(number, a, b) for number in range(requests)])
    centred = ranks - 19.5
    correlation = (centred[1:] * centred[:-1]).mean() / centred.var()
    # The standard error is 0.0011, so the limit of 0.006 is above five of them.
    assert abs(correlation) < 0.006
    winners = np.bincount(ranks.argmin(axis=1), minlength=40)
    assert stats.chisquare(winners).pvalue > 1e-6
