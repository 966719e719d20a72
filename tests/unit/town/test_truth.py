from dataclasses import replace
from itertools import islice, permutations

import numpy as np
import pytest

from nearcast_geo.distance import distance_m
from nearcast_geo.point import Point
from nearcast_town.backend import Slate, SlateItem
from nearcast_town.constants import STANDARD
from nearcast_town.life import Townsfolk
from nearcast_town.truth import NEW_FOR_S, Truth
from nearcast_town.world import World


def near(world, ask):
    return [
        each.item
        for each in world.residents
        if distance_m(ask.point, each.item.point) <= (each.item.reach_m or ask.radius_m)
    ]


def slate_of(items):
    return Slate(
        tuple(SlateItem(item.item_id, rank, f"{rank}") for rank, item in enumerate(items, start=1)), "x"
    )


def test_the_oracle_is_the_order_of_the_view_rates():
    world = World(1)
    truth, ask = Truth(world), next(world.lives()).ask
    best_first = sorted(near(world, ask), key=lambda item: -world.rates(item.item_id).view)

    stakes = truth.stakes(ask)

    assert stakes.candidates == len(best_first)
    assert stakes.oracle == pytest.approx(truth.worth(slate_of(best_first[: ask.limit])))


def test_no_order_is_worth_more_than_the_oracle_and_the_mean_order_is_random():
    world = World(1)
    truth, ask = Truth(world), next(world.lives()).ask
    items, stakes = near(world, ask), truth.stakes(ask)
    rng = np.random.default_rng(1)

    worths = [truth.worth(slate_of(rng.permutation(items)[: ask.limit])) for _ in range(4000)]

    assert max(worths) <= stakes.oracle
    assert np.mean(worths) == pytest.approx(stakes.random, rel=0.01)


def test_clicks_of_random_orders_vary_no_more_than_said():
    """20,000 questions: the sample variance has a standard error of about 2 %."""
    world = World(1)
    truth, ask = Truth(world), next(world.lives()).ask
    items, stakes = near(world, ask), truth.stakes(ask)
    rng, townsfolk = np.random.default_rng(1), Townsfolk(1, world.constants, truth.rates)

    clicks = [
        townsfolk.look(slate_of(rng.permutation(items)[: ask.limit]), ask.person, 0.0).views
        for _ in range(20_000)
    ]

    assert np.mean(clicks) == pytest.approx(stakes.random, rel=0.05)
    assert 0.85 * stakes.random_variance <= np.var(clicks) <= 1.06 * stakes.random_variance


def test_an_order_of_few_is_compared_with_orders_of_as_few():
    world = World(1, constants=replace(STANDARD, item_count=5))
    truth, ask = Truth(world), replace(next(world.lives()).ask, radius_m=50_000.0)
    items = near(world, ask)
    orders = [truth.worth(slate_of(order)) for order in permutations(items)]

    stakes = truth.stakes(ask)

    assert 3 <= stakes.candidates == len(items) <= 5
    assert stakes.oracle == pytest.approx(max(orders))
    assert stakes.random == pytest.approx(np.mean(orders))


def test_the_dead_are_worth_nothing_and_the_born_are_there():
    world = World(1)
    truth = Truth(world)
    turnover = next(step.turnover for step in world.lives() if step.turnover)

    truth.turn_over(turnover)

    assert truth.rates(turnover.died).view == 0.0
    assert truth.rates(turnover.born.item.item_id) == turnover.born.rates
    assert turnover.born.item in truth.items
    assert turnover.died not in {item.item_id for item in truth.items}


def test_somebody_elses_items_have_rates_and_the_unborn_have_none():
    world = World(1)
    truth = Truth(world)

    assert truth.rates("my-own-shop") == world.rates("my-own-shop")
    assert truth.rates("my-own-shop").view > 0
    assert truth.rates(world.resident(10_000).item.item_id).view == 0.0


def test_nobody_near_means_nothing_at_stake():
    world = World(1)
    ask = next(world.lives()).ask
    far_away = replace(ask, point=Point(-60.0, 100.0))

    stakes = Truth(world).stakes(far_away)

    assert (stakes.candidates, stakes.oracle, stakes.random) == (0, 0.0, 0.0)


def test_stakes_follow_every_turnover():
    world = World(6)
    truth = Truth(world)
    alive = {each.item.item_id: each for each in world.residents}
    for step in islice(world.lives(), 5000):
        if step.turnover:
            truth.turn_over(step.turnover)
            del alive[step.turnover.died]
            alive[step.turnover.born.item.item_id] = step.turnover.born

    assert {item.item_id for item in truth.items} == set(alive)
    ask = step.ask
    views = sorted(
        (
            each.rates.view
            for each in alive.values()
            if distance_m(ask.point, each.item.point) <= (each.item.reach_m or ask.radius_m)
        ),
        reverse=True,
    )
    assert truth.stakes(ask).oracle == pytest.approx(
        sum(view / rank for rank, view in enumerate(views[:20], start=1))
    )


def test_newcomers_are_those_born_less_than_two_days_ago():
    world = World(1)
    truth = Truth(world)
    turnover, asked = next((step.turnover, step.ask) for step in world.lives() if step.turnover)
    born, ask = turnover.born.item, replace(asked, radius_m=500_000.0)
    old = world.residents[0].item
    slate = slate_of([old, replace(born, reach_m=None)])

    truth.turn_over(turnover, now_s=1000.0)
    shown, even = truth.newcomers(ask, slate, 1000.0 + NEW_FOR_S - 1)

    assert shown == pytest.approx(1 / 2)
    everybody = truth.stakes(ask).candidates
    assert even == pytest.approx(sum(1 / rank for rank in range(1, 21)) / everybody)
    assert truth.newcomers(ask, slate, 1000.0 + NEW_FOR_S) == (0.0, 0.0)
