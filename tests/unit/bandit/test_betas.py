import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.betas import beta_curves
from nearcast_bandit.convolution import sum_table
from nearcast_bandit.distributions import ScoreTable, beta_table

SHAPES = [(0.05, 20), (0.3, 2), (1, 1), (2, 100), (30, 0.5), (42, 498), (1e4, 1e6), (1e8, 3e8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_distribution_function_is_that_of_beta(shape: tuple[float, float]) -> None:
    exact, curves = stats.beta(*shape), beta_curves(*np.array([shape]).T.astype(float))
    rates = np.concatenate((exact.ppf(np.linspace(1e-4, 1 - 1e-4, 999)), [-1, 0, 1e-12, 0.5, 1, 2]))
    np.testing.assert_allclose(curves.below(0, rates), exact.cdf(rates), atol=2e-7)
    low, high = curves.reach(0)
    assert exact.cdf(low) < 1e-12
    assert exact.sf(high) < 1e-12


def test_a_table_holds_mass_and_probability_of_all_posteriors() -> None:
    a, b = np.array(SHAPES, dtype=float).T
    table = beta_table(a, b, 3)
    np.testing.assert_allclose(table.mass.sum(axis=1), 1, atol=1e-12)
    # The probability below a point holds, on average, half: the integral of F dF.
    np.testing.assert_allclose((table.mass * table.below).sum(axis=1), 0.5, atol=1e-6)


def moments(table: ScoreTable, row: int) -> tuple[float, float]:
    points = np.arange(table.mass.shape[1])
    mean = float(table.mass[row] @ points)
    return mean, float(table.mass[row] @ (points - mean) ** 2)


def test_a_convolved_sum_has_the_moments_of_the_sum() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.uniform(0.5, 20, (3, 4)), rng.uniform(20, 400, (3, 4))
    weights, factors = np.array([1.0, -2.0, 5.0]), rng.uniform(0.5, 2, 4)
    table = sum_table(weights.tolist(), a, b, factors)
    mean = (weights[:, None] * a / (a + b)).sum(axis=0) * factors
    variance = (weights[:, None] ** 2 * a * b / (a + b) ** 2 / (a + b + 1)).sum(axis=0) * factors**2
    found = np.array([moments(table, row) for row in range(4)])
    # Cells are an unknown but equal width apart, from an unknown start.
    width = np.sqrt(variance[0] / found[0, 1])
    np.testing.assert_allclose(np.sqrt(found[:, 1]) * width, np.sqrt(variance), rtol=1e-4)
    np.testing.assert_allclose((found[1:, 0] - found[0, 0]) * width, mean[1:] - mean[0], atol=1e-6)


def test_the_sum_of_two_uniforms_is_a_triangle() -> None:
    table = sum_table((1.0, 1.0), np.ones((2, 1)), np.ones((2, 1)), np.ones(1))
    middle = int(np.argmax(table.mass[0]))
    assert table.below[0, middle] == pytest.approx(0.5, abs=1e-4)
    width = table.mass[0, middle]
    for steps in (-400, -50, 150, 600):
        side = 1 - abs(steps) * width
        exact = side**2 / 2 if steps < 0 else 1 - side**2 / 2
        assert table.below[0, middle + steps] == pytest.approx(exact, abs=1e-4)
