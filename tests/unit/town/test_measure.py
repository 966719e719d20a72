import math
from dataclasses import replace

import pytest
from scipy import stats

from nearcast_town.backend import Person, TownEvent
from nearcast_town.life import Look
from nearcast_town.measure import Meter, Window, beats_random, total
from nearcast_town.truth import Stakes

STAKES = Stakes(candidates=80, oracle=1.0, random=0.4, random_variance=0.5)


def look(impressions, views):
    ann = Person("user-0001", registered=True)
    return Look(tuple(TownEvent("impression", f"{n}", ann) for n in range(impressions)), (), views)


def test_the_gap_closed_is_the_share_of_what_there_was_to_win():
    window = Window(policy=0.7, random=0.4, oracle=1.0)

    assert window.gap_closed == pytest.approx(0.5)


def test_where_nothing_was_to_win_no_gap_is_claimed():
    assert math.isnan(Window().gap_closed)
    assert math.isnan(Window(policy=1.0, random=1.0, oracle=1.0).gap_closed)


def test_questions_are_added_up_in_windows_of_the_towns_time():
    meter = Meter(start_s=100.0, window_s=10.0)
    meter.add(100.0, "draw", 0.4, STAKES, look(3, 1))
    meter.add(109.9, "nearest", 0.6, STAKES, look(2, 0))
    meter.add(125.0, "draw", 1.0, STAKES, look(1, 1))

    first, second, third = meter.windows()

    assert (first.asks, first.candidates, first.impressions, first.clicks) == (2, 160, 5, 1)
    assert first.policy == pytest.approx(1.0)
    assert first.random == pytest.approx(0.8)
    assert first.oracle == pytest.approx(2.0)
    assert first.feeds == {"draw": 1, "nearest": 1}
    assert second == Window()
    assert third.gap_closed == pytest.approx(1.0)


def test_a_total_is_the_sum_of_its_windows():
    meter = Meter(start_s=0.0, window_s=10.0)
    for second in range(0, 40, 5):
        meter.add(float(second), "draw", 0.5, STAKES, look(2, 1))

    whole = total(meter.windows())

    assert (whole.asks, whole.impressions, whole.clicks) == (8, 16, 8)
    assert whole.random_variance == pytest.approx(4.0)
    assert whole.feeds == {"draw": 8}
    assert total([]) == Window()


def test_a_click_test_is_the_upper_tail_of_a_normal_with_half_a_click_taken_off():
    test = beats_random(Window(clicks=130, random=100.0, random_variance=144.0))

    assert test.p_value == pytest.approx(stats.norm.sf((130 - 0.5 - 100) / 12))
    assert (test.clicks, test.expected, test.deviation) == (130, 100.0, 12.0)


def test_fewer_clicks_than_random_prove_nothing():
    assert beats_random(Window(clicks=80, random=100.0, random_variance=144.0)).p_value > 0.9
    assert beats_random(Window()).p_value == 1.0


def test_a_window_without_length_is_refused():
    with pytest.raises(ValueError, match="window_s is 0; it must be above 0"):
        Meter(0.0, 0)


def test_visits_applies_and_newcomers_are_added_up():
    meter = Meter(start_s=0.0, window_s=10.0)
    for at_s in (1.0, 2.0, 11.0):
        meter.add(at_s, "draw", 0.5, STAKES, replace(look(2, 1), applies=1))
        meter.add_newcomers(at_s, 0.5, 0.25)
    meter.begin_visit(1.0)
    meter.begin_visit(11.0)

    first, second = meter.windows()
    whole = total(meter.windows())

    assert (first.visits, first.applies, first.newcomers, first.newcomers_even) == (1, 2, 1.0, 0.5)
    assert (whole.visits, whole.applies, whole.newcomers, whole.newcomers_even) == (2, 3, 1.5, 0.75)
    assert whole.regret == pytest.approx(3 * 0.5)
    assert second.visits == 1
