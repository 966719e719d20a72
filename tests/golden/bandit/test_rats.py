"""The fit beside a published one: tumours in groups of rats.

The counts are those of 70 control groups (Tarone 1982, as tabulated by Gelman et al., Bayesian Data
Analysis, table 5.1); the maximum of the beta-binomial likelihood is published with the R package BayesGOF.
"""

import numpy as np
import pytest

from nearcast_bandit.fitting import FitKind, StrengthBounds, fit_prior

PUBLISHED = (2.304768, 14.079707)
"""a and b of the fitted Beta."""

RATS = {
    (0, 17): 1,
    (0, 18): 2,
    (0, 19): 4,
    (0, 20): 7,
    (1, 10): 1,
    (1, 18): 2,
    (1, 19): 2,
    (1, 20): 4,
    (2, 13): 1,
    (2, 17): 1,
    (2, 19): 1,
    (2, 20): 6,
    (2, 23): 1,
    (2, 24): 1,
    (2, 25): 1,
    (3, 20): 2,
    (3, 27): 1,
    (4, 19): 3,
    (4, 20): 7,
    (5, 19): 1,
    (5, 20): 2,
    (5, 22): 1,
    (5, 46): 1,
    (5, 49): 1,
    (6, 20): 3,
    (6, 22): 1,
    (6, 23): 1,
    (7, 47): 1,
    (7, 49): 1,
    (9, 24): 1,
    (9, 48): 1,
    (10, 48): 1,
    (10, 50): 1,
    (11, 46): 1,
    (12, 49): 1,
    (15, 46): 1,
    (15, 47): 1,
    (16, 52): 1,
}
"""Groups by (rats with a tumour, rats)."""


def test_the_fit_to_the_rats_is_the_published_one() -> None:
    groups = np.repeat(np.array(list(RATS), dtype=float), list(RATS.values()), axis=0)
    assert groups.shape == (70, 2)
    fit = fit_prior(groups[:, 1], groups[:, 0], bounds=StrengthBounds(1, 20_000))
    assert fit.kind is FitKind.FITTED
    assert fit.prior is not None
    a, b = fit.prior.strength * fit.prior.mean, fit.prior.strength * (1 - fit.prior.mean)
    assert (a, b) == pytest.approx(PUBLISHED, rel=1e-5)
