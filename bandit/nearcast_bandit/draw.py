"""Exact Beta draws, each a pure function of (seed, posting, kind, A, B).

So a birth, a page, a filter or the order of candidates changes nobody else's draw. The algorithm, in
full, for a scalar twin; integers are modulo 2**64, `mix`, `word` and `uniform` are those of the module
`stream`, an attempt is described in `normal` and in `gamma`:

    key       = stream key of (seed, posting, kind)
    words     = A reads the stream from word 0, B from word 2**32 (cursor = key + 2**32 * GOLDEN)
    block 0   : word 0 is the uniform U of the boost; words 1 to 3 are not used
    block k   : words 4k to 4k + 3 for k >= 1, one attempt each; every rejection, of the normal or of the
                gamma, moves on by one block, so no word serves twice
    boost     : for a shape s < 1, l = log(U) / s and the gamma is drawn with shape s + 1; otherwise l = 0
    top       = max(lA, lB)
    Ga, Gb    = gammaA * exp(lA - top), gammaB * exp(lB - top)
    draw      = Ga / (Ga + Gb)

Taking out `top` before the exponential keeps one of the two gammas above zero whatever the shapes, so the
quotient is never 0/0.
"""

import numpy as np

from nearcast_bandit.arrays import Floats, Integers, Words
from nearcast_bandit.gamma import standard_gammas
from nearcast_bandit.stream import BLOCK_STEP, GOLDEN, MASK, stream_keys, uniforms, words

SHAPE_FLOOR = 1e-9
SHAPE_CEILING = 1e15
SECOND_GAMMA_STEP = (GOLDEN << 32) & MASK

_BLOCK_STEP = np.uint64(BLOCK_STEP)
_SECOND_GAMMA_STEP = np.uint64(SECOND_GAMMA_STEP)


def draw_betas(seed: int, postings: Integers, kind: int, a: Floats, b: Floats) -> Floats:
    """One draw of Beta(a, b) for each posting; shapes from SHAPE_FLOOR to SHAPE_CEILING."""
    return draw_from_keys(stream_keys(seed, postings, kind), a, b)


def draw_from_keys(keys: Words, a: Floats, b: Floats) -> Floats:
    """One draw of Beta(a, b) from each stream."""
    count = keys.size
    shapes = np.concatenate((a, b), dtype=np.float64)
    if shapes.shape != (2 * count,) or a.size != count:
        raise ValueError(f"{count} streams need as many shapes, not {a.size} A and {b.size} B")
    if not count:
        return np.empty(0)
    _check(shapes)
    cursors = np.concatenate((keys, keys + _SECOND_GAMMA_STEP))
    small = np.flatnonzero(shapes < 1)
    boosts = np.log(uniforms(words(cursors[small], 0))) / shapes[small]
    shapes[small] += 1
    cursors += _BLOCK_STEP
    gammas = standard_gammas(cursors, shapes)
    if small.size:
        _boost(gammas, small, boosts)
    first, second = gammas[:count], gammas[count:]
    return first / (first + second)


def _check(shapes: Floats) -> None:
    low, high = float(shapes.min()), float(shapes.max())
    if not (low >= SHAPE_FLOOR and high <= SHAPE_CEILING):
        raise ValueError(
            f"Beta shapes run from {low:g} to {high:g}; each must lie in [{SHAPE_FLOOR:g}, {SHAPE_CEILING:g}]"
        )


def _boost(gammas: Floats, small: Integers, boosts: Floats) -> None:
    logs = np.zeros(gammas.size)
    logs[small] = boosts
    pairs = logs.reshape(2, -1)
    pairs -= pairs.max(axis=0)
    gammas *= np.exp(logs, out=logs)
