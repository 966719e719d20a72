"""How far a query looks, how much it takes, and what it is refused for."""

import math

import pytest

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_config.policy import Scenario, Slate
from nearcast_server.errors import InvalidRequestError, UnavailableError
from tests.unit.server.scene import (
    NOW,
    Scene,
    ids_of,
    make_area,
    make_policy,
    make_query,
    make_served,
    make_view,
    only_feed,
    tagged,
    town,
    wide,
)


@pytest.mark.parametrize(
    ("limit", "radius_m"), [(1, 500.0), (5, 500.0), (6, 1000.0), (12, 2000.0), (50, 5000.0), (60, 10_000.0)]
)
async def test_a_search_that_widens_equals_one_search_at_the_final_radius(
    limit: int, radius_m: float
) -> None:
    view = make_view(only_feed("nearest", radius=wide(10_000.0, (2.0, 4.0, 10.0, 40.0))))
    scene = town(80, view, distance_of=lambda posting: 100.0 * posting - 1)
    widened = await scene.ask(make_query(make_area(limit=limit, radius_m=500.0)))
    assert widened.radius_used_m == radius_m
    at_once = await scene.ask(make_query(make_area(limit=limit, radius_m=radius_m)))
    assert ids_of(widened) == ids_of(at_once)
    assert [p.shown.distance_m for p in widened.items] == [p.shown.distance_m for p in at_once.items]


async def test_only_eligible_items_count_as_enough() -> None:
    scene = Scene(make_view(only_feed("nearest")))
    for posting in range(1, 31):
        scene.put(make_served(posting, 200.0 * posting, tags=tagged("rare") if posting % 10 == 0 else ()))
    rare = Filter(tags_all=frozenset({"rare"}))
    slate = await scene.ask(make_query(make_area(limit=3, radius_m=1000.0, asks=rare)))
    assert ids_of(slate) == ["item-0010", "item-0020", "item-0030"]
    assert slate.radius_used_m == 10_000.0


async def test_a_policy_without_factors_never_widens() -> None:
    scene = town(10, make_view(make_policy(radius=wide(factors=()))), lambda posting: 1000.0 * posting)
    slate = await scene.ask(make_query(make_area(radius_m=2500.0)))
    assert sorted(ids_of(slate)) == ["item-0001", "item-0002"]
    assert slate.radius_used_m == 2500.0


async def test_what_may_not_be_shown_now_is_not_shown() -> None:
    scene = Scene(make_view())
    scene.put(
        make_served(1, item_id="plain"),
        make_served(2, item_id="later", starts_at=NOW + 1),
        make_served(3, item_id="over", expires_at=NOW),
        make_served(4, item_id="ends-soon", expires_at=NOW + 1),
        make_served(5, item_id="shut", hours=WeeklyHours("Europe/Oslo", ())),
        make_served(
            6, item_id="open", hours=WeeklyHours("UTC", tuple(OpeningInterval(d, 0, 1440) for d in range(7)))
        ),
        make_served(7, item_id="unwanted"),
    )
    area = make_area(asks=Filter(exclude_item_ids=frozenset({"unwanted", "unknown"})))
    assert sorted(ids_of(await scene.ask(make_query(area)))) == ["ends-soon", "open", "plain"]


async def test_an_items_own_reach_replaces_the_radius() -> None:
    scene = Scene(make_view(make_policy(radius=wide(factors=()))))
    scene.put(
        make_served(1, 3000.0, "ships-far", reach_m=4000.0),
        make_served(2, 500.0, "stays-near", reach_m=400.0),
        make_served(3, 500.0, "plain"),
    )
    slate = await scene.ask(make_query(make_area(radius_m=1000.0)))
    assert sorted(ids_of(slate)) == ["plain", "ships-far"]


async def test_nothing_near_is_an_empty_slate_without_a_next_page() -> None:
    slate = await Scene(make_view()).ask()
    assert (list(slate.items), slate.next_page_token, slate.truncated) == ([], "", False)
    assert slate.radius_used_m == 50_000.0


async def test_more_points_than_one_call_may_look_at_is_said() -> None:
    policy = only_feed("nearest", slate=Slate(max_candidates=100))
    slate = await town(150, make_view(policy), float).ask()
    assert slate.truncated
    assert slate.finding.eligible == 100
    assert ids_of(slate)[0] == "item-0001"


@pytest.mark.parametrize(("asked", "given"), [(0, 20), (1, 1), (100, 100), (101, 100), (2**31 - 1, 100)])
async def test_the_limit_is_coerced_and_the_one_applied_is_told(asked: int, given: int) -> None:
    slate = await town(120).ask(make_query(make_area(limit=asked)))
    assert slate.decision.limit == given
    assert len(slate.items) == given


async def test_a_surface_has_its_own_limit_and_radius() -> None:
    scenarios = {"default": Scenario(), "home": Scenario(limit=3, radius_m=45.0)}
    scene = town(10, make_view(make_policy(scenarios=scenarios, radius=wide(factors=()))))
    slate = await scene.ask(make_query(scenario="home"))
    assert (slate.decision.limit, slate.radius_used_m, len(slate.items)) == (3, 45.0, 3)
    both = await scene.ask(make_query(make_area(limit=1, radius_m=15.0), scenario="home"))
    assert (both.decision.limit, both.radius_used_m, len(both.items)) == (1, 15.0, 1)


@pytest.mark.parametrize("limit", [-1, -(2**31)])
async def test_a_negative_limit_is_refused(limit: int) -> None:
    with pytest.raises(InvalidRequestError, match="must not be negative") as raised:
        await town(1).ask(make_query(make_area(limit=limit)))
    assert (raised.value.reason, raised.value.metadata) == ("LIMIT_OUT_OF_RANGE", {"max": "100"})


@pytest.mark.parametrize("radius_m", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e308, 100_000.1])
async def test_a_radius_that_is_none_is_refused(radius_m: float) -> None:
    with pytest.raises(InvalidRequestError, match="above 0 and at most 100000 metres") as raised:
        await town(1).ask(make_query(make_area(radius_m=radius_m)))
    assert (raised.value.reason, raised.value.metadata) == ("RADIUS_OUT_OF_RANGE", {"max": "100000"})


async def test_a_surface_that_is_not_in_the_policy_is_refused_with_those_that_are() -> None:
    scenarios = {"home": Scenario(), "default": Scenario()}
    with pytest.raises(InvalidRequestError, match="must be one of default, home"):
        await town(1, make_view(make_policy(scenarios=scenarios))).ask(make_query(scenario="away"))


async def test_a_tenant_that_has_not_been_read_yet_is_told_to_come_again() -> None:
    scene = town(1)
    with pytest.raises(UnavailableError) as raised:
        await scene.recommender.recommend(77, make_query())
    assert raised.value.reason == "SERVER_NOT_READY"
    assert raised.value.retry_after_s
