"""The chance of each position: closed forms, adaptive integration, and the real draws counted."""

import numpy as np
import pytest
from scipy import integrate, stats

from nearcast_bandit.distributions import beta_table
from nearcast_bandit.propensity import (
    draw_propensities,
    floor_propensities,
    rank_probabilities,
    with_floor,
)
from nearcast_bandit.ranking import Ranking
from nearcast_bandit.replaying import replayed_propensities


def ranks(a: list[float], b: list[float], k: int) -> np.ndarray:
    return rank_probabilities(beta_table(np.array(a, dtype=float), np.array(b, dtype=float), k), k)


def worlds(kinds: int, count: int, seed: int, **more: object) -> Ranking:
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.4, 30, (kinds, count))
    b = a * rng.uniform(15, 60, (kinds, count))
    postings = rng.choice(10**9, count, replace=False)
    return Ranking(postings, range(1, kinds + 1), (1.0, 2.0, 5.0)[:kinds], a, b, **more)  # type: ignore[arg-type]


def test_two_thirds_of_the_draws_of_beta_2_1_beat_a_uniform() -> None:
    np.testing.assert_allclose(ranks([2, 1], [1, 1], 2), [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (0.2, 5), (0.05, 20), (1e-3, 1e-3), (30, 1500), (1e6, 1e8)])
@pytest.mark.parametrize(("count", "k"), [(2, 2), (9, 4), (40, 10), (5, 5)])
def test_alike_items_share_every_position_evenly(shape: tuple[float, float], count: int, k: int) -> None:
    chances = ranks([shape[0]] * count, [shape[1]] * count, k)
    np.testing.assert_allclose(chances, 1 / count, atol=1e-5)


def test_powers_of_uniforms_have_closed_forms_at_both_ends() -> None:
    # Beta(c, 1) has the distribution function x**c; the least of two others has a closed form as well.
    powers = np.array([0.02, 0.5, 1, 2, 30, 400])
    first = ranks(powers.tolist(), [1] * 6, 1)[:, 0]
    np.testing.assert_allclose(first, powers / powers.sum(), atol=1e-7)
    one, two, three = 0.5, 2.0, 7.0
    last = ranks([one, two, three], [1, 1, 1], 3)[0, 2]
    both = 1 - one / (one + two) - one / (one + three) + one / (one + two + three)
    assert last == pytest.approx(both, abs=1e-7)


def test_positions_agree_with_adaptive_integration() -> None:
    one, two, three = stats.beta(3.5, 60), stats.beta(0.7, 8), stats.beta(20, 500)

    def second(x: float) -> float:
        return one.pdf(x) * (two.cdf(x) * three.sf(x) + two.sf(x) * three.cdf(x))

    exact = integrate.quad(second, 0, 1, epsabs=1e-11, limit=200)[0]
    assert ranks([3.5, 0.7, 20], [60, 8, 500], 2)[0, 1] == pytest.approx(exact, abs=1e-7)


def test_a_sharp_and_a_flat_belief_are_resolved_together() -> None:
    strength = 1e10
    exact = stats.beta(2, 100).sf(0.02)
    np.testing.assert_allclose(
        ranks([2, 0.02 * strength], [100, 0.98 * strength], 1)[:, 0], [exact, 1 - exact], atol=1e-5
    )


def test_hopeless_items_get_nothing_and_no_warning() -> None:
    chances = ranks([1e6, 1e3, 1e-9, 5e5], [1e3, 1e6, 1e9, 1e6], 2)
    np.testing.assert_allclose(chances, [[1, 0], [0, 0], [0, 0], [0, 1]], atol=1e-9)
    assert (chances >= 0).all()


def test_served_slates_follow_the_propensities() -> None:
    served, slates = worlds(1, 40, 3), 200_000
    exact, counted = draw_propensities(served, 5), replayed_propensities(served, 5, slates)
    # Five standard errors of a count, and a little for rare cells, whose counts are not normal.
    assert (np.abs(counted - exact) <= 5 * np.sqrt(exact * (1 - exact) / slates) + 3e-5).all()


@pytest.mark.parametrize("exploration", [1.0, 0.4])
def test_slates_by_weighted_sums_follow_the_propensities(exploration: float) -> None:
    factors = np.random.default_rng(5).uniform(0.4, 1, 30)
    served, slates = worlds(3, 30, 4, exploration=exploration, factors=factors), 30_000
    exact, counted = draw_propensities(served, 5), replayed_propensities(served, 5, slates)
    assert (np.abs(counted - exact) <= 5 * np.sqrt(exact * (1 - exact) / slates) + 2e-4).all()
    np.testing.assert_allclose(exact.sum(axis=0), 1, atol=1e-6)


def test_both_ways_of_integrating_agree() -> None:
    one, k = worlds(1, 30, 6), 4
    barely = np.ones(30)
    barely[7] += 1e-12
    convolved = draw_propensities(Ranking(one.postings, (1,), (1.0,), one.a, one.b, factors=barely), k)
    np.testing.assert_allclose(convolved, draw_propensities(one, k), atol=2e-5)


def test_poles_cost_the_convolution_little() -> None:
    rng, barely = np.random.default_rng(1), np.where(np.arange(30) == 3, 1 + 1e-12, 1)
    a, b = rng.uniform(0.05, 0.1, (1, 30)), rng.uniform(20, 300, (1, 30))
    convolved = draw_propensities(Ranking(np.arange(30), (1,), (1.0,), a, b, factors=barely), 5)
    exact = draw_propensities(Ranking(np.arange(30), (1,), (1.0,), a, b), 5)
    np.testing.assert_allclose(convolved, exact, atol=5e-4)


def test_a_kind_without_weight_changes_nothing() -> None:
    two = worlds(2, 20, 7)
    alone = Ranking(two.postings, (1,), (1.0,), two.a[:1], two.b[:1])
    muted = Ranking(two.postings, (1, 2), (1.0, 0.0), two.a, two.b)
    np.testing.assert_array_equal(draw_propensities(muted, 3), draw_propensities(alone, 3))


def test_a_negative_weight_puts_the_worst_first() -> None:
    one = worlds(1, 12, 8)
    disliked = Ranking(one.postings, (1,), (-1.0,), one.a, one.b)
    everyone = draw_propensities(one, 12)
    np.testing.assert_allclose(draw_propensities(disliked, 12), everyone[:, ::-1], atol=1e-6)


def test_positions_beyond_the_candidates_stay_empty() -> None:
    chances = draw_propensities(worlds(1, 3, 9), 5)
    np.testing.assert_allclose(chances.sum(axis=0), [1, 1, 1, 0, 0], atol=1e-6)


def test_the_floor_shows_the_pool_evenly() -> None:
    served = worlds(1, 20, 10)
    pool = served.pool(8)
    floor = floor_propensities(20, pool, 3)
    assert set(np.argsort(-served.a[0] / (served.a[0] + served.b[0]))[:8]) == set(pool)
    np.testing.assert_array_equal(floor[pool], np.full((8, 3), 1 / 8))
    assert floor.sum() == pytest.approx(3)
    drawn = draw_propensities(served, 3)
    np.testing.assert_allclose(with_floor(drawn, floor, 0.02), 0.98 * drawn + 0.02 * floor)
    assert floor_propensities(5, np.array([1, 4]), 3).sum(axis=0).tolist() == [1, 1, 0]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share is .* \[0, 1\]"):
        with_floor(np.ones((1, 1)), np.ones((1, 1)), share)


def test_scores_too_sharp_for_the_grid_are_sent_to_the_replay() -> None:
    a, b = np.array([[2.0, 2e12], [2.0, 2e12]]), np.array([[100.0, 1e14], [100.0, 1e14]])
    with pytest.raises(ValueError, match="replay the draws instead"):
        draw_propensities(Ranking(np.arange(2), (1, 2), (1.0, 1.0), a, b), 1)
