"""How much a log can say about a target: what it holds of the target's choices, and by how few rows."""

import math
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.logged import ShownItems

# Where a policy would do the same, weights differ from 1 by what integrals are off alone: by no chance.
_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True)
class Support:
    """What an evaluation stands on.

    `effective` is the effective sample size in requests: (sum of w)**2 / sum of w**2 over rows, divided by
    the rows per request, since rows of one request are not independent. `mean_weight` must be about
    `mean_weight_expected` if the logged propensities are right; the difference in standard errors is
    `mean_weight_z`. `unsupported` is None when the log does not say.
    """

    requests: int
    sessions: int
    rows: int
    effective: float
    largest_weight: float
    mean_weight: float
    mean_weight_expected: float
    mean_weight_z: float
    unsupported: float | None


def unsupported_mass(target: Floats, logged: Floats) -> Floats:
    """For each position, the target's probability on candidates that could not have been logged there.

    A row per candidate, a column per position, of one request.
    """
    mass: Floats = np.where(logged > 0, 0.0, target).sum(axis=0)
    return mass


def effective_size(weight: Floats) -> float:
    """Of how many equal weights the mean would be as sure."""
    squares = float((weight * weight).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def measure_support(log: ShownItems) -> Support:
    """The support of a log for its target."""
    weight, rows = log.weight, log.session.size
    requests = np.unique(log.request).size
    names, session = np.unique(log.session, return_inverse=True)
    missing = np.zeros(rows) if log.unsupported is None else log.unsupported
    surplus = np.bincount(session, weight - (1 - missing), names.size)
    spread = math.sqrt(float((surplus * surplus).sum()))
    return Support(
        requests=requests,
        sessions=names.size,
        rows=rows,
        effective=effective_size(weight) * requests / rows,
        largest_weight=float(weight.max()),
        mean_weight=float(weight.mean()),
        mean_weight_expected=float(1 - missing.mean()),
        mean_weight_z=float(surplus.sum()) / spread if abs(surplus.sum()) > _ROUNDING * rows else 0.0,
        unsupported=None if log.unsupported is None else float(missing.mean()),
    )
