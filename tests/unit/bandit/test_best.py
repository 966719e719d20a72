import numpy as np
import pytest
from scipy import integrate, optimize, stats

from nearcast_bandit.best import Advice, Standing, StopRule, standing, top_two_shares, value_remaining


def shapes(*pairs: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.array(pairs, dtype=float).T
    return a, b


def test_the_leader_is_the_arm_most_likely_the_best() -> None:
    found = standing(*shapes((20, 400), (30, 400), (25, 400)))
    assert found.leader == 1
    assert found.chances[1] == max(found.chances)
    assert sum(found.chances) == pytest.approx(1)


def test_value_remaining_is_the_quantile_of_the_exact_distribution() -> None:
    (a, c), (b, d) = shapes((60, 940), (50, 950))
    leader, other = stats.beta(a, b), stats.beta(c, d)

    def above(gain: float) -> float:
        low, high = leader.ppf([1e-10, 1 - 1e-10])
        return integrate.quad(lambda x: leader.pdf(x) * other.sf(x * (1 + gain)), low, high)[0]

    exact = optimize.brentq(lambda gain: above(gain) - 0.05, 0, 1)
    assert value_remaining(np.array([a, c]), np.array([b, d]), 0) == pytest.approx(exact, rel=0.04)


def test_value_remaining_is_the_same_each_time() -> None:
    assert standing(*shapes((60, 940), (50, 950))) == standing(*shapes((60, 940), (50, 950)))


def test_nothing_remains_of_an_arm_alone_or_far_ahead() -> None:
    assert standing(*shapes((3, 7))) == Standing(0, (1.0,), 0.0)
    assert standing(*shapes((900, 100), (100, 900))).value_remaining == 0.0


def test_value_remaining_shrinks_as_equal_arms_become_known() -> None:
    values = [
        standing(*shapes((n, 19 * n), (n, 19 * n))).value_remaining for n in (5, 50, 500, 5000, 500_000)
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.01 < values[-2]


@pytest.mark.parametrize(
    ("days", "chance", "remaining", "advice"),
    [
        (13.9, 0.99, 0.0, Advice.TOO_EARLY),
        (14, 0.95, 0.1, Advice.LEADER_IS_SURE),
        (14, 0.94, 0.1, Advice.GO_ON),
        (14, 0.94, 0.009, Advice.LITTLE_REMAINS),
        (14, 0.94, 0.01, Advice.GO_ON),
    ],
)
def test_advice_to_stop(days: float, chance: float, remaining: float, advice: Advice) -> None:
    assert Standing(0, (chance, 1 - chance), remaining).advice(days, StopRule()) is advice


@pytest.mark.parametrize(
    ("field", "value"),
    [("least_days", -1), ("chance", 0.4), ("chance", 1.1), ("value_remaining", -0.1), ("value_remaining", 1)],
)
def test_an_impossible_rule_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        StopRule(**{field: value})


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_top_two_shares_of_equal_arms_are_equal(count: int) -> None:
    np.testing.assert_allclose(top_two_shares(*shapes(*[(2, 30)] * count)), 1 / count, atol=1e-5)


def test_top_two_shares_have_a_closed_form_for_powers_of_uniforms() -> None:
    best = np.array([1.0, 3.0, 6.0]) / 10
    exact = best * (0.5 + 0.5 * np.array([sum(q / (1 - q) for q in best if q != p) for p in best]))
    np.testing.assert_allclose(top_two_shares(*shapes((1, 1), (3, 1), (6, 1))), exact, atol=1e-7)


def test_top_two_shares_are_those_of_sampling() -> None:
    a, b = shapes((12, 100), (15, 100), (9, 100), (14, 110))
    rng = np.random.default_rng(20)
    plays = 200_000
    first = rng.beta(a, b, (plays, 4)).argmax(axis=1)
    chosen, waiting = first.copy(), np.flatnonzero(rng.random(plays) < 0.5)
    while waiting.size:
        chosen[waiting] = rng.beta(a, b, (waiting.size, 4)).argmax(axis=1)
        waiting = waiting[chosen[waiting] == first[waiting]]
    # Five standard errors of a share near 1/2.
    np.testing.assert_allclose(top_two_shares(a, b), np.bincount(chosen) / plays, atol=0.0056)


def test_a_certain_leader_still_leaves_half_to_the_others_by_their_chances() -> None:
    shares = top_two_shares(*shapes((1e6, 1e3), (6, 1), (3, 1)))
    assert shares[0] == pytest.approx(0.5, abs=1e-3)
    rest = top_two_shares(*shapes((1e9, 1.0), (2, 100), (1, 100), (1, 100)))
    assert rest[0] == pytest.approx(0.5, abs=1e-9)
    assert rest[1] > rest[2] == pytest.approx(rest[3])
