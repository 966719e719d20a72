"""One draw at a time, from the pieces that the gateway's machine code draws blocks with."""

import numpy as np

from nearcast_bandit.native import BLOCK, SECOND, quotient, raised, standard_gamma
from nearcast_compiling.native import compiled


@compiled
def draw_beta(key: np.uint64, a: float, b: float) -> float:
    """Beta(a, b) of a posting's stream."""
    first = standard_gamma(key + BLOCK, raised(a))
    return quotient(key, a, b, first, standard_gamma(key + SECOND + BLOCK, raised(b)))
