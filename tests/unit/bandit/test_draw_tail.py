import math

import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.draw import draw_betas

DRAWS = 20_000_000
BATCH = 50_000


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), [(2.0, 100.0), (0.3, 10.0)])
def test_one_draw_in_a_hundred_thousand_lies_beyond_its_quantile(a: float, b: float) -> None:
    threshold = stats.beta(a, b).isf(1e-5)
    shapes = np.full(BATCH, a), np.full(BATCH, b)
    postings = np.arange(BATCH, dtype=np.int64)
    beyond = sum(
        int((draw_betas(seed, postings, 1, *shapes) > threshold).sum()) for seed in range(DRAWS // BATCH)
    )
    expected = DRAWS * 1e-5
    # Five standard deviations of a Poisson count of 200.
    assert abs(beyond - expected) < 5 * math.sqrt(expected)
