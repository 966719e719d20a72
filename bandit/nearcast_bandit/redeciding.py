"""A decision made again from its record, and where it differs from what was answered."""

import math
from typing import TypeVar

import numpy as np
from msgspec import Struct, structs

from nearcast_bandit.arranging import DEEPEST, Layout, places
from nearcast_bandit.arrays import Booleans, Floats, Integers
from nearcast_bandit.draw import SHAPE_CEILING, SHAPE_FLOOR
from nearcast_bandit.master import FeedShare, choose
from nearcast_bandit.record import DecisionRecord, FeedChoice, Ordering, Outcome, Pool
from nearcast_bandit.reserving import best_of_both
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k, weighted_scores

SAME_SCORE = 1e-9
EXPLORE_FEED = "explore"
Column = TypeVar("Column", Floats, Booleans)
HOLDOUT_FEED = "holdout"


class Difference(Struct, frozen=True):
    """One field that is not as it was answered; `field` names it as users read it."""

    field: str
    answered: object
    replayed: object


def redecide(record: DecisionRecord) -> Outcome:
    """What the same inputs come to now. Raises ValueError for a record without its candidates."""
    if record.pool is None:
        raise ValueError(f"the record holds no candidates: {record.circumstances.gap}")
    feed, propensity, explore = _feed(record.choice, record.outcome)
    competing = _competing(record.pool, record.excluded)
    best, scores = _ordered(record.ordering, competing, record.layout)
    return Outcome(feed, propensity, explore, tuple(best.tolist()), tuple(scores.tolist()))


def differences(answered: Outcome, replayed: Outcome) -> list[Difference]:
    """Field by field. Scores may differ by 1e-9; postings whose scores are that near may change places."""
    found = [
        Difference(name, getattr(answered, name), getattr(replayed, name))
        for name in ("feed", "explore")
        if getattr(answered, name) != getattr(replayed, name)
    ]
    if not same_score(answered.propensity, replayed.propensity):
        found.append(Difference("propensity", answered.propensity, replayed.propensity))
    if len(answered.postings) != len(replayed.postings):
        found.append(Difference("items", len(answered.postings), len(replayed.postings)))
    return found + _of_places(answered, replayed)


def same_score(one: float, other: float) -> bool:
    """Whether two numbers are the same but for rounding."""
    return math.isclose(one, other, rel_tol=SAME_SCORE, abs_tol=SAME_SCORE)


def _of_places(answered: Outcome, replayed: Outcome) -> list[Difference]:
    found, again = [], dict(zip(replayed.postings, replayed.scores, strict=True))
    for rank, (was, score, now) in enumerate(
        zip(answered.postings, answered.scores, replayed.postings, strict=False), 1
    ):
        # A tie: the same postings with the same scores, the one before the other.
        if was != now and not (was in again and same_score(again[was], again[now])):
            found.append(Difference(f"posting at {rank}", was, now))
        elif not same_score(score, again[was]):
            found.append(Difference(f"score at {rank}", score, again[was]))
    return found


def _feed(choice: FeedChoice, answered: Outcome) -> tuple[str, float, bool]:
    """Feed, propensity and whether it was the exploration floor's; a page goes on with what it was given."""
    if choice.resumed:
        return answered.feed, answered.propensity, answered.explore
    if choice.frozen:
        return choice.default_feed, 1.0, False
    if choice.held_out:
        return HOLDOUT_FEED, choice.holdout_share, False
    left = 1 - choice.holdout_share
    if choice.explore_unit < choice.explore_share:
        return EXPLORE_FEED, choice.explore_share * left, True
    chosen = choose([FeedShare(feed, share) for feed, share in choice.shares], choice.unit)
    return chosen.feed, chosen.probability * (1 - choice.explore_share) * left, False


def _competing(pool: Pool, excluded: tuple[int, ...]) -> Pool:
    left = ~np.isin(pool.postings, np.array(excluded, np.int64))
    return pool if left.all() else pool.only(left)


def _ordered(ordering: Ordering, pool: Pool, layout: Layout | None) -> tuple[Integers, Floats]:
    """Postings in their places, with their scores."""
    scores, postings = _scores(ordering, pool), pool.postings
    if pool.factors is not None:
        scores = scores * pool.factors
    limit = ordering.limit if layout is None else DEEPEST
    if ordering.order == "explore":
        best = top_k(scores, postings, ordering.pool_size)
        order = best[shuffle_order(ordering.seed, postings[best])][:limit]
    elif ordering.budget is not None and layout is not None:
        order = best_of_both(scores, postings, _needed(pool.is_new, "word on which were new"), limit)
        slots = ordering.budget.slots(ordering.seed, ordering.first_slot, ordering.limit)
        layout = structs.replace(layout, slots=slots)
    else:
        order = top_k(scores, postings, limit)
    if layout is not None:
        order = np.array(places(pool.candidates, order.tolist(), layout), np.int64)
    return postings[order], scores[order]


def _scores(ordering: Ordering, pool: Pool) -> Floats:
    if ordering.order == "nearest":
        return -_needed(pool.distances_m, "distances")
    if ordering.order == "newest":
        return _needed(pool.born_at, "times of birth")
    if not ordering.kinds:
        return np.zeros(pool.postings.size)
    rows = [pool.kinds.index(kind) for kind in ordering.kinds]
    a, b = pool.a[rows], pool.b[rows]
    if ordering.order != "draw":
        return mean_scores(ordering.weights, a, b)
    a, b = np.clip(a, SHAPE_FLOOR, SHAPE_CEILING), np.clip(b, SHAPE_FLOOR, SHAPE_CEILING)
    return weighted_scores(
        ordering.seed, pool.postings, ordering.kinds, ordering.weights, a, b, ordering.sharpness
    )


def _needed(column: Column | None, what: str) -> Column:
    if column is None:
        raise ValueError(f"the record holds no {what}, by which its items were ordered")
    return column
