"""Machine code from what was gathered to the answer: the right rung, a score for each, the best in order."""

import math

import numpy as np

from nearcast_bandit.lanes import LANES, Lane, draw_block
from nearcast_bandit.native import first_word, sharpened, stream_key, stream_root
from nearcast_bandit.scoring import SHUFFLE_KIND
from nearcast_compiling.memory import (
    fixed,
    fixed_f8,
    float_of,
    load_f8,
    load_i4,
    load_i8,
    load_u1,
    load_u8,
    store_f8,
    store_i4,
    store_i8,
    store_u8,
)
from nearcast_compiling.native import compiled, compiled_entry
from nearcast_replica.gathering import TOO_FULL, drop_beyond, gather, move, surely_farther
from nearcast_replica.judging import FREE, left_out_spot, perhaps_within, row_distance_m
from nearcast_replica.multiplying import multiply
from nearcast_replica.query import Mode
from nearcast_replica.registers import (
    WORLD,
    WORLD_SLOTS,
    WORLD_SORTED_ROWS,
    Answer,
    Ask,
    Fact,
    Pad,
    Tally,
)
from nearcast_replica.selecting import clear_best, kth_smallest, offer, offer_all, order_best

_POSTING, _BORN_AT, _STATS, _FLAGS = WORLD["posting"], WORLD["born_at"], WORLD["stats"], WORLD["flags"]
_ROW_PLACE = WORLD["row_place"]
_HIGH_SHIFT = np.uint64(32)

# The modes, as numbers that compiled code compares quickly.
_DRAW, _NEAREST, _LISTED, _NEWEST = int(Mode.DRAW), int(Mode.NEAREST), int(Mode.LISTED), int(Mode.NEWEST)
_EXPLORE = int(Mode.EXPLORE)


@compiled_entry
def decide(world: int, ask: int, facts: int, pad: int) -> int:
    """Answer one question in two passes at most; how many are chosen, below 0 if the pad is too small."""
    tally = fixed(pad, Pad.TALLY)
    for kind in range(fixed(ask, Ask.KINDS)):
        number = fixed(ask, Ask.FIRST_KIND + 2 * kind + 1)
        store_u8(fixed(pad, Pad.ROOTS), kind, stream_root(load_u8(ask, Ask.SEED), number))
    _leave_out(ask, pad)
    store_i8(pad, Pad.LAST_RUNG, 0)
    store_i8(pad, Pad.KEEPS_ALL, 0)
    last = gather(world, ask, facts, pad)
    store_i8(tally, Tally.TRUNCATED, 0)
    if last >= 0:
        _forget_replaced(world, pad)
    rungs = fixed(ask, Ask.RUNGS)
    if last != 0 or (load_i8(tally, Tally.ELIGIBLE) < fixed(ask, Ask.ENOUGH) and rungs > 1):
        store_i8(pad, Pad.LAST_RUNG, 0 if last != 0 else rungs - 1)
        store_i8(pad, Pad.KEEPS_ALL, 1)
        last = gather(world, ask, facts, pad)
        if last == TOO_FULL:
            return TOO_FULL
        _forget_replaced(world, pad)
        last = _answering_rung(ask, pad, last)
        _keep_eligible(world, ask, facts, pad, last)
    store_i8(tally, Tally.LAST, last)
    return _choose(world, ask, facts, pad)


@compiled
def _leave_out(ask: int, pad: int) -> None:
    count = fixed(ask, Ask.LEFT_OUT_COUNT)
    if count == 0:
        return
    table, given = fixed(pad, Pad.LEFT_OUT), fixed(pad, Pad.GIVEN)
    for spot in range(fixed(pad, Pad.LEFT_OUT_CAPACITY)):
        store_i8(table, spot, FREE)
    for index in range(count):
        posting = load_i8(given, index)
        store_i8(table, left_out_spot(pad, posting), posting)


@compiled
def _forget_replaced(world: int, pad: int) -> None:
    """An item that moved while it was looked for may be held twice: the later slot counts."""
    tally = fixed(pad, Pad.TALLY)
    replacing = load_i8(tally, Tally.REPLACING)
    if replacing == 0:
        return
    slots, rows, postings = fixed(pad, Pad.SLOT), fixed(pad, Pad.ROW), fixed(world, _POSTING)
    oks, rungs, kept = fixed(pad, Pad.OK), fixed(pad, Pad.RUNG), 0
    held, first_tail = load_i8(tally, Tally.HELD), fixed(world, WORLD_SORTED_ROWS)
    for index in range(held):
        slot, is_last = load_i4(slots, index), True
        # What the tail holds has come last: only there can a later slot be.
        other = held - 1
        while other > index and is_last and load_i4(rows, other) >= first_tail:
            later = load_i4(slots, other)
            is_last = later <= slot or load_i8(postings, later) != load_i8(postings, slot)
            other -= 1
        if is_last:
            move(pad, index, kept)
            kept += 1
        else:
            for rung in range(load_u1(rungs, index), Tally.ELIGIBLE):
                store_i8(tally, Tally.ALL + rung, load_i8(tally, Tally.ALL + rung) - 1)
                ok = load_u1(oks, index)
                store_i8(tally, Tally.ELIGIBLE + rung, load_i8(tally, Tally.ELIGIBLE + rung) - ok)
    store_i8(tally, Tally.HELD, kept)


@compiled
def _answering_rung(ask: int, pad: int, last: int) -> int:
    tally = fixed(pad, Pad.TALLY)
    for rung in range(last):
        if load_i8(tally, Tally.ELIGIBLE + rung) >= fixed(ask, Ask.ENOUGH):
            return rung
        if load_i8(tally, Tally.ALL + rung) > fixed(ask, Ask.MOST):
            return rung
    return last


@compiled
def _keep_eligible(world: int, ask: int, facts: int, pad: int, last: int) -> None:
    """Of the items of the answer's rung keep the nearest `most`, of these the eligible ones."""
    tally, most = fixed(pad, Pad.TALLY), fixed(ask, Ask.MOST)
    drop_beyond(pad, last, math.inf)
    if load_i8(tally, Tally.HELD) > most:
        store_i8(tally, Tally.TRUNCATED, 1)
        _keep_nearest(world, facts, pad, most)
    kept, oks = 0, fixed(pad, Pad.OK)
    for index in range(load_i8(tally, Tally.HELD)):
        if load_u1(oks, index) != 0:
            move(pad, index, kept)
            kept += 1
    store_i8(tally, Tally.HELD, kept)


@compiled
def _keep_nearest(world: int, facts: int, pad: int, most: int) -> None:
    """Measure exactly only those of whom 32 bits cannot tell on which side they are."""
    tally, keys, chords = fixed(pad, Pad.TALLY), fixed(pad, Pad.KEY), fixed(pad, Pad.CHORD2)
    held = load_i8(tally, Tally.HELD)
    for index in range(held):
        store_f8(keys, index, load_f8(chords, index))
    edge = kth_smallest(keys, held, most - 1)
    outer, sure = surely_farther(edge), 0
    root = math.sqrt(edge) - 4e-7
    inner = root * root if root > 0.0 else -1.0
    for index in range(held):
        if load_f8(chords, index) < inner:
            sure += 1
    rows, best = fixed(pad, Pad.ROW), fixed(pad, Pad.BEST)
    clear_best(pad, True)
    for index in range(held):
        if inner <= load_f8(chords, index) <= outer:
            distance = row_distance_m(world, facts, load_i4(rows, index))
            offer(world, pad, most - sure, -distance, index)
    # A squared chord below zero marks who stays.
    for spot in range(load_i8(tally, Tally.BEST)):
        store_f8(chords, load_i4(best, spot), -1.0)
    kept = 0
    for index in range(held):
        if load_f8(chords, index) < max(inner, 0.0):
            move(pad, index, kept)
            kept += 1
    store_i8(tally, Tally.HELD, kept)


@compiled
def _choose(world: int, ask: int, facts: int, pad: int) -> int:
    if fixed(ask, Ask.NEW_UNTIL) > 0:
        return _choose_apart(world, ask, facts, pad)
    mode, limit = fixed(ask, Ask.MODE), fixed(ask, Ask.LIMIT)
    held, first = load_i8(fixed(pad, Pad.TALLY), Tally.HELD), fixed(pad, Pad.ROOT)
    if mode not in (_NEAREST, _LISTED):
        _score(world, ask, facts, pad, mode, held)
    found = _best_of(
        world, facts, pad, mode, fixed(ask, Ask.POOL) if mode == _EXPLORE else limit, first, held
    )
    if mode == _EXPLORE:
        _shuffle(world, ask, pad, found)
        found = min(found, limit)
    _write(world, facts, pad, first, found)
    return found


@compiled
def _choose_apart(world: int, ask: int, facts: int, pad: int) -> int:
    """The best new items, and behind them the best of the others: a slate is made of both."""
    mode, limit, tally = fixed(ask, Ask.MODE), fixed(ask, Ask.LIMIT), fixed(pad, Pad.TALLY)
    held, first = load_i8(tally, Tally.HELD), fixed(pad, Pad.ROOT)
    newcomers = _newcomers_first(world, ask, pad, held)
    if mode != _NEAREST:
        _score(world, ask, facts, pad, mode, held)
    fresh = _best_of(world, facts, pad, mode, limit, first, newcomers)
    _write(world, facts, pad, first, fresh)
    store_i8(tally, Tally.NEWCOMERS, fresh)
    known = _best_of(world, facts, pad, mode, limit, newcomers, held)
    _write(world, facts, pad, fresh, known)
    return fresh + known


@compiled
def _newcomers_first(world: int, ask: int, pad: int, held: int) -> int:
    """Put those with few impressions before the others; how many they are."""
    slots, until = fixed(pad, Pad.SLOT), load_u8(ask, Ask.NEW_UNTIL)
    impressions = fixed(world, _STATS) + 8 * fixed(ask, Ask.IMPRESSIONS) * fixed(world, WORLD_SLOTS)
    count = fixed(pad, Pad.ROOT)
    for index in range(held):
        if load_u8(impressions, load_i4(slots, index)) < until:
            # Behind what is held there is always room for one.
            move(pad, count, held)
            move(pad, index, count)
            move(pad, held, index)
            count += 1
    return count


@compiled
def _best_of(world: int, facts: int, pad: int, mode: int, most: int, begin: int, end: int) -> int:
    """The best of a stretch of candidates in their order; how many they are."""
    clear_best(pad, mode == _LISTED)
    if mode in (_NEAREST, _LISTED):
        _choose_nearest(world, facts, pad, most, begin, end)
    else:
        offer_all(world, pad, most, begin, end)
    return order_best(world, pad)


@compiled
def _choose_nearest(world: int, facts: int, pad: int, limit: int, begin: int, end: int) -> None:
    """Whoever is farther than the worst kept for certain is not measured exactly."""
    rows, chords, scores = fixed(pad, Pad.ROW), fixed(pad, Pad.CHORD2), fixed(pad, Pad.BEST_SCORE)
    tally, worst, bound = fixed(pad, Pad.TALLY), -math.inf, math.inf
    for index in range(begin, end):
        # Those kept in a cut at `most` may carry a mark below zero, and are measured.
        if load_f8(chords, index) <= bound:
            offer(world, pad, limit, -row_distance_m(world, facts, load_i4(rows, index)), index)
            if load_i8(tally, Tally.BEST) == limit and load_f8(scores, 0) != worst:
                worst = load_f8(scores, 0)
                bound = perhaps_within(-worst)


@compiled
def _score(world: int, ask: int, facts: int, pad: int, mode: int, held: int) -> None:
    slots, scores, births = fixed(pad, Pad.SLOT), fixed(pad, Pad.SCORE), fixed(world, _BORN_AT)
    if mode == _NEWEST:
        for index in range(held):
            store_f8(scores, index, load_f8(births, load_i4(slots, index)))
        return
    for index in range(held):
        store_f8(scores, index, 0.0)
    for begin in range(0, held, LANES):
        count = min(LANES, held - begin)
        for kind in range(fixed(ask, Ask.KINDS)):
            _add_kind(world, ask, facts, pad, kind, begin, count)
    if fixed(ask, Ask.SCALE) != 0:
        multiply(world, fixed(ask, Ask.SCALE), facts, pad, held)


@compiled
def _add_kind(world: int, ask: int, facts: int, pad: int, kind: int, begin: int, count: int) -> None:
    """Add the weighted rates of one kind to the scores of a block: drawn, or else their means."""
    lanes, scores = fixed(pad, Pad.LANES), fixed(pad, Pad.SCORE) + 8 * begin
    _read_shapes(world, ask, facts, pad, kind, begin, count)
    if fixed(ask, Ask.MODE) == _DRAW:
        draw_block(lanes, count, load_u8(fixed(pad, Pad.ROOTS), kind))
    else:
        for index in range(count):
            a, b = load_f8(lanes, Lane.A + index), load_f8(lanes, Lane.B + index)
            store_f8(lanes, Lane.DRAW + index, a / (a + b))
    weight = fixed_f8(facts, Fact.FIRST_WEIGHT + 3 * kind)
    for index in range(count):
        store_f8(scores, index, load_f8(scores, index) + load_f8(lanes, Lane.DRAW + index) * weight)


@compiled
def _read_shapes(world: int, ask: int, facts: int, pad: int, kind: int, begin: int, count: int) -> None:
    """Put the postings of a block, and their A and B, where draws are made."""
    lanes, slots, postings = fixed(pad, Pad.LANES), fixed(pad, Pad.SLOT), fixed(world, _POSTING)
    row = fixed(ask, Ask.FIRST_KIND + 2 * kind)
    stats = fixed(world, _STATS) + 8 * row * fixed(world, WORLD_SLOTS)
    known, draws = Fact.FIRST_WEIGHT + 3 * kind, fixed(ask, Ask.MODE) == _DRAW
    prior_a, prior_b = fixed_f8(facts, known + 1), fixed_f8(facts, known + 2)
    sharpness = fixed_f8(facts, Fact.SHARPNESS)
    for index in range(count):
        slot = load_i4(slots, begin + index)
        word = load_u8(stats, slot)
        a = float_of(word) if word != 0 else prior_a
        b = float_of(word >> _HIGH_SHIFT) if word != 0 else prior_b
        store_i8(lanes, Lane.POSTING + index, load_i8(postings, slot))
        store_f8(lanes, Lane.A + index, sharpened(a, sharpness) if draws else a)
        store_f8(lanes, Lane.B + index, sharpened(b, sharpness) if draws else b)


@compiled
def _shuffle(world: int, ask: int, pad: int, count: int) -> None:
    """Order the best by the first word of their streams, equal ones by posting: an even shuffle."""
    best, scores, keys = fixed(pad, Pad.BEST), fixed(pad, Pad.BEST_SCORE), fixed(pad, Pad.KEY)
    slots, postings = fixed(pad, Pad.SLOT), fixed(world, _POSTING)
    root = stream_root(load_u8(ask, Ask.SEED), SHUFFLE_KIND)
    for spot in range(count):
        index, score = load_i4(best, spot), load_f8(scores, spot)
        posting = load_i8(postings, load_i4(slots, index))
        word = first_word(stream_key(root, posting))
        at = spot
        while at > 0:
            before = load_i8(postings, load_i4(slots, load_i4(best, at - 1)))
            held = load_u8(keys, at - 1)
            if held < word or (held == word and before < posting):
                break
            store_i4(best, at, load_i4(best, at - 1))
            store_f8(scores, at, load_f8(scores, at - 1))
            store_u8(keys, at, load_u8(keys, at - 1))
            at -= 1
        store_i4(best, at, index)
        store_f8(scores, at, score)
        store_u8(keys, at, word)


@compiled
def _write(world: int, facts: int, pad: int, begin: int, count: int) -> None:
    """The best that were ordered last, from a place of the answer on."""
    best, slots, rows = fixed(pad, Pad.BEST), fixed(pad, Pad.SLOT), fixed(pad, Pad.ROW)
    answer, stride = fixed(pad, Pad.ANSWER) + 8 * begin, fixed(pad, Pad.CAPACITY)
    for spot in range(count):
        index = load_i4(best, spot)
        slot, row = load_i4(slots, index), load_i4(rows, index)
        store_i8(answer, Answer.SLOT * stride + spot, slot)
        store_i8(answer, Answer.POSTING * stride + spot, load_i8(fixed(world, _POSTING), slot))
        store_i8(answer, Answer.PLACE * stride + spot, load_u1(fixed(world, _ROW_PLACE), row))
        store_f8(answer, Answer.DISTANCE * stride + spot, row_distance_m(world, facts, row))
        store_f8(answer, Answer.SCORE * stride + spot, load_f8(fixed(pad, Pad.BEST_SCORE), spot))
