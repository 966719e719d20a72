"""Regret beside other ways: ratios town by town, what is judged, and plots that are well-formed."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from benchmarks.regret.__main__ import main
from benchmarks.regret.believing import Belief, Course
from benchmarks.regret.calibration import Calibration
from benchmarks.regret.comparing import rows, standings
from benchmarks.regret.oslo import ABSENT, FOLDER, listings
from benchmarks.regret.plotting import plots
from benchmarks.regret.ways import GREEDY, NEARCAST, OSLO, RANDOM, THOMPSON, TOWN, Lived, live
from nearcast_geo.distance import distance_m
from nearcast_geo.point import Point
from nearcast_town.listed import MOST_VIEWED, ListedWorld
from nearcast_town.measure import Window
from nearcast_town.report import Report

needs_listings = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)


def lives(towns: int) -> dict[str, list[Report]]:
    """nearcast misses half of what Thompson sampling misses in every town, and as much as epsilon-greedy."""

    def life(seed: int, missed: float) -> Report:
        window = Window(asks=10, oracle=100.0, policy=100.0 - missed, random=20.0)
        return Report(seed, 60.0, (window,) * 5, 0, 0, {}, 0)

    missed = {NEARCAST: 10.0, THOMPSON: 20.0, GREEDY: 10.0, RANDOM: 80.0}
    return {
        way: [life(seed, each * (1 + seed / 10)) for seed in range(towns)] for way, each in missed.items()
    }


def test_ratios_are_taken_town_by_town() -> None:
    by_way = {each.way: each for each in standings(TOWN, lives(10))}
    assert by_way[THOMPSON].ratio == pytest.approx(0.5)
    assert (by_way[THOMPSON].ratio_low, by_way[THOMPSON].ratio_high) == pytest.approx((0.5, 0.5))
    assert by_way[GREEDY].ratio == pytest.approx(1.0)
    assert by_way[NEARCAST].gap_closed_last_fifth == pytest.approx(1 - 14.5 / 80)


def test_ten_towns_are_judged_and_fewer_are_told() -> None:
    judged = {(row.what, row.against): row for row in rows(standings(TOWN, lives(10)))}
    assert judged["the town: missed", THOMPSON].reached is True
    assert judged["the town: missed, upper end of 95 %", GREEDY].reached is False
    assert judged["the town: gap closed, last 20 %", "the best order"].reached is True
    assert not [row for row in rows(standings(TOWN, lives(9))) if row.goal is not None]


def test_plots_are_well_formed() -> None:
    believed = [Course("the best", 0.3, [Belief(0.1, 0.05, 0.2), Belief(0.25, 0.2, 0.3)])]
    found = dict(plots({TOWN: lives(3), OSLO: lives(3)}, believed, [Calibration("view", [20] * 20, 0.0)], 50))
    assert set(found) == {
        *("regret.svg", "gap.svg", "regret-oslo.svg", "gap-oslo.svg", "beliefs.svg", "calibration.svg")
    }
    for text in found.values():
        assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "the best: 0.300" in found["beliefs.svg"]


@pytest.mark.parametrize("way", [THOMPSON, GREEDY, RANDOM])
def test_a_life_of_each_way_has_as_many_questions_as_were_asked(way: str) -> None:
    assert live(Lived(way, TOWN, 1, 60, 1.0)).overall.asks == 60


def test_a_policy_of_ones_own_is_lived_as_the_default_is() -> None:
    """One that says nothing is the default; one that only knows the nearest learns nothing."""
    nearest = '[feeds.near]\norder = "nearest"\n'
    default = live(Lived(NEARCAST, TOWN, 1, 60, 1.0))
    same, near = (live(Lived("mine", TOWN, 1, 60, 1.0, policy=text)) for text in ("", nearest))
    assert same == default
    assert set(near.overall.feeds) <= {"near", "explore"}


def test_a_policy_that_cannot_be_is_refused_before_anything_is_lived(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[exploration]\nsharpness = 9\n")
    told = CliRunner().invoke(main, ["--policy", str(file)])
    assert told.exit_code == 1
    assert "exploration.sharpness" in told.stderr


@needs_listings
def test_the_listings_of_oslo_become_a_town() -> None:
    found = listings()
    assert len(found) > 10_000
    assert {each.category for each in found} == {
        *("entire-home-apt", "private-room", "shared-room", "hotel-room")
    }
    assert all(distance_m(Point(59.91, 10.75), each.point) < 40_000 for each in found)
    world, again, other = ListedWorld(3, found), ListedWorld(3, found), ListedWorld(4, found)
    assert world.residents == again.residents != other.residents
    places = {each.item.point for each in world.residents}
    assert places <= {each.point for each in found}
    rates = [world.resident(number).rates.view for number in range(5000)]
    assert sum(rates) / 5000 == pytest.approx(0.1, rel=0.1)
    assert 0.005 < min(rates) < max(rates) <= MOST_VIEWED
    assert world.rates(world.residents[5].item.item_id) == world.residents[5].rates


@needs_listings
def test_people_live_near_listings_and_find_them() -> None:
    life = live(Lived(THOMPSON, OSLO, 1, 60, 1.0))
    assert life.overall.asks == 60
    assert life.overall.candidates / 60 > 30
