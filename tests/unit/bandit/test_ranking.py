import numpy as np
import pytest

from nearcast_bandit.ranking import Ranking
from nearcast_bandit.replaying import draws_needed, replayed_propensities
from nearcast_bandit.scoring import top_k, weighted_scores

COUNT = 25


def ranking(**more: object) -> Ranking:
    rng = np.random.default_rng(1)
    a = rng.uniform(0.3, 9, (2, COUNT))
    return Ranking(rng.choice(10**6, COUNT, replace=False), (1, 3), (1.0, 4.0), a, 40 * a, **more)  # type: ignore[arg-type]


def test_the_slate_of_a_seed_is_the_one_that_was_served() -> None:
    again = ranking(exploration=0.5)
    served = weighted_scores(77, again.postings, (1, 3), (1.0, 4.0), again.a, again.b, 0.5)
    np.testing.assert_array_equal(again.scores(77), served)
    np.testing.assert_array_equal(again.order(77, 6), top_k(served, again.postings, 6))


def test_factors_multiply_scores_and_means() -> None:
    factors = np.linspace(0.1, 2, COUNT)
    plain, boosted = ranking(), ranking(factors=factors)
    np.testing.assert_array_equal(boosted.scores(5), plain.scores(5) * factors)
    means = (plain.a / (plain.a + plain.b) * [[1.0], [4.0]]).sum(axis=0) * factors
    np.testing.assert_array_equal(boosted.pool(4), np.argsort(-means)[:4])


def test_a_replay_draws_what_single_seeds_draw() -> None:
    again = ranking(factors=np.linspace(0.5, 1, COUNT))
    counted = np.zeros((COUNT, 3))
    for seed in range(900, 960):
        counted[again.order(seed, 3), range(3)] += 1
    np.testing.assert_array_equal(replayed_propensities(again, 3, 60, first_seed=900), counted / 60)


def test_a_replay_follows_rules_that_act_after_the_draw() -> None:
    def pinned(order: np.ndarray) -> np.ndarray:
        return np.concatenate(([7], order[order != 7]))

    chances = replayed_propensities(ranking(), 3, 200, pinned)
    assert chances[7].tolist() == [1, 0, 0]
    np.testing.assert_allclose(chances.sum(axis=0), 1)


def test_a_short_slate_leaves_positions_empty() -> None:
    chances = replayed_propensities(ranking(), 3, 50, lambda order: order[:2])
    np.testing.assert_allclose(chances.sum(axis=0), [1, 1, 0])


def test_rare_items_take_many_draws() -> None:
    assert draws_needed(0.001) == 100_000
    assert draws_needed(0.5, bias=0.1) == 20


@pytest.mark.parametrize(("least", "bias"), [(0, 0.01), (1.5, 0.01), (0.1, 0), (0.1, 1)])
def test_draws_for_nothing_are_refused(least: float, bias: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        draws_needed(least, bias)


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        replayed_propensities(ranking(), 3, 0)


@pytest.mark.parametrize(
    ("weights", "shape", "factors", "message"),
    [
        ((1.0,), (2, 25), None, "need 2 weights"),
        ((1.0, 1.0), (1, 25), None, "of shape"),
        ((0.0, 0.0), (2, 25), None, "one of them not 0"),
        ((1.0, float("inf")), (2, 25), None, "finite"),
        ((1.0, 1.0), (2, 25), np.zeros(25), "factors"),
        ((1.0, 1.0), (2, 25), np.ones(3), "factors"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    weights: tuple[float, ...], shape: tuple[int, int], factors: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Ranking(np.arange(25), (1, 2), weights, np.ones(shape), np.ones(shape), factors=factors)
