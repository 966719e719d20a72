"""Exact standard normals from stream words: a ziggurat of 256 layers with Marsaglia's exact tail.

The area under exp(-x*x/2), x > 0, is covered by 256 layers of equal area. Layer i >= 1 is the rectangle
[0, EDGES[i]] x [HEIGHTS[i], HEIGHTS[i + 1]]; layer 0 is the rectangle below HEIGHTS[1] with the tail
beyond TAIL_START = EDGES[1], and EDGES[0] is its area divided by its height. An attempt reads one block
of the stream:

    w = word 0;  layer = w & 255;  negative when w & 256;  u = uniform(w);  x = u * EDGES[layer]
    sure      : u < RATIOS[layer] gives x
    wedge     : otherwise, in a layer >= 1, h = HEIGHTS[layer] + uniform(word 1) * (HEIGHTS[layer + 1] -
                HEIGHTS[layer]) gives x if h < exp(-x*x/2), or else the next block is a new attempt
    tail      : otherwise, in layer 0, e = -log(uniform(word 1)) / TAIL_START gives TAIL_START + e if
                -2 * log(uniform(word 2)) > e*e, or else words 1 and 2 of the next block are tried

Word 3 of the block in which the normal was found is left for the caller.
"""

import math

import numpy as np

from nearcast_bandit.arrays import Floats, Integers, Words
from nearcast_bandit.stream import BLOCK_STEP, uniforms, words

LAYERS = 256
TAIL_START = 3.6541528853610088

_BLOCK_STEP = np.uint64(BLOCK_STEP)
_SLOT_MASK = np.uint64(2 * LAYERS - 1)


def _height(x: float) -> float:
    return math.exp(-0.5 * x * x)


def _edges() -> list[float]:
    tail_area = math.sqrt(math.pi / 2) * math.erfc(TAIL_START / math.sqrt(2))
    area = TAIL_START * _height(TAIL_START) + tail_area
    edges = [area / _height(TAIL_START), TAIL_START]
    while len(edges) < LAYERS:
        edges.append(math.sqrt(-2 * math.log(area / edges[-1] + _height(edges[-1]))))
    return [*edges, 0.0]


EDGES: Floats = np.array(_edges())
HEIGHTS: Floats = np.array([_height(edge) for edge in EDGES])
RATIOS: Floats = EDGES[1:] / EDGES[:-1]

# Indexed by the sign bit and the layer at once.
_SIGNED_EDGES: Floats = np.concatenate((EDGES[:-1], -EDGES[:-1]))
_SIGNED_RATIOS: Floats = np.concatenate((RATIOS, RATIOS))


def standard_normals(cursors: Words) -> tuple[Floats, Words]:
    """A normal for each cursor, and the cursor of the block in which it was found."""
    drawn = words(cursors, 0)
    slots = (drawn & _SLOT_MASK).view(np.int64)
    spots = uniforms(drawn)
    missed = np.flatnonzero(spots >= _SIGNED_RATIOS.take(slots))
    spots *= _SIGNED_EDGES.take(slots)
    if not missed.size:
        return spots, cursors
    ends = cursors.copy()
    spots[missed], ends[missed] = _settle(spots[missed], cursors[missed], slots[missed])
    return spots, ends


def _settle(spots: Floats, cursors: Words, slots: Integers) -> tuple[Floats, Words]:
    """Decide those that fell outside the sure part of their layer: wedge, tail, or another attempt."""
    layers = slots % LAYERS
    floor, ceiling = HEIGHTS[layers], HEIGHTS[layers + 1]
    aims = floor + uniforms(words(cursors, 1)) * (ceiling - floor)
    in_tail = layers == 0
    again = np.flatnonzero(~in_tail & (aims >= np.exp(-0.5 * spots * spots)))
    if again.size:
        spots[again], cursors[again] = standard_normals(cursors[again] + _BLOCK_STEP)
    far = np.flatnonzero(in_tail)
    if far.size:
        beyond, cursors[far] = _tail(cursors[far])
        spots[far] = np.where(slots[far] < LAYERS, beyond, -beyond)
    return spots, cursors


def _tail(cursors: Words) -> tuple[Floats, Words]:
    excess = -np.log(uniforms(words(cursors, 1))) / TAIL_START
    rejected = np.flatnonzero(-2 * np.log(uniforms(words(cursors, 2))) <= excess * excess)
    beyond = TAIL_START + excess
    if rejected.size:
        beyond[rejected], cursors[rejected] = _tail(cursors[rejected] + _BLOCK_STEP)
    return beyond, cursors
