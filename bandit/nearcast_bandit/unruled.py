"""A logged decision as it would have been without rules: what each rule that gives places has moved.

A rule has moved an item where the item would stand elsewhere, were the rule alone taken away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from nearcast_bandit.arranging import Diversity
from nearcast_bandit.record import DecisionRecord
from nearcast_bandit.redeciding import redecide

PlaceRule = Literal["pins", "diversity", "newcomers"]


@dataclass(frozen=True, slots=True)
class Move:
    """Where an item would stand without the rule, from 1; 0 for not in the answer."""

    rule: PlaceRule
    rank_without: int


@dataclass(frozen=True, slots=True)
class Unruled:
    """By posting: scores and drawn ranks of all that competed, and ranks where one rule is taken away.

    Of a shuffle only the best were drawn: the others have no rank.
    """

    ranks: Mapping[int, int]
    scores: Mapping[int, float]
    without: Mapping[PlaceRule, Mapping[int, int]]

    def moves(self, posting: int, rank: int) -> tuple[Move, ...]:
        """By which rules an item came to this rank, 0 for none."""
        found = [Move(rule, ranks.get(posting, 0)) for rule, ranks in self.without.items()]
        return tuple(move for move in found if move.rank_without != rank)


def unruled(record: DecisionRecord) -> Unruled:
    """Raises ValueError for a record without its candidates, or without what its order goes by."""
    count = 0 if record.pool is None else record.pool.postings.size
    free = msgspec.structs.replace(record.ordering, budget=None, limit=count)
    drawn = redecide(replace(record, ordering=free, layout=None))
    scored = drawn
    if free.order == "explore":
        whole = msgspec.structs.replace(free, pool_size=count)
        scored = redecide(replace(record, ordering=whole, layout=None))
    return Unruled(
        _ranks(drawn.postings),
        dict(zip(scored.postings, scored.scores, strict=True)),
        {rule: _ranks(redecide(each).postings) for rule, each in _variants(record).items()},
    )


def _variants(record: DecisionRecord) -> dict[PlaceRule, DecisionRecord]:
    """The record without each rule that there was."""
    layout, found = record.layout, dict[PlaceRule, DecisionRecord]()
    if layout is None:
        return found
    if layout.pins:
        found["pins"] = replace(record, layout=msgspec.structs.replace(layout, pins=()))
    if layout.diversity.is_on:
        found["diversity"] = replace(record, layout=msgspec.structs.replace(layout, diversity=Diversity()))
    if record.ordering.budget is not None or layout.slots:
        found["newcomers"] = replace(
            record,
            ordering=msgspec.structs.replace(record.ordering, budget=None),
            layout=msgspec.structs.replace(layout, slots=()),
        )
    return found


def _ranks(postings: tuple[int, ...]) -> dict[int, int]:
    return {posting: rank for rank, posting in enumerate(postings, 1)}
