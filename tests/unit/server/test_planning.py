"""What a policy wants of the places of a page, by the clock and over pages."""

from collections import Counter
from typing import Any

import pytest

from nearcast_config.arrangement import Diversity, Pin
from nearcast_config.policy import Exploration, Scenario
from nearcast_server.planning import plan_of
from nearcast_server.recommending import Slate
from tests.unit.server.scene import Scene, ids_of, make_area, make_policy, make_query, make_served, make_view

ITEMS = 57
OWNERS = ("ann", "ann", "bob", "cod", "dan", "eve", "")


def scene_of(*pins: Pin, **changed: Any) -> Scene:
    """Two of seven items are ann's."""
    scenario = Scenario(feeds=("draw",), pins=pins)
    scene = Scene(make_view(make_policy(scenarios={"default": scenario}, **changed)))
    scene.put(
        *(make_served(n, 10.0 * n, owner=owner_of(n), category=str(n % 3)) for n in range(1, ITEMS + 1))
    )
    return scene


def owner_of(posting: int) -> str:
    return OWNERS[posting % len(OWNERS)]


async def all_pages(scene: Scene, limit: int) -> list[Slate]:
    pages, token = [], ""
    while True:
        pages.append(await scene.ask(make_query(make_area(limit=limit), page_token=token)))
        token = pages[-1].next_page_token
        if not token:
            return pages


@pytest.mark.parametrize("limit", [4, 10, 25])
async def test_all_pages_together_show_everything_once_with_pins_at_their_slots(limit: int) -> None:
    pins = (Pin("item-0050", 3), Pin("item-0049", 4), Pin("item-0003", 30), Pin("item-0001", 100))
    pages = await all_pages(scene_of(*pins, diversity=Diversity(1, 0, 3)), limit)
    shown = [item_id for page in pages for item_id in ids_of(page)]
    assert sorted(shown) == [f"item-{posting:04}" for posting in range(1, ITEMS + 1)]
    assert (shown[2], shown[3], shown[29]) == ("item-0050", "item-0049", "item-0003")
    # There is no hundredth slot: the item comes last, where the draw has run out.
    assert shown[-1] == "item-0001"
    pinned = {placed.shown.item_id for page in pages for placed in page.items if placed.pinned}
    assert pinned == {pin.item_id for pin in pins}


@pytest.mark.parametrize("limit", [3, 10, 25])
async def test_windows_hold_from_one_page_to_the_next(limit: int) -> None:
    pages = await all_pages(scene_of(diversity=Diversity(1, 0, 4)), limit)
    owners = [owner_of(posting) for page in pages for posting in page.finding.postings]
    for begin in range(30):
        counts = Counter(owners[begin : begin + 4])
        del counts[""]
        assert max(counts.values()) == 1


async def test_a_pin_comes_and_goes_by_the_clock() -> None:
    scene = scene_of(Pin("item-0057", 1, "2026-12-01T08:00:00Z", "2026-12-01T09:00:00Z"))
    begin = 1_796_112_000.0
    for seconds, is_pinned in ((-1, False), (0, True), (3599, True), (3600, False)):
        scene.now = begin + seconds
        first = (await scene.ask(make_query(make_area(limit=5)))).items[0]
        assert first.pinned == is_pinned
        assert first.shown.item_id == "item-0057" or not is_pinned


async def test_a_closed_item_is_not_pinned() -> None:
    scene = scene_of(Pin("item-0057", 1))
    scene.put(make_served(57, 570.0, expires_at=scene.now + 10))
    assert (await scene.ask()).items[0].pinned
    scene.now += 10
    assert not any(placed.pinned for placed in (await scene.ask()).items)


@pytest.mark.parametrize(
    "scene",
    [
        scene_of(),
        scene_of(diversity=Diversity(most_per_owner=10, window=10)),
        scene_of(Pin("item-0001", 1, until="2020-01-01T00:00:00Z")),
    ],
    ids=["default", "never too many", "over"],
)
async def test_nothing_is_planned_where_the_policy_wants_nothing(scene: Scene) -> None:
    slate = await scene.ask()
    scenario = scene.view.revision.policy.scenarios["default"]
    assert plan_of(scene.view, scenario, slate.decision, scene.now) is None
    assert slate.finding.arrangement is None
    assert not slate.finding.pinned


async def test_the_exploration_floor_keeps_pins_and_no_distance_between_owners() -> None:
    exploring = Exploration(share=0.5, pool_size=20)
    scene = scene_of(Pin("item-0050", 2), diversity=Diversity(1, 1, 5), exploration=exploring)
    seen: set[bool] = set()
    while len(seen) < 2:
        slate = await scene.ask()
        explores = slate.decision.choice.explore
        assert slate.finding.arrangement is not None
        assert slate.finding.arrangement.layout.diversity.is_on != explores
        assert slate.items[1].pinned
        seen.add(explores)
