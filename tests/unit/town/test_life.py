import numpy as np
import pytest

from nearcast_town.backend import Person, Slate, SlateItem, TownEvent
from nearcast_town.constants import STANDARD
from nearcast_town.life import Act, Diary, Townsfolk
from nearcast_town.world import Rates

ANN = Person("user-0001", registered=True)
SLATE = Slate(tuple(SlateItem(f"item-{rank}", rank, f"token-{rank}") for rank in range(1, 21)), "draw")
HOUR_S = 3600.0


def looks(count, rates=lambda item_id: Rates(0.3, 0.5, 0.5)):
    townsfolk = Townsfolk(1, STANDARD, rates)
    return [townsfolk.look(SLATE, ANN, 0.0) for _ in range(count)]


def acts_of(kind, all_looks):
    return [act for look in all_looks for act in look.acts if act.event.kind == kind]


def test_position_r_comes_on_screen_with_probability_one_in_r():
    """40,000 slates: five standard errors are below 0.0125."""
    seen = [event.token for look in looks(40_000) for event in look.impressions]

    for rank in range(1, 21):
        assert seen.count(f"token-{rank}") / 40_000 == pytest.approx(1 / rank, abs=0.0125)


def test_only_what_came_on_screen_is_acted_on():
    for look in looks(2000):
        on_screen = {event.token for event in look.impressions}
        assert {act.event.token for act in look.acts} <= on_screen


def test_a_view_comes_with_the_hidden_rate_of_the_item_and_the_rest_only_after_it():
    """About 144,000 looks at an item: five standard errors are below 0.007."""
    everything = looks(40_000)
    impressions = sum(len(look.impressions) for look in everything)
    views, saves, applies = (acts_of(kind, everything) for kind in ("view", "save", "apply"))

    assert len(views) == sum(look.views for look in everything)
    assert len(views) / impressions == pytest.approx(0.3, abs=0.007)
    assert len(saves) / len(views) == pytest.approx(0.5, abs=0.013)
    assert len(applies) / len(views) == pytest.approx(0.5, abs=0.013)
    for look in everything[:2000]:
        viewed = {act.event.token for act in look.acts if act.event.kind == "view"}
        assert {act.event.token for act in look.acts} == viewed


def test_an_item_without_rates_is_seen_and_never_acted_on():
    for look in looks(100, lambda item_id: Rates(0.0, 1.0, 1.0)):
        assert look.impressions
        assert not look.acts


@pytest.mark.parametrize(("kind", "mean_s"), [("view", 5.0), ("save", HOUR_S), ("apply", 6 * HOUR_S)])
def test_delays_are_exponential_with_the_stated_mean(kind, mean_s):
    """At least 20,000 delays: five standard errors are 3.5 % of the mean."""
    delays_s = np.array([act.due_s for act in acts_of(kind, looks(40_000))])

    assert delays_s.mean() == pytest.approx(mean_s, rel=0.035)
    assert np.mean(delays_s > mean_s) == pytest.approx(np.exp(-1), abs=0.02)


def test_the_same_seed_lives_the_same_life():
    assert looks(200) == looks(200)


def test_an_empty_slate_leads_to_nothing():
    look = Townsfolk(1, STANDARD, lambda item_id: Rates(1.0, 1.0, 1.0)).look(Slate((), "draw"), ANN, 0.0)

    assert (look.impressions, look.acts, look.views) == ((), (), 0)


def test_a_diary_hands_out_what_is_due_once_and_earliest_first():
    diary = Diary()
    events = {due_s: TownEvent("view", str(due_s), ANN) for due_s in (30.0, 10.0, 20.0)}
    diary.note(tuple(Act(due_s, event) for due_s, event in events.items()))

    assert diary.due(9.9) == []
    assert diary.due(20.0) == [events[10.0], events[20.0]]
    assert len(diary) == 1
    assert diary.due(1000.0) == [events[30.0]]
    assert diary.due(1000.0) == []
