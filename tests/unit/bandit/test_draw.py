import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.draw import draw_betas

DRAWS = 200_000
# One false alarm in a million for a Kolmogorov-Smirnov distance of exact draws.
LIMIT = 2.69 / np.sqrt(DRAWS)
SHAPES = [
    (0.2, 5),
    (0.5, 20),
    (0.9, 3),
    (1, 50),
    (2, 100),
    (5, 300),
    (30, 1500),
    (1, 1),
    (42, 498),
    (300, 200),
]
POSTINGS = np.arange(DRAWS, dtype=np.int64)


def draw(seed: int, postings: Integers, a: float, b: float, kind: int = 1) -> Floats:
    return draw_betas(seed, postings, kind, np.full(postings.size, a), np.full(postings.size, b))


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_draws_over_postings_follow_the_beta_distribution(a: float, b: float) -> None:
    drawn = draw(20240501, POSTINGS, a, b)
    assert stats.kstest(drawn, stats.beta(a, b).cdf).statistic <= LIMIT


@pytest.mark.parametrize(("a", "b"), [(0.2, 5), (2, 100)])
def test_draws_of_the_same_postings_over_requests_follow_the_beta_distribution(a: float, b: float) -> None:
    drawn = np.concatenate([draw(seed, POSTINGS[:400], a, b) for seed in range(DRAWS // 400)])
    assert stats.kstest(drawn, stats.beta(a, b).cdf).statistic <= LIMIT


@pytest.mark.parametrize(("a", "b"), [(1e6, 5e7), (3e12, 1e12), (1e15, 1e15)])
def test_very_sharp_posteriors_keep_their_spread(a: float, b: float) -> None:
    drawn = draw(5, POSTINGS, a, b)
    mean, deviation = stats.beta(a, b).mean(), np.sqrt(a * b / (a + b) ** 2 / (a + b + 1))
    assert stats.kstest((drawn - mean) / deviation, "norm").statistic <= LIMIT + 1e-3


def test_the_same_seed_repeats() -> None:
    np.testing.assert_array_equal(draw(1, POSTINGS[:999], 0.7, 30), draw(1, POSTINGS[:999], 0.7, 30))


@pytest.mark.parametrize(("a", "b"), [(0.4, 20), (2, 100)])
def test_another_seed_kind_or_posting_is_another_draw(a: float, b: float) -> None:
    first = draw(1, POSTINGS, a, b)
    others = [draw(2, POSTINGS, a, b), draw(1, POSTINGS, a, b, kind=2), draw(1, POSTINGS + 1, a, b)]
    for other in others:
        assert (first != other).all()
        # Six standard errors of a correlation of independent values.
        assert abs(stats.spearmanr(first, other).statistic) < 6 / np.sqrt(DRAWS)


def test_adding_removing_or_changing_a_candidate_changes_no_other_draw() -> None:
    rng = np.random.default_rng(1)
    postings = rng.choice(10**12, 5001, replace=False)
    a, b = rng.uniform(0.05, 6, postings.size), rng.uniform(0.5, 400, postings.size)
    everyone = draw_betas(77, postings, 1, a, b)
    kept = np.flatnonzero(rng.uniform(size=postings.size) < 0.3)
    np.testing.assert_array_equal(draw_betas(77, postings[kept], 1, a[kept], b[kept]), everyone[kept])
    a[~np.isin(np.arange(a.size), kept)] *= 3
    np.testing.assert_array_equal(draw_betas(77, postings, 1, a, b)[kept], everyone[kept])
    for index in (0, 2500, 5000):
        one = slice(index, index + 1)
        np.testing.assert_array_equal(
            draw_betas(77, postings[one], 1, a[one], b[one]), draw_betas(77, postings, 1, a, b)[one]
        )


def test_the_order_of_candidates_changes_no_draw() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0.05, 6, 4001), rng.uniform(0.5, 400, 4001)
    order = rng.permutation(4001)
    np.testing.assert_array_equal(
        draw_betas(78, POSTINGS[:4001][order], 1, a[order], b[order]),
        draw_betas(78, POSTINGS[:4001], 1, a, b)[order],
    )


@pytest.mark.parametrize(
    ("a", "b"), [(1e-9, 1e-9), (1e-9, 1e15), (1e15, 1e-9), (1e-3, 1e-3), (1e-3, 50), (50, 1e-3)]
)
def test_extreme_shapes_give_numbers_from_zero_to_one(a: float, b: float) -> None:
    drawn = draw(3, POSTINGS, a, b)
    assert ((drawn >= 0) & (drawn <= 1)).all()


def test_two_tiny_shapes_share_the_ends_by_their_ratio() -> None:
    drawn = draw(3, POSTINGS, 1e-6, 3e-6)
    # Nearly all of the mass sits at the ends, a quarter of it at one; six standard errors.
    assert abs((drawn > 0.5).mean() - 0.25) < 6 * np.sqrt(0.25 * 0.75 / DRAWS)


def test_single_precision_shapes_are_drawn_in_double() -> None:
    a, b = np.full(100, 0.3, dtype=np.float32), np.full(100, 70.1, dtype=np.float32)
    drawn = draw_betas(4, POSTINGS[:100], 1, a, b)  # type: ignore[arg-type]
    np.testing.assert_array_equal(drawn, draw(4, POSTINGS[:100], float(a[0]), float(b[0])))


@pytest.mark.parametrize("shape", [0.0, -1.0, 1e-10, 2e15, np.inf, np.nan])
def test_a_shape_out_of_range_is_refused(shape: float) -> None:
    shapes = np.array([1.0, shape, 2.0])
    for a, b in ((shapes, np.ones(3)), (np.ones(3), shapes)):
        with pytest.raises(ValueError, match="1e-09, 1e"):
            draw_betas(1, POSTINGS[:3], 1, a, b)


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="3 streams"):
        draw_betas(1, POSTINGS[:3], 1, np.ones(2), np.ones(4))


def test_no_candidates_give_no_draws() -> None:
    assert draw_betas(1, POSTINGS[:0], 1, np.empty(0), np.empty(0)).size == 0
