"""Estimates of the reward per request, from sums by position. R requests, w = target / logged probability.

    logged           sum of rewards / R
    ips              sum of w * reward / R                             item-position inverse propensity
    snips            sum over positions of rows / R * (sum of w * reward / sum of w)
    direct           sum of what the model expects under the target / R
    doubly robust    sum of expected + w * (reward - modelled) / R

`ips` is unbiased when propensities are right and nothing is unsupported; `snips` is nearly so, with less
spread. `doubly_robust` is right when either the propensities or the model are, `direct` only as the model is.
"""

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.sums import (
    CORRECTED,
    MODEL,
    REWARD,
    ROWS,
    WEIGHT,
    WEIGHTED_REWARD,
    SessionSums,
)

NEED_A_MODEL = ("direct", "doubly_robust")


def estimates(totals: SessionSums) -> dict[str, Floats]:
    """A value per replicate by the estimator's name."""
    return {name: values.sum(axis=1) for name, values in position_estimates(totals).items()}


def position_estimates(totals: SessionSums) -> dict[str, Floats]:
    """A row per replicate, a column per position; the columns add up to the estimate."""
    requests, cells = totals.requests[:, None], totals.cells
    weight = cells[..., WEIGHT]
    mean = np.divide(cells[..., WEIGHTED_REWARD], weight, out=np.zeros_like(weight), where=weight > 0)
    return {
        "logged": cells[..., REWARD] / requests,
        "ips": cells[..., WEIGHTED_REWARD] / requests,
        "snips": cells[..., ROWS] / requests * mean,
        "direct": cells[..., MODEL] / requests,
        "doubly_robust": cells[..., CORRECTED] / requests,
    }
