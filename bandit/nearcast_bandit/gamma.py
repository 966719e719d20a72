"""Exact gamma variates of shape >= 1 and scale 1 by the squeeze method of Marsaglia and Tsang.

d = shape - 1/3;  c = 1 / (3 * sqrt(d));  x = normal;  y = c*x;  t = 1 + y;  u = uniform(word 3 of x's
block) u < 1 - 0.0331 * x**4                                                       -> d * t**3   (t > 0
there) t > 0 and log(u) < x*x/2 + d * (3*log1p(y) - y * (3 + y * (3 + y)))         -> d * t**3 otherwise
another attempt from the next block
"""

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Words
from nearcast_bandit.normal import standard_normals
from nearcast_bandit.stream import BLOCK_STEP, uniforms, words

SQUEEZE = 0.0331

_BLOCK_STEP = np.uint64(BLOCK_STEP)


def standard_gammas(cursors: Words, shapes: Floats) -> Floats:
    """A gamma variate for each cursor; every shape must be at least 1."""
    depths = shapes - 1 / 3
    return _attempt(cursors, depths, 1 / (3 * np.sqrt(depths)))


def _attempt(cursors: Words, depths: Floats, slopes: Floats) -> Floats:
    normals, ends = standard_normals(cursors)
    spots = uniforms(words(ends, 3))
    squares = normals * normals
    bends = slopes * normals
    unsure = np.flatnonzero(spots >= 1 - SQUEEZE * (squares * squares))
    bases = bends + 1
    gammas = depths * (bases * bases * bases)
    if unsure.size:
        kept = _accepted(spots[unsure], squares[unsure], bends[unsure], depths[unsure])
        again = unsure[~kept]
        if again.size:
            gammas[again] = _attempt(ends[again] + _BLOCK_STEP, depths[again], slopes[again])
    return gammas


def _accepted(spots: Floats, squares: Floats, bends: Floats, depths: Floats) -> Booleans:
    # Written with log1p: the plain form d * (1 - v + log(v)) loses all its digits for large shapes.
    possible = bends > -1
    safe = np.where(possible, bends, 0)
    bounds = 0.5 * squares + depths * (3 * np.log1p(safe) - safe * (3 + safe * (3 + safe)))
    accepted: Booleans = possible & (np.log(spots) < bounds)
    return accepted
