"""What the kernel must hold beyond equal answers: the tail, the cap, streams of their own, memory."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import Item, Place, ServedItem
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_compiling.native import WHY_NOT
from nearcast_geo.point import Point
from nearcast_replica.answering import Answerer, answerer
from nearcast_replica.columns import Spare, pack_stats
from nearcast_replica.layout import DEAD, segment_over
from nearcast_replica.lookup import slot_of_id, slot_of_posting
from nearcast_replica.query import Mode, Order, Query
from nearcast_replica.twin import Twin
from tests.geojsons import box
from tests.unit.replica.worlds import NOW, World, appended, area_of, beside, brute_force, world_of

CENTER = Point(48.85, 2.35)
SPARE = Spare(rows=40, slots=20, tags=40, places=100)
DRAW = Order(Mode.DRAW, [(2, 1.0), (3, 4.0)])


@pytest.fixture(scope="module", params=["kernel", "twin"])
def answers(request) -> Answerer:
    if request.param == "twin":
        return Twin()
    if WHY_NOT:
        pytest.skip(WHY_NOT)
    return answerer()


def item(number: int, *places: Place, reach_m: float | None = None) -> ServedItem:
    return ServedItem(Posting(number), 1, 0.0, Item(ItemId(f"item {number:05}"), tuple(places), reach_m))


def scattered(count: int, seed: int = 1) -> list[ServedItem]:
    metres = np.random.default_rng(seed).uniform(-4000, 4000, (count, 2)).tolist()
    return [item(1 + number, beside(CENTER, *each)) for number, each in enumerate(metres)]


def asked(order: Order = DRAW, **changed) -> Query:
    query = Query(CENTER, (5000.0,), 1, 10_000, NOW, order, 20, seed=7)
    return msgspec.structs.replace(query, **changed)


def test_a_birth_changes_nobody_elses_draw(answers: Answerer) -> None:
    few, many = world_of(scattered(60)), world_of(scattered(61))
    before = answers.answer(few.segment, few.dictionaries, asked(limit=100))
    after = answers.answer(many.segment, many.dictionaries, asked(limit=100))
    scores = dict(zip(after.postings.tolist(), after.scores.tolist(), strict=True))
    assert after.eligible == before.eligible + 1
    assert {posting: scores[posting] for posting in before.postings.tolist()} == dict(
        zip(before.postings.tolist(), before.scores.tolist(), strict=True)
    )


def test_orders_that_are_asked_for_in_turn_do_not_mix(answers: Answerer) -> None:
    """One goes by fewer kinds than the other."""
    views, both = Order(Mode.DRAW, [(2, 1.0)]), Order(Mode.DRAW, [(3, 4.0), (2, 1.0)], priors={3: (2.0, 5.0)})
    world = world_of(scattered(60))
    told = {
        order.weights[0][0]: Twin().answer(world.segment, world.dictionaries, asked(order)).postings.tolist()
        for order in (views, both)
    }
    assert told[2] != told[3]
    for order in (views, both, views, views, both):
        found = answers.answer(world.segment, world.dictionaries, asked(order))
        assert found.postings.tolist() == told[order.weights[0][0]]


@pytest.mark.parametrize("mode", [Mode.DRAW, Mode.NEAREST, Mode.NEWEST, Mode.MOST, Mode.EXPLORE])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"radii_m": (500.0, 2000.0, 9000.0), "enough": 150},  # looks farther, twice
        {"radii_m": (500.0, 2000.0, 9000.0), "enough": 20},  # looks farther, and comes back to a nearer rung
        {"most": 40},
        {"left_out": np.arange(1, 60)},
        {"radii_m": (1.0,)},
    ],
)
def test_all_that_competed_is_handed_out(answers: Answerer, mode: Mode, changed: dict) -> None:
    world, order = world_of(scattered(200)), Order(mode, ((2, 1.0),), pool=30)
    everything = answers.answer(
        world.segment, world.dictionaries, asked(Order(Mode.NEAREST), limit=10_000, **changed)
    )
    found = answers.answer(world.segment, world.dictionaries, asked(order, limit=7, **changed))
    competed = answers.competitors()
    assert competed.size == found.eligible == everything.eligible
    assert set(competed.tolist()) == set(everything.slots.tolist())
    assert set(found.slots.tolist()) <= set(competed.tolist())


def test_the_order_in_which_items_came_is_of_no_matter(answers: Answerer) -> None:
    served = scattered(200)
    first, second = world_of(served), world_of(served[::-1])
    one = answers.answer(first.segment, first.dictionaries, asked())
    other = answers.answer(second.segment, second.dictionaries, asked())
    assert one.postings.tolist() == other.postings.tolist()
    assert one.scores.tolist() == other.scores.tolist()


def test_what_is_in_the_tail_is_found_as_if_it_were_sorted(answers: Answerer) -> None:
    served = scattered(60)
    world = world_of(served[:40], spare=SPARE)
    several = item(900, beside(CENTER, 90_000.0, 0.0), beside(CENTER, 300.0, 0.0), beside(CENTER, 200.0, 0.0))
    more = [*served[40:50], several, item(901, beside(CENTER, 15_000.0, 0.0), reach_m=16_000.0)]
    for each in more:
        appended(world, each)
    whole = World([*served[:40], *more], world.dictionaries, world.segment)
    found = answers.answer(world.segment, world.dictionaries, asked(Order(Mode.NEAREST), limit=100))
    plain = brute_force(whole, asked(Order(Mode.NEAREST), limit=100))
    assert found.postings.tolist() == plain.postings
    assert found.places.tolist() == plain.places
    assert 900 in plain.postings
    assert 901 in plain.postings


@pytest.mark.parametrize("old_dies", [True, False])
def test_an_item_that_moves_is_answered_once_at_its_new_place(answers: Answerer, old_dies: bool) -> None:
    world = world_of(scattered(30), spare=SPARE)
    old = slot_of_posting(world.segment, 5)
    appended(world, item(5, beside(CENTER, 1.0, 1.0)))
    if old_dies:
        world.segment["expires"][old] = DEAD
    found = answers.answer(world.segment, world.dictionaries, asked(Order(Mode.NEAREST), limit=100))
    assert sorted(found.postings.tolist()) == list(range(1, 31))
    assert found.postings[0] == 5
    assert found.distances_m[0] < 2.0
    assert found.eligible == 30


def test_an_item_that_died_is_not_shown(answers: Answerer) -> None:
    world = world_of(scattered(30))
    world.segment["expires"][slot_of_posting(world.segment, 5)] = DEAD
    found = answers.answer(world.segment, world.dictionaries, asked(limit=100))
    assert sorted(found.postings.tolist()) == [*range(1, 5), *range(6, 31)]


def test_a_crowd_at_one_spot_is_cut_by_item_id(answers: Answerer) -> None:
    """More than working memory holds at first, all equally far: only the id can decide who is left out."""
    spot = beside(CENTER, 100.0, 0.0)
    served = [item(1 + (number * 7) % 6000, spot) for number in range(6000)]
    world = world_of(served)
    query = asked(Order(Mode.LISTED), most=5000, limit=6000)
    found = answers.answer(world.segment, world.dictionaries, query)
    assert (found.truncated, found.eligible) == (True, 5000)
    assert found.postings.tolist() == list(range(1, 5001))


def test_a_widening_over_a_crowd_keeps_the_nearest(answers: Answerer) -> None:
    world = world_of(scattered(9000, seed=3))
    query = asked(Order(Mode.NEAREST), radii_m=(50.0, 500.0, 5000.0), enough=10_000, most=4100, limit=5000)
    found = answers.answer(world.segment, world.dictionaries, query)
    assert found.postings.tolist() == brute_force(world, query).postings
    assert (found.truncated, found.eligible, found.radius_used_m) == (True, 4100, 5000.0)


def test_a_segment_may_be_read_only(answers: Answerer) -> None:
    world = world_of(scattered(50))
    frozen = world.segment.buffer.copy()
    begin = -frozen.ctypes.data % 8
    assert begin == 0
    frozen.flags.writeable = False
    segment = segment_over(frozen, world.segment.shape, world.segment.cold)
    found = answers.answer(segment, world.dictionaries, asked())
    assert (
        found.postings.tolist()
        == answers.answer(world.segment, world.dictionaries, asked()).postings.tolist()
    )


def test_a_name_that_came_after_the_question_was_read_matches_nothing_yet(answers: Answerer) -> None:
    world = world_of(scattered(10), spare=SPARE)
    wanted = Filter(categories=frozenset({"", "new"}))
    answers.answer(world.segment, world.dictionaries, asked(wanted=wanted))
    number = world.dictionaries.categories.number("new")
    world.segment["category"][slot_of_posting(world.segment, 3)] = number
    found = answers.answer(world.segment, world.dictionaries, asked(wanted=wanted, limit=100))
    assert 3 in found.postings
    other = answers.answer(
        world.segment, world.dictionaries, asked(wanted=Filter(categories=frozenset({""})))
    )
    assert 3 not in other.postings


def test_statistics_that_were_never_told_are_the_prior(answers: Answerer) -> None:
    world, told = world_of(scattered(10)), world_of(scattered(10))
    world.segment["stats"][:] = 0
    told.segment["stats"][0], told.segment["stats"][1] = pack_stats(
        np.array([0.5, 2.0]), np.array([8.0, 50.0])
    )
    order = replace(DRAW, priors={2: (0.5, 8.0), 3: (2.0, 50.0)})
    found = answers.answer(world.segment, world.dictionaries, asked(order))
    expected = answers.answer(told.segment, told.dictionaries, asked())
    assert found.postings.tolist() == expected.postings.tolist()
    assert found.scores.tolist() == expected.scores.tolist()


def test_a_region_that_is_no_area_is_refused(answers: Answerer) -> None:
    class Everywhere:
        def covers(self, lat: float, lon: float) -> bool:
            return True

    world = world_of(scattered(3))
    with pytest.raises(TypeError, match="areas alone"):
        answers.answer(world.segment, world.dictionaries, asked(wanted=Filter(region=Everywhere())))


def reaching(number: int, place: Place, area: str) -> ServedItem:
    served = item(number, place)
    return msgspec.structs.replace(served, item=msgspec.structs.replace(served.item, reach_area=area))


def test_nobody_finds_an_item_whose_area_cannot_be_read(answers: Answerer) -> None:
    world = world_of([reaching(1, beside(CENTER, 0.0, 0.0), "{}"), item(2, beside(CENTER, 0.0, 0.0))])
    found = answers.answer(world.segment, world.dictionaries, asked())
    assert found.postings.tolist() == [2]


def test_an_area_is_found_from_within_it_in_the_tail_too(answers: Answerer) -> None:
    """Its place may be on the other side of the earth; what replaces it counts."""
    near, far = box(2.0, 48.0, 3.0, 49.0), box(12.0, 48.0, 13.0, 49.0)
    away = beside(Point(-40.0, 170.0), 0.0, 0.0)
    world = world_of([reaching(1, away, near), reaching(2, away, far)], spare=SPARE)
    for each in (reaching(3, away, near), reaching(4, away, far), reaching(2, away, near)):
        appended(world, each)
    found = answers.answer(world.segment, world.dictionaries, asked(radii_m=(1.0,)))
    assert sorted(found.postings.tolist()) == [1, 2, 3]
    assert found.distances_m.min() > 1e7


@pytest.mark.parametrize("lat", [90.0, -90.0])
def test_an_area_at_a_pole_is_found_from_the_pole_of_every_longitude(answers: Answerer, lat: float) -> None:
    pole = box(10.0, 89.0, 11.0, 90.0) if lat > 0 else box(10.0, -90.0, 11.0, -89.0)
    world = world_of([reaching(1, beside(CENTER, 0.0, 0.0), pole)])
    found = answers.answer(world.segment, world.dictionaries, asked(center=Point(lat, 0.0)))
    assert found.postings.tolist() == [1]


def test_an_item_in_an_area_by_any_of_its_places_is_shown_at_the_nearest(answers: Answerer) -> None:
    several = item(1, beside(CENTER, 500.0, 0.0), beside(CENTER, 3000.0, 0.0), beside(CENTER, 9000.0, 0.0))
    world = world_of([several, item(2, beside(CENTER, 500.0, 0.0))])
    region = area_of(box(2.0, CENTER.lat + 0.02, 3.0, CENTER.lat + 0.2))
    found = answers.answer(world.segment, world.dictionaries, asked(wanted=Filter(region=region)))
    assert (found.postings.tolist(), found.places.tolist()) == ([1], [0])
    assert found.distances_m[0] == pytest.approx(500.0, rel=1e-2)


def test_an_id_leads_to_its_slot() -> None:
    world = world_of(scattered(300))
    for number in (1, 150, 300):
        slot = slot_of_id(world.segment, f"item {number:05}")
        assert slot is not None
        assert world.segment["posting"][slot] == number
    assert slot_of_id(world.segment, "item 00301") is None
