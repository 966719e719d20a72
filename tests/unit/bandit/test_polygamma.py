import numpy as np
from scipy import special

from nearcast_bandit.polygamma import digamma, log_gamma, trigamma

X = 10.0 ** np.linspace(-9, 12, 4001)


def test_log_gamma_is_that_of_scipy() -> None:
    np.testing.assert_allclose(log_gamma(X), special.gammaln(X), rtol=1e-13, atol=1e-13)


def test_digamma_is_that_of_scipy() -> None:
    np.testing.assert_allclose(digamma(X), special.psi(X), rtol=1e-13, atol=1e-13)


def test_trigamma_is_that_of_scipy() -> None:
    np.testing.assert_allclose(trigamma(X), special.polygamma(1, X), rtol=1e-13)
