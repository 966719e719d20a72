"""From candidates in drawn order to the places of a slate: pins, kinds of slots, and diversity.

Nothing is drawn here: the same candidates in the same order come to the same slate. Each slot goes to the
best that fits; where nobody does the rules give way, as a full slate is worth more than a diverse one.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from msgspec import Struct

NOBODY = 0
# Nobody is looked for beyond so many: whoever comes so late was not chosen by much.
DEEPEST = 1000


class SlotKind(IntEnum):
    """Whom a slot is for."""

    OPEN = 0
    NEW = 1
    KNOWN = 2


class Candidate(NamedTuple):
    """Owner and category are numbers of the caller's; 0 is none, and never too many.

    `is_among_best` is False for one of whom it is not known yet who comes before, but of its own side alone:
    the new ones, or the others.
    """

    posting: int
    owner: int = NOBODY
    category: int = NOBODY
    is_new: bool = False
    is_among_best: bool = True


class Diversity(Struct, frozen=True):
    """In any `window` slots in a row at most so many of one owner, and of one category; 0 = any number."""

    most_per_owner: int = 0
    most_per_category: int = 0
    window: int = 10

    @property
    def by_owner(self) -> bool:
        """Whether owners could be too many."""
        return 0 < self.most_per_owner < self.window

    @property
    def by_category(self) -> bool:
        """Whether categories could be too many."""
        return 0 < self.most_per_category < self.window

    @property
    def is_on(self) -> bool:
        """Whether there is anything it could forbid."""
        return self.by_owner or self.by_category


class Layout(Struct, frozen=True):
    """What a page of `limit` slots has to be like.

    `pins` stand at slots counted from 0, in their order; those beyond the page are kept for a later one.
    `before` are the last of the page before, in their order. `slots` are the kinds of the first ones; the
    others are open.
    """

    limit: int
    diversity: Diversity = Diversity()
    pins: tuple[tuple[int, Candidate], ...] = ()
    before: tuple[Candidate, ...] = ()
    slots: tuple[SlotKind, ...] = ()

    @property
    def pinned(self) -> frozenset[int]:
        """The postings that are not drawn."""
        return frozenset(candidate.posting for _, candidate in self.pins)


def places(candidates: Sequence[Candidate], order: Sequence[int], layout: Layout) -> list[int]:
    """Which of the candidates stand in the slots, by index, when they come in this `order`.

    Raises ValueError for a pin that is none of them.
    """
    index_of = {candidate.posting: index for index, candidate in enumerate(candidates)}
    lost = layout.pinned.difference(index_of)
    if lost:
        raise ValueError(f"posting {min(lost)} is pinned and not among the candidates")
    shown = arrange([candidates[index] for index in order], layout)
    return [index_of[posting] for posting in shown]


def arrange(ranked: Sequence[Candidate], layout: Layout) -> list[int]:
    """The postings of the slots, when `ranked` are all that there are, best first."""
    shown = arranged(ranked, layout, is_all=True)
    assert shown is not None
    return shown


def arranged(
    ranked: Sequence[Candidate],
    layout: Layout,
    *,
    is_all: bool,
    ended: frozenset[SlotKind] = frozenset(),
) -> list[int] | None:
    """The same; None where it takes more candidates than these best ones to tell.

    Of those whom the kinds of slots in `ended` are for, there are no others. Whatever is told from the best
    alone is what is told from all. When candidates run out, pins move up.
    """
    pinned, pins, shown = layout.pinned, dict(layout.pins), []
    line = _Line([candidate for candidate in ranked if candidate.posting not in pinned])
    crowd = _Crowd(layout.diversity, layout.before)
    unsure = _NONE if is_all or not layout.slots else _UNSURE
    for slot in range(layout.limit):
        chosen = pins.pop(slot, None)
        if chosen is None:
            kind, crowded = _kind(layout, slot), crowd.full_at(slot, pins)
            wrong = unsure if kind is SlotKind.OPEN else _WRONG[kind]
            chosen = line.take(wrong | crowded if wrong else crowded)
            if chosen is None and not is_all:
                if kind in ended:
                    chosen = line.take(wrong) or line.take(unsure | crowded)
                if chosen is None:
                    return None
            chosen = chosen or line.take(wrong) or line.take(crowded) or line.take(_NONE)
            if chosen is None and pins:
                chosen = pins.pop(min(pins))
            if chosen is None:
                break
        crowd.add(chosen)
        shown.append(chosen.posting)
    return shown


# A trait is a number: one of its lowest two bits says of what, the others who.
_OWNER, _CATEGORY, _AGE, _PLACE = 0, 1, 2, 3
_NONE: frozenset[int] = frozenset()
_UNSURE = frozenset({4 + _PLACE})
_KNOWN, _NEW = frozenset({_AGE}), frozenset({4 + _AGE})
_WRONG = {SlotKind.NEW: _KNOWN, SlotKind.KNOWN: _NEW}


def _traits(candidate: Candidate) -> tuple[int, int, int, int]:
    return (
        candidate.owner << 2 | _OWNER,
        candidate.category << 2 | _CATEGORY,
        candidate.is_new << 2 | _AGE,
        (not candidate.is_among_best) << 2 | _PLACE,
    )


def _kind(layout: Layout, slot: int) -> SlotKind:
    return layout.slots[slot] if slot < len(layout.slots) else SlotKind.OPEN


class _Line:
    """Candidates in drawn order. Who is passed over waits, with others who were so for the same trait."""

    def __init__(self, ranked: Sequence[Candidate]) -> None:
        self._ranked = ranked
        self._next = 0
        self._waiting: dict[int, list[int]] = {}

    def take(self, barred: AbstractSet[int]) -> Candidate | None:
        """The best that has no barred trait, who is in the line no longer."""
        while (trait := self._first_waiting(barred)) is not None:
            place = heappop(self._waiting[trait])
            if self._is_free(place, barred):
                return self._ranked[place]
        while self._next < len(self._ranked):
            self._next += 1
            if self._is_free(self._next - 1, barred):
                return self._ranked[self._next - 1]
        return None

    def _first_waiting(self, barred: AbstractSet[int]) -> int | None:
        """For which trait the first of those waits who wait for none that is barred."""
        first, found = len(self._ranked), None
        for trait, places in self._waiting.items():
            if places and places[0] < first and trait not in barred:
                first, found = places[0], trait
        return found

    def _is_free(self, place: int, barred: AbstractSet[int]) -> bool:
        """Whether nothing about it is barred; otherwise it waits."""
        if barred:
            for trait in _traits(self._ranked[place]):
                if trait in barred:
                    heappush(self._waiting.setdefault(trait, []), place)
                    return False
        return True


class _Crowd:
    """Of what there are how many in the slots before the next one, as far as a window reaches."""

    def __init__(self, diversity: Diversity, before: Sequence[Candidate]) -> None:
        most = (diversity.most_per_owner, diversity.most_per_category)
        self._rules = [(part, number) for part, number in enumerate(most) if number]
        self._reach = diversity.window - 1 if diversity.is_on else 0
        self._shown: deque[tuple[int, ...]] = deque()
        self._counts: Counter[int] = Counter()
        self._full: set[int] = set()
        for candidate in before:
            self.add(candidate)

    def add(self, candidate: Candidate) -> None:
        """It stands at the slot that was next."""
        if not self._reach:
            return
        traits, counts = _traits(candidate), self._counts
        self._shown.append(traits)
        for part, most in self._rules:
            counts[traits[part]] += 1
            if counts[traits[part]] >= most and traits[part] != part:
                self._full.add(traits[part])
        if len(self._shown) > self._reach:
            gone = self._shown.popleft()
            for part, most in self._rules:
                counts[gone[part]] -= 1
                if counts[gone[part]] < most:
                    self._full.discard(gone[part])

    def full_at(self, slot: int, pins: Mapping[int, Candidate]) -> AbstractSet[int]:
        """The traits of which one more would be too many there, with the pins that follow."""
        last = max((pin for pin in pins if pin - slot <= self._reach), default=slot) if pins else slot
        if last == slot:
            return self._full
        full, shown = set(self._full), list(self._shown)
        ahead = [_traits(pins.get(later, _GAP)) for later in range(slot + 1, last + 1)]
        for beyond in range(1, len(ahead) + 1):
            window = [*shown[max(len(shown) - self._reach + beyond, 0) :], *ahead[:beyond]]
            for part, most in self._rules:
                counts = Counter(each[part] for each in window)
                full.update(trait for trait, count in counts.items() if count >= most and trait != part)
        return full


_GAP = Candidate(-1)
