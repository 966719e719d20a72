"""The places of a page, given to what was found: as many of the best are asked for as it takes to tell."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from nearcast_bandit.arranging import (
    DEEPEST,
    NOBODY,
    Candidate,
    Diversity,
    Layout,
    SlotKind,
    arranged,
)
from nearcast_bandit.record import Pool
from nearcast_bandit.reserving import Budget

# A page asks for so many times its length at first, and each time it was too few for so many times as many.
_FIRST_LOOK = 3
_DEEPER = 4


class Plan(NamedTuple):
    """What the policy wants of one page: pins by slot from 0, and who stood last on the page before.

    With a `budget` an item is new below `new_until` impressions; the page begins at `first_slot`, from 1.
    """

    diversity: Diversity
    pins: Sequence[tuple[int, str]]
    before: Sequence[int]
    budget: Budget | None = None
    new_until: int = 0
    first_slot: int = 1
    seed: int = 0

    def slots(self, limit: int) -> tuple[SlotKind, ...]:
        """Whom the page's slots are for; nothing where all are open."""
        return () if self.budget is None else self.budget.slots(self.seed, self.first_slot, limit)


class Traits(NamedTuple):
    """What the rules go by."""

    posting: int
    owner: str
    category: str
    is_new: bool = False


class Ranks(Protocol):
    """Everything that competes for one page, best first, as far as it was asked for."""

    def best(self, count: int) -> Sequence[Traits]:
        """The best, at most so many; with a budget so many of the new ones and so many of the others."""
        ...

    def eligible(self, item_ids: Sequence[str]) -> Sequence[Traits | None]:
        """Each of these items where it competes; asked after the best."""
        ...

    def known(self, postings: Sequence[int]) -> Sequence[Traits]:
        """Those of them that are still there, whether or not they compete."""
        ...


class Numbers:
    """Owners and categories by number, in the order they are met; what no rule goes by is nobody's."""

    def __init__(self, diversity: Diversity) -> None:
        self._owners = {"": NOBODY} if diversity.by_owner else None
        self._categories = {"": NOBODY} if diversity.by_category else None

    def of(self, traits: Traits) -> Candidate:
        """As places are given to it."""
        owners, categories = self._owners, self._categories
        return Candidate(
            traits.posting,
            NOBODY if owners is None else owners.setdefault(traits.owner, len(owners)),
            NOBODY if categories is None else categories.setdefault(traits.category, len(categories)),
            traits.is_new,
        )

    def told(self, pool: Pool, traits: Sequence[Traits]) -> Pool:
        """The pool with what the rules go by; `traits` are in its order."""
        everyone = list(map(self.of, traits))
        owners, categories = self._owners, self._categories
        return replace(
            pool,
            owners=None if owners is None else np.array([each.owner for each in everyone], np.int64),
            categories=(
                None if categories is None else np.array([each.category for each in everyone], np.int64)
            ),
        )


class Arrangement(NamedTuple):
    """How the places came about: `best` are the postings that were drawn first, as far as was looked.

    `new` are those that count as new, None without a budget.
    """

    layout: Layout
    best: Sequence[int]
    numbers: Numbers
    new: frozenset[int] | None = None

    def rank_of(self, posting: int) -> int:
        """Which of the best it is, from 1; 0 for none of them."""
        return self.best.index(posting) + 1 if posting in self.best else 0


def arrange(ranks: Ranks, plan: Plan, limit: int) -> tuple[list[int], Arrangement]:
    """The postings of a page, and what they rest on."""
    numbers = Numbers(plan.diversity)
    depth = limit * (_FIRST_LOOK if plan.diversity.is_on else 1) + len(plan.pins)
    best = ranks.best(depth)
    pins, before = _pins(ranks, plan, numbers), map(numbers.of, ranks.known(plan.before))
    layout = Layout(limit, plan.diversity, pins, tuple(before), plan.slots(limit))
    while True:
        ended = _ended(best, depth, plan)
        is_all = SlotKind.OPEN in ended or depth >= DEEPEST
        ranked = [numbers.of(traits) for traits in best]
        if plan.budget is not None and not is_all:
            ranked = _marked(ranked, ended)
        shown = arranged(ranked, layout, is_all=is_all, ended=ended)
        if shown is not None:
            new = frozenset(_new(ranked, layout)) if plan.budget is not None else None
            drawn = [each.posting for each in ranked if each.is_among_best]
            return shown, Arrangement(layout, drawn, numbers, new)
        depth = min(_DEEPER * depth, DEEPEST)
        best = ranks.best(depth)


def _ended(best: Sequence[Traits], depth: int, plan: Plan) -> frozenset[SlotKind]:
    """The kinds of slots for which nobody is left beyond the best."""
    if plan.budget is None:
        return frozenset(SlotKind) if len(best) < depth else frozenset()
    new = sum(traits.is_new for traits in best)
    sides = {SlotKind.NEW: new, SlotKind.KNOWN: len(best) - new}
    ended = {kind for kind, count in sides.items() if count < depth}
    return frozenset(SlotKind) if len(ended) == len(sides) else frozenset(ended)


def _marked(ranked: Sequence[Candidate], ended: frozenset[SlotKind]) -> list[Candidate]:
    """Behind the last of a side that goes on somebody else of it may come first."""
    last = len(ranked)
    for kind in (SlotKind.NEW, SlotKind.KNOWN):
        if kind not in ended:
            side = [index for index, each in enumerate(ranked) if each.is_new == (kind == SlotKind.NEW)]
            last = min(last, side[-1])
    return [
        each if index <= last else each._replace(is_among_best=False) for index, each in enumerate(ranked)
    ]


def _new(ranked: Sequence[Candidate], layout: Layout) -> Iterator[int]:
    for candidate in (*ranked, *(pinned for _, pinned in layout.pins)):
        if candidate.is_new:
            yield candidate.posting


def _pins(ranks: Ranks, plan: Plan, numbers: Numbers) -> tuple[tuple[int, Candidate], ...]:
    if not plan.pins:
        return ()
    found = ranks.eligible([item_id for _, item_id in plan.pins])
    return tuple(
        (slot, numbers.of(traits))
        for (slot, _), traits in zip(plan.pins, found, strict=True)
        if traits is not None
    )
