"""Records of decisions for tests: whatever a gateway may have answered, answered by the rules themselves."""

from dataclasses import replace
from uuid import UUID

import msgspec
import numpy as np

from nearcast_bandit.arranging import Layout
from nearcast_bandit.record import (
    Circumstances,
    DecisionRecord,
    FeedChoice,
    Ordering,
    OrderName,
    Outcome,
    Pool,
)
from nearcast_bandit.redeciding import redecide

REQUEST = UUID("01990000-0000-7000-8000-000000000001")
CHOICE = FeedChoice((("draw", 0.6), ("nearest", 0.4)), 0.25, 0.02, 0.5, resumed=False)
_NOTHING = Outcome("draw", 0.6 * 0.98, explore=False, postings=(), scores=())


def make_pool(size: int, seed: int = 1, kinds: tuple[int, ...] = (2, 3)) -> Pool:
    """Postings in no order, with A and B as evidence leaves them."""
    random = np.random.default_rng(seed)
    return Pool(
        random.permutation(np.arange(1, size + 1)).astype(np.int64) * 7,
        random.uniform(0, 5000, size),
        random.uniform(1.7e9, 1.8e9, size),
        kinds,
        random.gamma(2.0, 3.0, (len(kinds), size)),
        random.gamma(2.0, 30.0, (len(kinds), size)),
    )


def in_groups(pool: Pool) -> Pool:
    """Of three owners and four categories, one of them none."""
    return replace(pool, owners=pool.postings % 3, categories=pool.postings // 7 % 4)


def make_record(
    size: int = 40,
    order: OrderName = "draw",
    *,
    limit: int = 10,
    excluded: tuple[int, ...] = (),
    choice: FeedChoice = CHOICE,
    sharpness: float = 1.0,
    layout: Layout | None = None,
) -> DecisionRecord:
    """Answered as its inputs say."""
    counted = order in ("draw", "most", "explore")
    ordering = Ordering(
        order, (2, 3) if counted else (), (1.0, 5.0) if counted else (), sharpness, 20, 2**64 - 3, limit
    )
    circumstances = Circumstances(
        REQUEST,
        1,
        1.76e9,
        "1.0 rules ab",
        "explain",
        3,
        9,
        "default",
        0,
        5000.0,
        truncated=False,
        eligible=size,
    )
    pool = make_pool(size) if layout is None else in_groups(make_pool(size))
    record = DecisionRecord(circumstances, choice, ordering, excluded, _NOTHING, pool, layout)
    return replace(record, outcome=redecide(record))


def answered_else(record: DecisionRecord, **changed: object) -> DecisionRecord:
    """As if it had been answered otherwise."""
    return replace(record, outcome=msgspec.structs.replace(record.outcome, **changed))
