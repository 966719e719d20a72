"""Machine code for the best of many: a selection in place, and a heap whose root is the worst kept."""

import math

from nearcast_compiling.memory import (
    fixed,
    load_f8,
    load_i4,
    load_i8,
    load_u1,
    load_u2,
    store_f8,
    store_i4,
    store_i8,
)
from nearcast_compiling.native import compiled
from nearcast_replica.registers import WORLD, Pad, Tally

_POSTING, _COLD_OFFSET, _ID_LENGTH = WORLD["posting"], WORLD["cold_offset"], WORLD["id_length"]


@compiled
def kth_smallest(values: int, count: int, k: int) -> float:
    """The value that k others (k from 0) come before in order; the values change places."""
    low, high = 0, count - 1
    while low < high:
        pivot = load_f8(values, (low + high) // 2)
        left, right = low, high
        while left <= right:
            while load_f8(values, left) < pivot:
                left += 1
            while load_f8(values, right) > pivot:
                right -= 1
            if left <= right:
                kept = load_f8(values, left)
                store_f8(values, left, load_f8(values, right))
                store_f8(values, right, kept)
                left += 1
                right -= 1
        if k <= right:
            high = right
        elif k >= left:
            low = left
        else:
            break
    return load_f8(values, k)


@compiled
def id_precedes(world: int, pad: int, slot: int, other: int) -> bool:
    """Whether the item id of one slot comes before that of another, by their bytes."""
    cold, size = fixed(pad, Pad.COLD), fixed(pad, Pad.COLD_BYTES)
    offsets, lengths = fixed(world, _COLD_OFFSET), fixed(world, _ID_LENGTH)
    begin, other_begin = load_i8(offsets, slot), load_i8(offsets, other)
    length, other_length = load_u2(lengths, slot), load_u2(lengths, other)
    if begin + length > size or other_begin + other_length > size:
        return slot < other
    for index in range(min(length, other_length)):
        mine, theirs = load_u1(cold, begin + index), load_u1(cold, other_begin + index)
        if mine != theirs:
            return mine < theirs
    return length < other_length


@compiled
def _precedes(world: int, pad: int, score: float, index: int, other: int) -> bool:
    """Whether a score with its index stands before the entry `other` of the heap."""
    theirs = load_f8(fixed(pad, Pad.BEST_SCORE), other)
    if score != theirs:
        return score > theirs
    slots = fixed(pad, Pad.SLOT)
    slot, slot_of_other = load_i4(slots, index), load_i4(slots, load_i4(fixed(pad, Pad.BEST), other))
    if load_i8(pad, Pad.BY_ID):
        return id_precedes(world, pad, slot, slot_of_other)
    postings = fixed(world, _POSTING)
    return load_i8(postings, slot) < load_i8(postings, slot_of_other)


@compiled
def clear_best(pad: int, by_id: bool) -> None:
    """Begin with an empty heap; equal scores go by item id or by posting."""
    store_i8(pad, Pad.BY_ID, 1 if by_id else 0)
    store_i8(fixed(pad, Pad.TALLY), Tally.BEST, 0)


@compiled
def offer(world: int, pad: int, most: int, score: float, index: int) -> None:
    """Put a candidate into the heap, in place of the worst if `most` are in it."""
    tally, root = fixed(pad, Pad.TALLY), fixed(pad, Pad.ROOT)
    count = load_i8(tally, Tally.BEST)
    if count < most:
        _sift_up(world, pad, count, score, index)
        store_i8(tally, Tally.BEST, count + 1)
    elif most > 0 and _precedes(world, pad, score, index, root):
        _sift_down(world, pad, count, score, index)


@compiled
def offer_all(world: int, pad: int, most: int, begin: int, end: int) -> None:
    """Offer a stretch of candidates by their scores; most are seen at once to be worse than all kept."""
    scores, best = fixed(pad, Pad.SCORE), fixed(pad, Pad.BEST_SCORE)
    tally, bound = fixed(pad, Pad.TALLY), -math.inf
    for index in range(begin, end):
        score = load_f8(scores, index)
        if score >= bound:
            offer(world, pad, most, score, index)
            if load_i8(tally, Tally.BEST) == most > 0:
                bound = load_f8(best, 0)


@compiled
def _put(pad: int, spot: int, score: float, index: int) -> None:
    store_f8(fixed(pad, Pad.BEST_SCORE), spot, score)
    store_i4(fixed(pad, Pad.BEST), spot, index)


@compiled
def _lift(pad: int, source: int, target: int) -> None:
    scores, best = fixed(pad, Pad.BEST_SCORE), fixed(pad, Pad.BEST)
    store_f8(scores, target, load_f8(scores, source))
    store_i4(best, target, load_i4(best, source))


@compiled
def _sift_up(world: int, pad: int, spot: int, score: float, index: int) -> None:
    while spot > 0:
        parent = (spot - 1) // 2
        if _precedes(world, pad, score, index, parent):
            break
        _lift(pad, parent, spot)
        spot = parent
    _put(pad, spot, score, index)


@compiled
def _sift_down(world: int, pad: int, count: int, score: float, index: int) -> None:
    """Let a candidate sink from the root, which is free, to where nothing below it is worse."""
    scores, best = fixed(pad, Pad.BEST_SCORE), fixed(pad, Pad.BEST)
    spot = fixed(pad, Pad.ROOT)
    while True:
        child = 2 * spot + 1
        if child >= count:
            break
        if child + 1 < count and _precedes(
            world, pad, load_f8(scores, child), load_i4(best, child), child + 1
        ):
            child += 1
        if not _precedes(world, pad, score, index, child):
            break
        _lift(pad, child, spot)
        spot = child
    _put(pad, spot, score, index)


@compiled
def order_best(world: int, pad: int) -> int:
    """Turn the heap into a list, best first; how many they are."""
    count = load_i8(fixed(pad, Pad.TALLY), Tally.BEST)
    scores, best = fixed(pad, Pad.BEST_SCORE), fixed(pad, Pad.BEST)
    for end in range(count - 1, 0, -1):
        worst_score, worst = load_f8(scores, 0), load_i4(best, 0)
        score, index = load_f8(scores, end), load_i4(best, end)
        _sift_down(world, pad, end, score, index)
        _put(pad, end, worst_score, worst)
    return count
