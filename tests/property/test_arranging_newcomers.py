"""A page told from the best of both sides is the one that comes of looking at everybody."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.arranging import Candidate, Diversity, Layout, SlotKind, arrange
from nearcast_bandit.reserving import Budget, best_of_both
from nearcast_server.arranging import Numbers, Plan, Traits
from nearcast_server.arranging import arrange as arranged

CROWDS = st.lists(
    st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["x", "y"]), st.booleans()), max_size=60
)
DIVERSITIES = st.one_of(
    st.just(Diversity()), st.builds(Diversity, st.integers(0, 3), st.integers(0, 3), st.integers(1, 8))
)
SHARES = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])


class Crowd:
    """Everybody, best first; how deep was looked."""

    def __init__(self, everyone: Sequence[Traits]) -> None:
        self.everyone = everyone
        self.looked_at = 0

    def best(self, count: int) -> Sequence[Traits]:
        scores = -np.arange(len(self.everyone), dtype=np.float64)
        postings = np.array([each.posting for each in self.everyone], np.int64)
        is_new = np.array([each.is_new for each in self.everyone], np.bool)
        self.looked_at = count
        return [self.everyone[index] for index in best_of_both(scores, postings, is_new, count).tolist()]

    def eligible(self, item_ids: Sequence[str]) -> Sequence[Traits | None]:
        by_id = {str(each.posting): each for each in self.everyone}
        return [by_id.get(item_id) for item_id in item_ids]

    def known(self, postings: Sequence[int]) -> Sequence[Traits]:
        return [Traits(posting, "a", "x") for posting in postings]


@settings(max_examples=300)
@given(
    CROWDS,
    DIVERSITIES,
    SHARES,
    SHARES,
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.sets(st.integers(0, 6), max_size=2),
    st.integers(0, 4),
)
def test_what_is_told_from_the_best_is_told_from_all(
    crowd, diversity, one, other, limit, seed, pinned, before
) -> None:
    everyone = [Traits(posting, *traits) for posting, traits in enumerate(crowd, 1)]
    budget = Budget(min(one, other), max(one, other))
    pins = [(slot, str(1 + 7 * place)) for place, slot in enumerate(sorted(pinned))]
    plan = Plan(diversity, pins, tuple(range(900, 900 + before)), budget, 100, 1, seed)
    shown, arrangement = arranged(Crowd(everyone), plan, limit)
    numbers = Numbers(diversity)
    ranked = [numbers.of(each) for each in everyone]
    by_posting = {each.posting: each for each in ranked}
    whole = Layout(
        limit,
        diversity,
        tuple((slot, by_posting[int(name)]) for slot, name in pins if int(name) in by_posting),
        tuple(numbers.of(Traits(posting, "a", "x")) for posting in plan.before),
        budget.slots(seed, 1, limit),
    )
    assert shown == arrange(ranked, whole)
    assert arrangement.new is not None
    assert arrangement.new <= {each.posting for each in everyone if each.is_new}


@given(CROWDS, SHARES, SHARES, st.integers(1, 12), st.integers(0, 2**32))
def test_kept_places_are_held_as_long_as_there_is_anybody_for_them(crowd, one, other, limit, seed) -> None:
    everyone = [Traits(posting, *traits) for posting, traits in enumerate(crowd, 1)]
    plan = Plan(Diversity(), (), (), Budget(min(one, other), max(one, other)), 100, 1, seed)
    looked = Crowd(everyone)
    shown, _ = arranged(looked, plan, limit)
    assert looked.looked_at == limit
    assert len(shown) == min(limit, len(everyone))
    left = {each.posting: each.is_new for each in everyone}
    for posting, kind in zip(shown, plan.slots(limit), strict=False):
        wanted = [each for each, is_new in left.items() if is_new == (kind == SlotKind.NEW)]
        if kind != SlotKind.OPEN and wanted:
            assert left[posting] == (kind == SlotKind.NEW)
        del left[posting]


def test_a_side_that_has_ended_is_not_looked_for() -> None:
    """Nobody is new: that is told from the first look, and everybody else comes in their order."""
    crowd = Crowd([Traits(posting, "", "", False) for posting in range(1, 500)])
    shown, _ = arranged(crowd, Plan(Diversity(), (), (), Budget(0.9, 1.0), 100, 1, 5), 20)
    assert shown == list(range(1, 21))
    assert crowd.looked_at == 20


def test_candidates_are_among_the_best_unless_said_otherwise() -> None:
    assert Candidate(1).is_among_best
