"""Places of a slate: windows hold wherever they can, order is kept, pins stand, and pages go on."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast_bandit.arranging import (
    NOBODY,
    Candidate,
    Diversity,
    Layout,
    SlotKind,
    arrange,
    arranged,
    places,
)

DIVERSITIES = st.builds(Diversity, st.integers(0, 4), st.integers(0, 4), st.integers(1, 9))
KINDS = st.lists(st.sampled_from(SlotKind), max_size=12).map(tuple)


@st.composite
def crowds(draw: st.DrawFn, most: int = 40) -> list[Candidate]:
    """In drawn order, with postings in none."""
    size = draw(st.integers(0, most))
    postings = draw(st.permutations(range(1, size + 1)))
    traits = st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans())
    return [Candidate(posting, *draw(traits)) for posting in postings]


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[Candidate], Layout]:
    """Some of the pinned are among those that were drawn."""
    ranked = draw(crowds())
    others = [Candidate(1000 + number, number % 5, number % 4) for number in range(5)]
    slots = draw(st.lists(st.integers(0, 25), unique=True, max_size=4))
    pinned = draw(st.permutations([*ranked[:10], *others]))[: len(slots)]
    before = tuple(Candidate(-1 - each.posting, *each[1:]) for each in draw(crowds(12)))
    pins = tuple(zip(sorted(slots), pinned, strict=True))
    layout = Layout(draw(st.integers(0, 25)), draw(DIVERSITIES), pins, before, draw(KINDS))
    return ranked, layout


def fits(shown: Sequence[Candidate], diversity: Diversity, candidate: Candidate) -> bool:
    """Whether the window that ends with the candidate would not hold too many like it."""
    window = shown[max(len(shown) - diversity.window + 1, 0) :]
    owners, categories = Counter(each.owner for each in window), Counter(each.category for each in window)
    for most, key, counts in (
        (diversity.most_per_owner, candidate.owner, owners),
        (diversity.most_per_category, candidate.category, categories),
    ):
        if most and key != NOBODY and counts[key] >= min(most, diversity.window):
            return False
    return True


@given(scenes())
def test_pins_stand_at_their_slots_and_nobody_stands_twice(scene: tuple[list[Candidate], Layout]) -> None:
    ranked, layout = scene
    shown = arrange(ranked, layout)
    everyone = {each.posting for each in ranked} | layout.pinned
    assert len(shown) == min(layout.limit, len(everyone))
    assert len(set(shown)) == len(shown)
    assert set(shown) <= everyone
    drawn = len(set(shown) - layout.pinned)
    for slot, pin in layout.pins:
        later = sum(other > slot for other, _ in layout.pins)
        if slot < layout.limit and drawn + len(layout.pins) - later > slot:
            assert shown[slot] == pin.posting
    moved = [posting for posting in shown if posting in layout.pinned]
    assert moved == [pin.posting for _, pin in layout.pins][: len(moved)]


@given(crowds(), DIVERSITIES, st.integers(0, 40))
def test_windows_hold_wherever_somebody_is_left_who_fits(
    ranked: list[Candidate], diversity: Diversity, limit: int
) -> None:
    """Elsewhere each of those left would have been too many, and the best stands."""
    by_posting = {each.posting: each for each in ranked}
    shown = [by_posting[posting] for posting in arrange(ranked, Layout(limit, diversity))]
    for slot, each in enumerate(shown):
        left = [other for other in ranked if other not in shown[:slot]]
        fitting = [other for other in left if fits(shown[:slot], diversity, other)]
        assert each == (fitting or left)[0]


@given(
    st.lists(st.booleans(), max_size=20),
    st.integers(1, 4),
    st.integers(2, 9),
    st.integers(0, 10),
    st.integers(10, 20),
)
def test_windows_hold_around_pins_too(
    owned: list[bool], most: int, window: int, first: int, gap: int
) -> None:
    """Of one owner are two pins far from each other and some of the best; there are enough strangers."""
    ranked = [Candidate(n, 1 if is_one else 10 + n) for n, is_one in enumerate(owned, 1)]
    ranked += [Candidate(n, 10 + n) for n in range(100, 140)]
    pins = ((first, Candidate(1000, 1)), (first + gap, Candidate(1001, 1)))
    shown = arrange(ranked, Layout(32, Diversity(most, 0, window), pins))
    by_posting = {each.posting: each for each in ranked} | {pin.posting: pin for _, pin in pins}
    owners = [by_posting[posting].owner for posting in shown]
    assert [shown.index(1000), shown.index(1001)] == [first, first + gap]
    assert all(owners[begin : begin + window].count(1) <= most for begin in range(32))


@given(crowds(), DIVERSITIES, st.integers(0, 40))
def test_the_items_of_one_owner_and_category_keep_their_order(
    ranked: list[Candidate], diversity: Diversity, limit: int
) -> None:
    rank = {each.posting: place for place, each in enumerate(ranked)}
    for alike in {each[1:3] for each in ranked}:
        own = [each.posting for each in ranked if each[1:3] == alike]
        shown = [posting for posting in arrange(ranked, Layout(limit, diversity)) if posting in own]
        assert shown == own[: len(shown)]
        assert [rank[posting] for posting in shown] == sorted(rank[posting] for posting in shown)


@given(crowds(), DIVERSITIES, st.integers(1, 20), st.integers(1, 20))
def test_two_pages_are_one_longer_page(
    ranked: list[Candidate], diversity: Diversity, first: int, second: int
) -> None:
    whole = arrange(ranked, Layout(first + second, diversity))
    shown = arrange(ranked, Layout(first, diversity))
    by_posting = {each.posting: each for each in ranked}
    before = tuple(by_posting[posting] for posting in shown)[max(len(shown) - diversity.window + 1, 0) :]
    left = [each for each in ranked if each.posting not in shown]
    assert shown + arrange(left, Layout(second, diversity, before=before)) == whole


@given(scenes(), st.integers(0, 40))
def test_the_best_tell_what_all_tell_or_ask_for_more(
    scene: tuple[list[Candidate], Layout], depth: int
) -> None:
    ranked, layout = scene
    told = arranged(ranked[:depth], layout, is_all=depth >= len(ranked))
    assert told == arrange(ranked, layout) or (told is None and depth < len(ranked))


@given(scenes())
def test_slots_are_for_whom_they_are_as_long_as_there_is_one(scene: tuple[list[Candidate], Layout]) -> None:
    ranked, layout = scene
    shown, by_posting = arrange(ranked, layout), {each.posting: each for each in ranked}
    for slot, kind in enumerate(layout.slots[: len(shown)]):
        left = [each for each in ranked if each.posting not in {*shown[:slot], *layout.pinned}]
        wanted = [each for each in left if each.is_new == (kind == SlotKind.NEW)]
        if kind != SlotKind.OPEN and wanted and shown[slot] not in layout.pinned:
            assert by_posting[shown[slot]] in wanted


@given(scenes())
def test_places_are_found_by_index(scene: tuple[list[Candidate], Layout]) -> None:
    ranked, layout = scene
    mixed = sorted({*ranked, *(pin for _, pin in layout.pins)})
    order = [mixed.index(each) for each in ranked]
    found = places(mixed, order, layout)
    assert [mixed[index].posting for index in found] == arrange(ranked, layout)


def test_a_pin_that_is_no_candidate_is_refused() -> None:
    layout = Layout(3, pins=((0, Candidate(9)),))
    with pytest.raises(ValueError, match="posting 9 is pinned"):
        places([Candidate(1)], [0], layout)


def test_without_rules_the_best_stand_in_their_order() -> None:
    ranked = [Candidate(posting, 1, 1) for posting in (5, 3, 9, 1)]
    assert arrange(ranked, Layout(3)) == [5, 3, 9]


@pytest.mark.parametrize("most", [3, 4])
def test_a_number_that_fits_into_a_window_anyway_does_nothing(most: int) -> None:
    assert not Diversity(most_per_owner=most, window=3).is_on
    assert Diversity(most_per_owner=most, window=5).is_on


def test_what_has_no_owner_is_not_restricted() -> None:
    ranked = [Candidate(posting) for posting in range(1, 9)]
    assert arrange(ranked, Layout(8, Diversity(1, 1, 8))) == list(range(1, 9))
