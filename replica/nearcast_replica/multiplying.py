"""Machine code for what scores are multiplied with: boosts, distance, what was seen."""

import math

import numpy as np

from nearcast_bandit.factors import MOST_HALVINGS
from nearcast_compiling.memory import (
    fixed,
    fixed_f8,
    load_f8,
    load_i4,
    load_i8,
    load_u2,
    load_u4,
    load_u8,
    store_f8,
)
from nearcast_compiling.native import compiled
from nearcast_replica.judging import row_distance_m
from nearcast_replica.registers import WORLD, Pad, Scale

_CATEGORY, _OWNER, _POSTING = WORLD["category"], WORLD["owner"], WORLD["posting"]
_TAG_MASK, _TAG_REF, _TAG_POOL = WORLD["tag_mask"], WORLD["tag_ref"], WORLD["tag_pool"]
_NONE = np.uint64(0)


@compiled
def multiply(world: int, scale: int, facts: int, pad: int, held: int) -> None:
    """Multiply the scores of all that compete, and leave the factors behind."""
    slots, rows, scores = fixed(pad, Pad.SLOT), fixed(pad, Pad.ROW), fixed(pad, Pad.SCORE)
    half_m, faded = fixed_f8(scale, Scale.HALF_M), fixed(scale, Scale.FADED_COUNT)
    for index in range(held):
        slot = load_i4(slots, index)
        factor = _boosted(world, scale, slot)
        if half_m > 0.0:
            halvings = row_distance_m(world, facts, load_i4(rows, index)) / half_m
            factor *= math.pow(2.0, -min(halvings, MOST_HALVINGS))
        if faded > 0 and _is_faded(scale, load_i8(fixed(world, _POSTING), slot)):
            factor *= fixed_f8(scale, Scale.SEEN_SHARE)
        store_f8(fixed(pad, Pad.FACTOR), index, factor)
        store_f8(scores, index, load_f8(scores, index) * factor)


@compiled
def _boosted(world: int, scale: int, slot: int) -> float:
    factor, category = 1.0, load_u2(fixed(world, _CATEGORY), slot)
    if category < fixed(scale, Scale.CATEGORY_COUNT):
        factor = load_f8(fixed(scale, Scale.CATEGORIES), category)
    mask = load_u8(scale, Scale.TAG_MASK)
    if mask != _NONE and (load_u8(fixed(world, _TAG_MASK), slot) & mask) != _NONE:
        factor *= _by_tags(world, scale, slot)
    owners = fixed(scale, Scale.OWNER_COUNT)
    if owners > 0:
        owner = load_u8(fixed(world, _OWNER), slot)
        for place in range(owners):
            if load_u8(fixed(scale, Scale.OWNERS), place) == owner:
                factor *= load_f8(fixed(scale, Scale.OWNER_FACTORS), place)
    return factor


@compiled
def _by_tags(world: int, scale: int, slot: int) -> float:
    """In the order of the boosts, each at most once."""
    tags = fixed(world, _TAG_POOL) + 4 * load_u4(fixed(world, _TAG_REF), slot)
    factor, count = 1.0, load_u4(tags, 0)
    for place in range(fixed(scale, Scale.TAG_COUNT)):
        wanted = load_u4(fixed(scale, Scale.TAGS), place)
        for index in range(1, count + 1):
            if load_u4(tags, index) == wanted:
                factor *= load_f8(fixed(scale, Scale.TAG_FACTORS), place)
                break
    return factor


@compiled
def _is_faded(scale: int, posting: int) -> bool:
    """Whether it is among those that were seen, which are in order."""
    faded, begin, end = fixed(scale, Scale.FADED), 0, fixed(scale, Scale.FADED_COUNT)
    while begin < end:
        middle = (begin + end) // 2
        if load_i8(faded, middle) < posting:
            begin = middle + 1
        else:
            end = middle
    return begin < fixed(scale, Scale.FADED_COUNT) and load_i8(faded, begin) == posting
