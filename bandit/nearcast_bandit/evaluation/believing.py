"""The candidates of a record as they would be believed in under other priors: what was counted stays."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.posterior import Prior
from nearcast_bandit.record import Pool


def under_priors(pool: Pool, changed: Mapping[int, tuple[Prior, Prior]]) -> Pool:
    """By kind the prior that was and the one to be: A less the old share of it is successes, B failures.

    Records keep A and B to 24 bits, so evidence is right to about 1e-7 of the prior's strength.
    """
    rows = [row for row, kind in enumerate(pool.kinds) if kind in changed]
    if not rows:
        return pool
    a, b = pool.a.copy(), pool.b.copy()
    for row in rows:
        before, after = changed[pool.kinds[row]]
        successes = np.maximum(a[row] - before.strength * before.mean, 0)
        failures = np.maximum(b[row] - before.strength * (1 - before.mean), 0)
        a[row] = np.maximum(after.strength * after.mean + successes, SHAPE_FLOOR)
        b[row] = np.maximum(after.strength * (1 - after.mean) + failures, SHAPE_FLOOR)
    return replace(pool, a=a, b=b)
