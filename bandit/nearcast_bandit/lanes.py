"""Exact Beta draws of a block of postings as machine code: the first attempts at once, the rest one by one.

The loops over a block hold no branch and no call, so that they become vector code. A gamma whose first
attempt the squeeze does not settle is drawn by `native` from the same words: no draw depends on which it was.
"""

import math
from enum import IntEnum

import numpy as np

from nearcast_bandit.native import (
    BLOCK,
    GOLDEN,
    LAYER,
    SECOND,
    SIGN,
    WORD_3,
    mixed,
    quotient,
    raised,
    standard_gamma,
    stream_key,
    surely_kept,
    uniform,
)
from nearcast_bandit.normal import EDGES, RATIOS
from nearcast_compiling.memory import load_f8, load_i8, load_u8, store_f8, store_u8
from nearcast_compiling.native import compiled, compiled_inline

LANES = 256


class Lane(IntEnum):
    """Where each column of a block begins, in words of 64 bits; the first three are the caller's to fill."""

    POSTING = 0
    A = LANES
    B = 2 * LANES
    NORMAL_A = 3 * LANES
    NORMAL_B = 4 * LANES
    SPOT_A = 5 * LANES
    SPOT_B = 6 * LANES
    GAMMA_A = 7 * LANES
    GAMMA_B = 8 * LANES
    DRAW = 9 * LANES
    WORDS = 10 * LANES


@compiled
def draw_block(lanes: int, count: int, root: np.uint64) -> None:
    """Draw from Beta(A, B) for the first `count` postings, from their streams of a root, into DRAW."""
    _read_streams(lanes, count, root)
    for index in range(count):
        _make_normal(lanes, Lane.NORMAL_A + index)
        _make_normal(lanes, Lane.NORMAL_B + index)
    _make_gammas(lanes, count)
    for index in range(count):
        if load_f8(lanes, Lane.DRAW + index) < 0.0:
            _settle(lanes, index, root)


@compiled
def _read_streams(lanes: int, count: int, root: np.uint64) -> None:
    for index in range(count):
        first = stream_key(root, load_i8(lanes, Lane.POSTING + index)) + BLOCK
        second = first + SECOND
        store_u8(lanes, Lane.NORMAL_A + index, mixed(first + GOLDEN))
        store_u8(lanes, Lane.NORMAL_B + index, mixed(second + GOLDEN))
        store_f8(lanes, Lane.SPOT_A + index, uniform(mixed(first + WORD_3)))
        store_f8(lanes, Lane.SPOT_B + index, uniform(mixed(second + WORD_3)))


@compiled_inline
def _make_normal(lanes: int, at: int) -> None:
    """A word becomes the normal it stands for, or NaN where it alone does not tell."""
    word = load_u8(lanes, at)
    layer, spot = np.int64(word & LAYER), uniform(word)
    x = spot * EDGES[layer]
    x = -x if word & SIGN else x
    store_f8(lanes, at, x if spot < RATIOS[layer] else math.nan)


@compiled_inline
def _first_gamma(x: float, spot: float, shape: float) -> float:
    """The gamma of a first attempt, below zero where the squeeze does not take it."""
    depth = raised(shape) - 1.0 / 3.0
    bend = x / (3.0 * math.sqrt(depth))
    base = bend + 1.0
    return depth * (base * base * base) if surely_kept(spot, bend, depth) else -1.0


@compiled
def _make_gammas(lanes: int, count: int) -> None:
    for index in range(count):
        a, b = load_f8(lanes, Lane.A + index), load_f8(lanes, Lane.B + index)
        first = _first_gamma(load_f8(lanes, Lane.NORMAL_A + index), load_f8(lanes, Lane.SPOT_A + index), a)
        second = _first_gamma(load_f8(lanes, Lane.NORMAL_B + index), load_f8(lanes, Lane.SPOT_B + index), b)
        store_f8(lanes, Lane.GAMMA_A + index, first)
        store_f8(lanes, Lane.GAMMA_B + index, second)
        is_settled = (first >= 0.0) & (second >= 0.0) & (a >= 1.0) & (b >= 1.0)
        store_f8(lanes, Lane.DRAW + index, first / (first + second) if is_settled else -1.0)


@compiled
def _settle(lanes: int, index: int, root: np.uint64) -> None:
    key = stream_key(root, load_i8(lanes, Lane.POSTING + index))
    a, b = load_f8(lanes, Lane.A + index), load_f8(lanes, Lane.B + index)
    first, second = load_f8(lanes, Lane.GAMMA_A + index), load_f8(lanes, Lane.GAMMA_B + index)
    if first < 0.0:
        first = standard_gamma(key + BLOCK, raised(a))
    if second < 0.0:
        second = standard_gamma(key + SECOND + BLOCK, raised(b))
    store_f8(lanes, Lane.DRAW + index, quotient(key, a, b, first, second))
