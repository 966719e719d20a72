"""Kernel, twin and brute force say the same of any world."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast_bandit.factors import Boost, Factors
from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import Item, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_compiling.native import WHY_NOT
from nearcast_geo.point import Point
from nearcast_replica.query import Found, Mode, Order, Query
from nearcast_replica.twin import Twin
from tests.unit.replica.worlds import (
    CENTERS,
    NOW,
    Plain,
    World,
    area_of,
    beside,
    brute_force,
    nearest_place,
    queries,
    some_area,
    subject_of,
    world_of,
    worlds,
)

EDGE_M = 1e-5


def answerers():
    yield "twin", Twin()
    if not WHY_NOT:
        from nearcast_replica.kernel import Kernel

        yield "kernel", Kernel()


ANSWERERS = dict(answerers())


def on_an_edge(world: World, query: Query, edge_m: float = EDGE_M) -> bool:
    """Whether rounding decides: a limit or a cut passes through an item, or two that are no tie."""
    away = sorted(nearest_place(query.center, each)[0] for each in world.served)
    limits = [*query.radii_m, *(each.item.reach_m for each in world.served if each.item.reach_m)]
    near_limit = any(abs(one - limit) < edge_m for one in away for limit in limits)
    return near_limit or any(0.0 < far - near < edge_m for near, far in pairwise(away))


def check(found: Found, plain: Plain) -> None:
    assert (found.eligible, found.radius_used_m) == (plain.eligible, plain.radius_used_m)
    assert (found.truncated, found.exhausted) == (plain.truncated, plain.exhausted)
    assert found.newcomers == plain.newcomers
    np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-9, atol=EDGE_M)
    assert found.postings.tolist() == plain.postings
    np.testing.assert_allclose(found.distances_m, plain.distances_m, atol=EDGE_M)
    assert found.places.tolist() == plain.places


@pytest.mark.parametrize("name", ANSWERERS)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_answer_is_that_of_brute_force(name: str, data: st.DataObject) -> None:
    center, world = data.draw(worlds())
    query = data.draw(queries(center))
    if on_an_edge(world, query):
        return
    check(ANSWERERS[name].answer(world.segment, world.dictionaries, query), brute_force(world, query))


@pytest.fixture(scope="module", params=CENTERS, ids=str)
def crowd(request) -> tuple[Point, World]:
    """So many items that rows are found by band and longitude; some have a reach or an area of their own."""
    center, generator = request.param, np.random.default_rng(5)
    served = []
    for number in range(2500):
        places = [beside(center, *generator.normal(0.0, 2500.0, 2).tolist()) for _ in range(1 + number % 2)]
        reach_m = float(generator.uniform(1.0, 4000.0)) if number % 5 == 0 else None
        area = some_area(center, number) if number % 5 == 1 else ""
        item = Item(ItemId(f"item {number}"), tuple(places), reach_m, reach_area=area)
        served.append(ServedItem(Posting(1 + number), 1, float(number), item))
    return center, world_of(served)


@pytest.mark.parametrize("metres", [(0.0, 0.0), (3.0, -2.0), (900.0, 1500.0), (-2500.0, 800.0)], ids=str)
def test_a_crowd_is_answered_as_by_brute_force(crowd, metres) -> None:
    center, world = crowd
    place = beside(center, *metres)
    for radii_m in ((1500.0,), (150.0, 600.0, 3000.0)):
        query = Query(
            Point(place.latitude, place.longitude), radii_m, 300, 1000, NOW, Order(Mode.NEAREST), 1000
        )
        if not on_an_edge(world, query, 1e-7):
            plain = brute_force(world, query)
            for each in ANSWERERS.values():
                check(each.answer(world.segment, world.dictionaries, query), plain)


def test_a_crowd_is_asked_for_what_lies_in_an_area(crowd) -> None:
    """Small and large areas, some with a hole, some of which cut the crowd."""
    center, world = crowd
    cut = 0
    for seed in range(10):
        text = some_area(center, 1000 + seed)
        if not text:
            continue
        wanted = Filter(region=area_of(text))
        query = Query(center, (6000.0,), 1, 5000, NOW, Order(Mode.NEAREST), 1000, wanted=wanted)
        plain = brute_force(world, query)
        cut += 0 < plain.eligible < 1000
        for each in ANSWERERS.values():
            check(each.answer(world.segment, world.dictionaries, query), plain)
    assert cut


TAGGED = [
    ServedItem(
        Posting(1 + number),
        1,
        0.0,
        Item(
            ItemId(f"item {number}"),
            (beside(CENTERS[1], 40.0 * number, 0.0),),
            tags=(Tag("tag 3"), Tag("tag 67"))[: number % 3],
            category=("food", "jobs")[number % 2],
            owner=("", "anna", "bert")[number % 3],
        ),
    )
    for number in range(60)
]
EVERYTHING = Factors(
    (
        Boost("category", "food", 3.0),
        Boost("tag", "tag 67", 0.5),
        Boost("owner", "anna", 7.0),
        Boost("owner", "nobody", 9.0),
    ),
    500.0,
    0.25,
    frozenset({2, 3, 17, 999}),
)


@pytest.mark.parametrize("name", ANSWERERS)
@pytest.mark.parametrize(
    "order",
    [
        Order(Mode.DRAW, [(2, 1.0), (3, 4.0)]),
        Order(Mode.MOST, [(5, 1.0)]),
        Order(Mode.EXPLORE, [(2, 1.0)], pool=20),
    ],
    ids=lambda order: order.mode.name,
)
def test_scores_are_multiplied_and_the_factors_are_told(name: str, order: Order) -> None:
    world, answerer = world_of(TAGGED), ANSWERERS[name]
    plain = Query(CENTERS[1], (5000.0,), 60, 100, NOW, order, 60, 11)
    asked = replace(plain, factors=EVERYTHING)
    answerer.answer(world.segment, world.dictionaries, plain)
    assert answerer.factors() is None
    found = answerer.answer(world.segment, world.dictionaries, asked)
    check(found, brute_force(world, asked))
    expected = {
        each.posting: EVERYTHING.of(subject_of(each, nearest_place(CENTERS[1], each)[0])) for each in TAGGED
    }
    told, postings = answerer.factors(), world.segment["posting"][answerer.competitors()].tolist()
    assert told is not None
    assert told.tolist() == pytest.approx([expected[posting] for posting in postings], rel=1e-9)
    assert len(set(expected.values())) > 20


@pytest.mark.parametrize("name", ANSWERERS)
def test_far_away_items_keep_a_factor_above_zero(name: str) -> None:
    world, answerer = world_of(TAGGED), ANSWERERS[name]
    order = Order(Mode.DRAW, [(2, 1.0)])
    asked = Query(CENTERS[1], (5000.0,), 60, 100, NOW, order, 60, 11, factors=Factors(distance_half_m=1e-3))
    found = answerer.answer(world.segment, world.dictionaries, asked)
    check(found, brute_force(world, asked))
    told = answerer.factors()
    assert told is not None
    assert told.min() == pytest.approx(2.0**-40)
