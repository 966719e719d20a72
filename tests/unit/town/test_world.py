import re
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest

from nearcast_geo.distance import distance_m, distances_m
from nearcast_geo.point import Point, normalise
from nearcast_town.constants import STANDARD
from nearcast_town.names import CATEGORIES
from nearcast_town.neighbourhood import Neighbourhood
from nearcast_town.truth import Truth
from nearcast_town.world import OSLO, World

SEEDS = range(1, 11)


def points(world):
    return np.array([(each.item.point.lat, each.item.point.lon) for each in world.residents])


def nearest_neighbours_m(places):
    return np.array(
        [
            np.sort(distances_m(lat, lon, places[:, 0].copy(), places[:, 1].copy()))[1]
            for lat, lon in places.tolist()
        ]
    )


def test_the_same_seed_gives_the_same_world_and_the_same_lives():
    first, second = World(5), World(5)

    assert first.residents == second.residents
    assert first.homes == second.homes
    assert list(islice(first.lives(), 3000)) == list(islice(second.lives(), 3000))


def test_another_seed_gives_another_world():
    assert World(5).residents != World(6).residents


def test_how_long_a_life_is_watched_changes_nothing_of_its_beginning():
    assert list(islice(World(5).lives(), 10)) == list(islice(World(5).lives(), 2000))[:10]


def test_items_lie_in_clusters_and_along_streets():
    """An even spread over the same box has neighbours several times as far away."""
    for seed in SEEDS:
        places = points(World(seed))
        rng = np.random.default_rng(seed)
        even = rng.uniform(places.min(axis=0), places.max(axis=0), places.shape)

        assert nearest_neighbours_m(places).mean() < 0.3 * nearest_neighbours_m(even).mean()


def test_view_rates_have_the_stated_mean_and_variation():
    """Over 4,800 items: the standard error is 1.2 % of the mean and about 2 % of the variation."""
    views = np.array([each.rates.view for seed in range(20) for each in World(seed).residents])

    assert views.mean() == pytest.approx(0.10, rel=0.05)
    assert views.std() / views.mean() == pytest.approx(0.80, rel=0.08)


def test_saves_and_applies_vary_mildly_and_apart_from_views():
    rates = [each.rates for seed in range(20) for each in World(seed).residents]
    views, saves, applies = np.array([(each.view, each.save_share, each.apply_share) for each in rates]).T

    assert saves.mean() == pytest.approx(0.20, rel=0.05)
    assert applies.mean() == pytest.approx(0.10, rel=0.05)
    assert saves.std() / saves.mean() == pytest.approx(0.30, rel=0.08)
    assert applies.std() / applies.mean() == pytest.approx(0.30, rel=0.08)
    assert abs(np.corrcoef(views, saves)[0, 1]) < 0.08
    assert abs(np.corrcoef(views, applies)[0, 1]) < 0.08


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_order_is_worth_at_most_45_percent_of_the_best(seed):
    world = World(seed)
    truth = Truth(world)
    stakes = [truth.stakes(step.ask) for step in islice(world.lives(), 2000)]

    assert sum(each.random for each in stakes) <= 0.45 * sum(each.oracle for each in stakes)


def test_a_typical_question_has_40_to_150_candidates():
    counts = []
    for seed in SEEDS:
        world = World(seed)
        truth = Truth(world)
        counts += [truth.stakes(step.ask).candidates for step in islice(world.lives(), 1000)]

    assert 60 <= np.median(counts) <= 130
    assert np.mean([40 <= count <= 150 for count in counts]) >= 0.85
    assert min(counts) >= 10


def test_one_item_in_a_thousand_steps_dies_and_another_is_born():
    """100,000 steps: 100 turnovers expected, standard deviation 10."""
    world = World(3)
    turnovers = [step.turnover for step in islice(world.lives(), 100_000) if step.turnover]
    alive = {each.item.item_id for each in world.residents}
    for turnover in turnovers:
        alive.remove(turnover.died)
        assert turnover.born.item.item_id not in alive
        alive.add(turnover.born.item.item_id)

    assert 60 <= len(turnovers) <= 140
    assert len(alive) == STANDARD.item_count


def test_the_rates_of_an_item_follow_from_its_id():
    world = World(4)
    newcomer = world.resident(1000)

    assert world.rates(newcomer.item.item_id) == newcomer.rates
    assert world.rates("my-own-shop") == World(4).rates("my-own-shop")
    assert world.rates("my-own-shop") != world.rates("another-shop")


def test_people_ask_near_their_home_and_sometimes_go_on_with_a_visit():
    world = World(2)
    homes = {home.person: home.point for home in world.homes}
    asks = [step.ask for step in islice(world.lives(), 20_000)]
    away_m = [distance_m(ask.point, homes[ask.person]) for ask in asks[:2000]]
    goes_on = [before.session == after.session for before, after in pairwise(asks)]

    assert max(away_m) < 6 * STANDARD.stroll_m
    assert np.mean(goes_on) == pytest.approx(0.3, abs=0.02)
    assert all(
        before.person == after.person for before, after in pairwise(asks) if before.session == after.session
    )


def test_what_the_town_offers_is_readable_and_fits_any_api():
    world = World(7)
    items = [each.item for each in world.residents]

    assert len({item.item_id for item in items}) == len(items)
    assert {item.category for item in items} == set(CATEGORIES)
    assert all(re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", item.item_id) for item in items)
    assert all(re.fullmatch(r"[A-Z][A-Za-z -]+ at [A-Z][a-z]+ \d+", item.title) for item in items)
    assert all(item.tags and all(tag.isascii() for tag in item.tags) for item in items)
    assert 5 <= sum(item.reach_m is not None for item in items) <= 50
    assert all(re.fullmatch(r"[a-z0-9-]+", home.person.person_id) for home in world.homes)


@pytest.mark.parametrize(
    "centre", [Point(59.91, 10.75), Point(-17.8, 179.99), Point(89.99, 0.0), Point(0.0, 0.0)]
)
def test_a_town_can_stand_anywhere_on_earth(centre):
    world = World(1, centre)

    for each in world.residents:
        assert normalise(each.item.point.lat, each.item.point.lon) == each.item.point
        assert distance_m(centre, each.item.point) < 2 * STANDARD.town_radius_m
    near = Truth(world).stakes(next(world.lives()).ask).candidates
    assert near == Truth(World(1)).stakes(next(World(1).lives()).ask).candidates


def test_constants_can_be_replaced_for_another_world():
    world = World(1, OSLO, replace(STANDARD, item_count=10, person_count=3))

    assert len(world.residents) == 10
    assert {step.ask.person for step in islice(world.lives(), 100)} <= {home.person for home in world.homes}


def test_the_neighbourhood_agrees_with_great_circle_distances():
    world = World(8)
    items = [each.item for each in world.residents]
    neighbourhood = Neighbourhood(items)

    for step in islice(world.lives(), 200):
        ask = step.ask
        expected = [
            place
            for place, item in enumerate(items)
            if distance_m(ask.point, item.point) <= (item.reach_m or ask.radius_m)
        ]
        assert neighbourhood.seen_from(ask.point, ask.radius_m).tolist() == expected


def test_an_empty_neighbourhood_has_nobody():
    assert Neighbourhood([]).seen_from(OSLO, 5000.0).size == 0
