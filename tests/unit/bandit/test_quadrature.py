import numpy as np
import pytest
from scipy import integrate, stats

from nearcast_bandit.quadrature import best_probabilities


def best(*shapes: tuple[float, float]) -> np.ndarray:
    a, b = np.array(shapes, dtype=float).T
    return best_probabilities(a, b)


def test_a_single_arm_is_the_best() -> None:
    assert best((3, 7)).tolist() == [1.0]


@pytest.mark.parametrize(
    ("a", "c"), [(2, 1), (1, 1), (0.01, 3), (0.3, 0.2), (100, 0.5), (1000, 7), (1e6, 3e6)]
)
def test_powers_of_uniforms_have_a_closed_form(a: float, c: float) -> None:
    # Beta(a, 1) has the distribution function x**a.
    np.testing.assert_allclose(best((a, 1), (c, 1)), [a / (a + c), c / (a + c)], atol=1e-8)


def test_several_powers_of_uniforms_have_a_closed_form() -> None:
    powers = np.array([0.02, 0.5, 1, 2, 30, 400])
    np.testing.assert_allclose(best(*((a, 1) for a in powers)), powers / powers.sum(), atol=1e-8)


@pytest.mark.parametrize("count", [2, 3, 8, 20])
@pytest.mark.parametrize("shape", [(1, 1), (0.2, 5), (1e-3, 1e-3), (30, 1500), (1e6, 1e8)])
def test_equal_arms_share_equally(count: int, shape: tuple[float, float]) -> None:
    np.testing.assert_allclose(best(*[shape] * count), 1 / count, atol=1e-5)


@pytest.mark.parametrize("strength", [1e5, 1e8, 1e11])
def test_a_nearly_certain_rate_is_beaten_by_the_tail_above_it(strength: float) -> None:
    flat, sharp = (2, 100), (0.02 * strength, 0.98 * strength)
    exact = integrate.quad(
        lambda z: stats.norm.pdf(z) * stats.beta(*flat).sf(0.02 + z * np.sqrt(0.02 * 0.98 / strength)), -9, 9
    )[0]
    np.testing.assert_allclose(best(flat, sharp)[0], exact, atol=1e-5)


def test_two_arms_agree_with_adaptive_integration() -> None:
    one, other = stats.beta(3.5, 60), stats.beta(0.7, 8)
    exact = integrate.quad(lambda x: one.pdf(x) * other.cdf(x), 0, 1, epsabs=1e-10)[0]
    np.testing.assert_allclose(best((3.5, 60), (0.7, 8)), [exact, 1 - exact], atol=1e-7)


def test_hopeless_arms_get_nothing_and_no_warning() -> None:
    chances = best((1e6, 1e3), (1e3, 1e6), (1e-9, 1e9), (5e5, 1e6))
    np.testing.assert_allclose(chances, [1, 0, 0, 0], atol=1e-12)
    assert (chances >= 0).all()


def test_eight_arms_agree_with_a_million_draws() -> None:
    rng = np.random.default_rng(16)
    a = rng.uniform(3, 50, 8)
    b = a * rng.uniform(6, 12, 8)
    winners = np.argmax(rng.beta(a, b, (1_000_000, 8)), axis=1)
    np.testing.assert_allclose(best_probabilities(a, b), np.bincount(winners, minlength=8) / 1e6, atol=0.003)


def test_the_order_of_arms_does_not_matter() -> None:
    rng = np.random.default_rng(17)
    a, b = np.exp(rng.uniform(-3, 9, (2, 12)))
    order = rng.permutation(12)
    np.testing.assert_allclose(
        best_probabilities(a[order], b[order]), best_probabilities(a, b)[order], atol=1e-12
    )
