"""What became of an item that is missed in an answer: every reason that kept it out."""

from typing import Any

import msgspec
import pytest

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.arrangement import Pin
from nearcast_config.policy import Exploration, Policy, Radius, Scenario
from nearcast_server.appraising import Appraisal, Appraiser
from nearcast_server.recommending import Slate
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from tests.unit.server.scene import (
    CENTER,
    METRES_PER_DEGREE,
    NOW,
    TENANT,
    Scene,
    make_area,
    make_query,
    make_view,
    only_feed,
    tagged,
)

HERE = only_feed("draw", radius=Radius(default_m=5000.0, max_m=5000.0))


class Shelf:
    """A scene whose items are in the record as well."""

    def __init__(self, policy: Policy = HERE) -> None:
        self.catalog = MemoryCatalogStore(MemoryChangeFeed(lambda: NOW))
        self.scene = Scene(make_view(policy))

    async def put(
        self, item_id: str, distance_m: float = 100.0, *, indexed: bool = True, **item: Any
    ) -> None:
        place = Place(CENTER.lat + distance_m / METRES_PER_DEGREE, CENTER.lon)
        made = msgspec.structs.replace(Item(ItemId(item_id), (place,), title=item_id), **item)
        await self.catalog.upsert(TENANT, [made], NOW - 60)
        stored = await self.catalog.get(TENANT, item_id)
        assert stored is not None
        if indexed:
            self.scene.put(stored.served)

    async def told(self, slate: Slate, item_id: str) -> Appraisal:
        return (await Appraiser(self.catalog).appraise(slate, [item_id]))[0]


async def test_an_item_of_the_answer_has_its_rank_and_score() -> None:
    shelf = Shelf()
    for number in range(5):
        await shelf.put(f"item-{number}")
    slate = await shelf.scene.ask()
    for placed in slate.items:
        told = await shelf.told(slate, placed.shown.item_id)
        assert (told.standing, told.rank, told.score) == ("SHOWN", placed.rank, placed.score)
        assert told.hit is not None
        assert told.hit.distance_m == pytest.approx(placed.shown.distance_m, abs=1e-6)


async def test_an_item_that_lost_has_the_score_it_lost_with() -> None:
    shelf = Shelf()
    for number in range(30):
        await shelf.put(f"item-{number}")
    few, all_of_them = make_query(make_area(limit=4)), make_query(make_area(limit=30))
    scene = shelf.scene
    slate = await scene.ask(few)
    shown = {placed.shown.item_id for placed in slate.items}
    for number in range(30):
        told = await shelf.told(slate, f"item-{number}")
        assert told.standing == ("SHOWN" if told.item_id in shown else "NOT_CHOSEN")
        assert told.score is not None
        if told.item_id not in shown:
            assert list(told.causes) == ["LOWER_SCORE"]
            assert told.score <= slate.finding.scores[-1]
    assert len((await scene.ask(all_of_them)).items) == 30


async def test_what_lost_to_all_that_was_drawn_did_not_lose_its_place_to_a_pin() -> None:
    """Though the pinned item has the lowest score of all."""
    scenarios = {"default": Scenario(feeds=("nearest",), pins=(Pin("item-29", 1),))}
    shelf = Shelf(msgspec.structs.replace(HERE, scenarios=scenarios))
    for number in range(30):
        await shelf.put(f"item-{number}", 100.0 * (number + 1))
    slate = await shelf.scene.ask(make_query(make_area(limit=4)))
    assert [placed.shown.item_id for placed in slate.items] == ["item-29", "item-0", "item-1", "item-2"]
    for number in range(4, 29):
        assert list((await shelf.told(slate, f"item-{number}")).causes) == ["LOWER_SCORE"]


@pytest.mark.parametrize(
    ("item", "asks", "cause"),
    [
        ({"starts_at": NOW + 60}, Filter(), "NOT_STARTED"),
        ({"expires_at": NOW - 1}, Filter(), "EXPIRED"),
        ({}, Filter(tags_any=frozenset({"night"})), "TAG"),
        ({"tags": tagged("night")}, Filter(tags_none=frozenset({"night"})), "TAG"),
        ({"category": "bar"}, Filter(categories=frozenset({"park"})), "CATEGORY"),
        ({}, Filter(exclude_item_ids=frozenset({"missed"})), "EXCLUDED"),
        ({}, Filter(market=3), "MARKET"),
    ],
)
async def test_what_the_query_does_not_ask_for_is_told_by_name(
    item: dict[str, Any], asks: Filter, cause: str
) -> None:
    shelf = Shelf()
    await shelf.put("missed", **item)
    slate = await shelf.scene.ask(make_query(make_area(asks=asks)))
    told = await shelf.told(slate, "missed")
    assert (told.standing, list(told.causes)) == ("LEFT_OUT", [cause])


async def test_all_reasons_are_told_at_once() -> None:
    shelf = Shelf()
    await shelf.put("missed", 90_000.0, category="bar", starts_at=NOW + 60)
    asks = Filter(categories=frozenset({"park"}), exclude_item_ids=frozenset({"missed"}))
    told = await shelf.told(await shelf.scene.ask(make_query(make_area(asks=asks))), "missed")
    assert list(told.causes) == ["NOT_STARTED", "CATEGORY", "EXCLUDED", "OUT_OF_REACH"]


async def test_an_item_with_its_own_reach_is_out_of_it_however_wide_the_search() -> None:
    shelf = Shelf()
    await shelf.put("shy", 400.0, reach_m=300.0)
    told = await shelf.told(await shelf.scene.ask(), "shy")
    assert list(told.causes) == ["OUT_OF_REACH"]


async def test_what_an_earlier_page_showed_is_said_to_have_been_shown() -> None:
    shelf = Shelf()
    for number in range(6):
        await shelf.put(f"item-{number}")
    first = await shelf.scene.ask(make_query(make_area(limit=3)))
    second = await shelf.scene.ask(make_query(make_area(limit=3), page_token=first.next_page_token))
    told = await shelf.told(second, first.items[0].shown.item_id)
    assert (told.standing, list(told.causes)) == ("LEFT_OUT", ["SHOWN_BEFORE"])
    assert (await shelf.told(second, second.items[0].shown.item_id)).rank == 4


async def test_an_item_the_index_has_not_heard_of_was_not_among_the_candidates() -> None:
    shelf = Shelf()
    await shelf.put("there")
    await shelf.put("late", indexed=False)
    told = await shelf.told(await shelf.scene.ask(), "late")
    assert (told.standing, list(told.causes)) == ("NOT_CHOSEN", ["NOT_AMONG_CANDIDATES"])


async def test_a_shuffle_says_so() -> None:
    policy = msgspec.structs.replace(
        HERE, exploration=Exploration(share=0.5, pool_size=2), scenarios={"default": Scenario()}
    )
    shelf = Shelf(policy)
    for number in range(9):
        await shelf.put(f"item-{number}")
    slate = await shelf.scene.ask(make_query(make_area(limit=2)))
    while not slate.decision.choice.explore:
        slate = await shelf.scene.ask(make_query(make_area(limit=2)))
    shown = {placed.shown.item_id for placed in slate.items}
    missed = next(f"item-{n}" for n in range(9) if f"item-{n}" not in shown)
    assert list((await shelf.told(slate, missed)).causes) == ["NOT_OF_THE_SHUFFLE"]


async def test_an_item_that_is_not_there_is_not_found() -> None:
    shelf = Shelf()
    told = await shelf.told(await shelf.scene.ask(), "nobody")
    assert (told.standing, told.hit, told.score) == ("NOT_FOUND", None, None)
