"""The pieces of an exact Beta draw as machine code: what `draw`, `gamma`, `normal` and `stream` describe."""

import math

import numpy as np

from nearcast_bandit import stream
from nearcast_bandit.draw import SECOND_GAMMA_STEP, SHAPE_CEILING, SHAPE_FLOOR
from nearcast_bandit.normal import EDGES, HEIGHTS, RATIOS, TAIL_START
from nearcast_compiling.native import compiled, compiled_inline

GOLDEN = np.uint64(stream.GOLDEN)
_WORD_1 = np.uint64(2 * stream.GOLDEN & stream.MASK)
_WORD_2 = np.uint64(3 * stream.GOLDEN & stream.MASK)
WORD_3 = np.uint64(4 * stream.GOLDEN & stream.MASK)
BLOCK = np.uint64(stream.BLOCK_STEP)
SECOND = np.uint64(SECOND_GAMMA_STEP)
_MIX_1, _MIX_2 = np.uint64(stream.MIX_1), np.uint64(stream.MIX_2)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_KIND_STEP = np.uint64(stream.KIND_STEP)
_ONE, _ELEVEN = np.uint64(1), np.uint64(11)
LAYER, SIGN = np.uint64(255), np.uint64(256)
_UNIFORM_STEP = stream.UNIFORM_STEP


@compiled_inline
def mixed(word: np.uint64) -> np.uint64:
    """`stream.mix` of one word."""
    word ^= word >> _SHIFT_1
    word *= _MIX_1
    word ^= word >> _SHIFT_2
    word *= _MIX_2
    return word ^ (word >> _SHIFT_3)


@compiled
def stream_root(seed: np.uint64, kind: int) -> np.uint64:
    """What the keys of all postings' streams of a seed and a kind begin from."""
    return mixed(mixed(seed) + np.uint64(kind + 1) * _KIND_STEP)


@compiled_inline
def stream_key(root: np.uint64, posting: int) -> np.uint64:
    """The key of a posting's stream; the root is that of a seed and a kind."""
    return mixed(np.uint64(root + np.uint64(posting) * GOLDEN))


@compiled_inline
def first_word(key: np.uint64) -> np.uint64:
    """Word 0 of a stream."""
    return mixed(key + GOLDEN)


@compiled_inline
def uniform(word: np.uint64) -> float:
    """As `stream.uniforms`."""
    return np.int64((word >> _ELEVEN) | _ONE) * _UNIFORM_STEP


@compiled
def _tail(cursor: np.uint64) -> tuple[float, np.uint64]:
    while True:
        excess = -math.log(uniform(mixed(cursor + _WORD_1))) / TAIL_START
        if -2.0 * math.log(uniform(mixed(cursor + _WORD_2))) > excess * excess:
            return TAIL_START + excess, cursor
        cursor += BLOCK


@compiled_inline
def standard_normal(cursor: np.uint64) -> tuple[float, np.uint64]:
    """A normal, and the cursor of the block in which it was found."""
    while True:
        word = mixed(cursor + GOLDEN)
        layer = np.int64(word & LAYER)
        sign = -1.0 if word & SIGN else 1.0
        spot = uniform(word)
        x = spot * EDGES[layer]
        if spot < RATIOS[layer]:
            return sign * x, cursor
        if layer == 0:
            x, cursor = _tail(cursor)
            return sign * x, cursor
        floor, ceiling = HEIGHTS[layer], HEIGHTS[layer + 1]
        aim = floor + uniform(mixed(cursor + _WORD_1)) * (ceiling - floor)
        if aim < math.exp(-0.5 * x * x):
            return sign * x, cursor
        cursor += BLOCK


@compiled_inline
def surely_kept(spot: float, bend: float, depth: float) -> bool:
    """A squeeze, which only saves logarithms: whatever it takes in, the bound of `standard_gamma` accepts.

    That bound is h = 3 * depth * (log1p(y) - y + y**2 / 2 - y**3 / 3) of the bend y, exp(h) at least 1 + h,
    and the bracket at least -y**4 * (1/4 - y/5 + y**2 / 3) for y > -1/2.
    """
    square = bend * bend
    lost = 3.0 * depth * square * square * (0.25 + bend * (bend * (1.0 / 3.0) - 0.2))
    return (bend > -0.5) & (spot < 1.0 - lost)


@compiled_inline
def standard_gamma(cursor: np.uint64, shape: float) -> float:
    """A gamma of shape 1 or more, from the stream at the cursor."""
    depth = shape - 1.0 / 3.0
    slope = 1.0 / (3.0 * math.sqrt(depth))
    while True:
        x, cursor = standard_normal(cursor)
        spot = uniform(mixed(cursor + WORD_3))
        bend = slope * x
        base = bend + 1.0
        if surely_kept(spot, bend, depth):
            return depth * (base * base * base)
        if bend > -1.0:
            bound = 0.5 * x * x + depth * (3.0 * math.log1p(bend) - bend * (3.0 + bend * (3.0 + bend)))
            if math.log(spot) < bound:
                return depth * (base * base * base)
        cursor += BLOCK


@compiled_inline
def raised(shape: float) -> float:
    """The shape of the gamma that is drawn for a shape."""
    return shape if shape >= 1.0 else shape + 1.0


@compiled
def _boost(cursor: np.uint64, shape: float) -> float:
    return math.log(uniform(mixed(cursor + GOLDEN))) / shape if shape < 1.0 else 0.0


@compiled_inline
def quotient(key: np.uint64, a: float, b: float, first: float, second: float) -> float:
    """The draw of Beta(a, b) from the gammas of its raised shapes; a raised one is boosted by word 0."""
    if a < 1.0 or b < 1.0:
        log_a, log_b = _boost(key, a), _boost(key + SECOND, b)
        top = max(log_a, log_b)
        first *= math.exp(log_a - top)
        second *= math.exp(log_b - top)
    return first / (first + second)


@compiled_inline
def sharpened(shape: float, exploration: float) -> float:
    """As `posterior.sharpen`, of one shape, cut to what `draw` takes."""
    shape = shape if exploration == 1.0 else shape / exploration
    return min(max(shape, SHAPE_FLOOR), SHAPE_CEILING)
