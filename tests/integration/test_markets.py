"""Markets and polygons, from the call that draws them to the answers and counts that know of them."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from nearcast.v1 import catalog_pb2, event_pb2, item_pb2, market_pb2, outcome_pb2, recommend_pb2
from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast_statskeeper.verifying import verify_stats
from nearcast_store import redis_keys
from tests import towns
from tests.gateways import (
    Gateway,
    Refusal,
    at,
    eventually,
    item,
    nearby,
    recommend,
)
from tests.geojsons import box, polygon

PATIENT_S = 60.0
WEST, EAST = box(10.0, 59.0, 10.75, 60.0), box(10.75, 59.0, 11.5, 60.0)
IN_WEST, ON_BORDER, IN_EAST, OUTSIDE = (59.91, 10.74), (59.91, 10.75), (59.91, 10.76), (59.91, 9.99)


@pytest.fixture(scope="module")
async def working(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[Gateway]:
    """A gateway with a keeper behind it."""
    async with towns.working_gateway(
        postgres_server, migrated_template, next(_redis_databases), served_interval_s=0.1
    ) as gateway:
        yield gateway


class Town(towns.Town):
    """What an operator and an app of one tenant do."""

    async def draw(self, *markets: market_pb2.Market) -> list[catalog_pb2.MarketResult]:
        results = list((await self.call(catalog_pb2.UpsertMarketsRequest(markets=markets))).results)
        assert not [result for result in results if result.outcome.code]
        return results

    async def markets(self, **asked: Any) -> list[market_pb2.Market]:
        return list((await self.call(catalog_pb2.ListMarketsRequest(**asked))).markets)

    async def market_at(self, *point: float) -> str:
        answer: recommend_pb2.NearbyResponse = await self.call(nearby(*point))
        return answer.market

    async def is_in(self, market_id: str, *point: float) -> None:
        async def look() -> str:
            return await self.market_at(*point)

        await eventually(look, PATIENT_S, lambda found: found == market_id)

    async def shown(self, *point: float, **asked: Any) -> list[str]:
        return sorted(found.item_id for found in (await self.call(nearby(*point, **asked))).items)

    async def shows(self, expected: list[str], *point: float, **asked: Any) -> None:
        async def look() -> list[str]:
            return await self.shown(*point, **asked)

        await eventually(look, PATIENT_S, lambda shown: shown == expected)

    async def refused(self, request: Any) -> Refusal:
        with pytest.raises(Refusal) as raised:
            await self.call(request)
        return raised.value

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.gateway.pool.connection() as connection:
            return [tuple(row) for row in await connection.fetch(sql, self.tenant.tenant_id)]


@pytest.fixture
async def town(working: Gateway) -> Town:
    """A tenant of the test's own."""
    return Town(working, await working.new_tenant(f"town-{secrets.token_hex(4)}"))


def market(market_id: str, geometry: str, **other: Any) -> market_pb2.Market:
    return market_pb2.Market(market_id=market_id, geometry=geometry, **other)


def only(**conditions: Any) -> dict[str, Any]:
    return {"filter": recommend_pb2.Filter(**conditions)}


async def test_a_request_is_told_its_market_and_a_border_has_one(town: Town) -> None:
    await town.draw(market("west", WEST, display_name="West"), market("east", EAST))
    await town.is_in("west", *IN_WEST)
    assert await town.market_at(*IN_EAST) == "east"
    assert await town.market_at(*ON_BORDER) == "west"
    assert await town.market_at(*OUTSIDE) == ""
    answer = await town.call(recommend(*IN_EAST))
    assert answer.market == "east"


async def test_of_overlapping_markets_the_highest_priority_has_the_point(town: Town) -> None:
    country, city = box(10.0, 59.0, 11.5, 60.0), box(10.7, 59.9, 10.8, 60.0)
    await town.draw(market("country", country), market("city", city))
    await town.is_in("country", *ON_BORDER)
    await town.draw(market("city", city, priority=1))
    await town.is_in("city", *ON_BORDER)
    assert await town.market_at(59.5, 10.75) == "country"


async def test_items_are_found_by_the_market_they_lie_in(town: Town) -> None:
    await town.draw(market("west", WEST), market("east", EAST))
    await town.is_in("west", *IN_WEST)
    both = item_pb2.Item(item_id="both", locations=[at(50.0, 3.0), at(*IN_EAST), at(*IN_WEST)])
    await town.put(item("w", *IN_WEST), item("e", *IN_EAST), item("b", *ON_BORDER), both)
    await town.shows(["b", "both", "e", "w"], *ON_BORDER)
    assert await town.shown(*ON_BORDER, **only(market="west")) == ["b", "w"]
    assert await town.shown(*ON_BORDER, **only(market="east")) == ["both", "e"]
    slate = await town.call(recommend(*IN_EAST, explain=True, **only(market="west")))
    assert {(each.item_id, each.explanation.market) for each in slate.items} == {("b", "west"), ("w", "west")}


async def test_items_follow_when_borders_move(town: Town) -> None:
    await town.put(item("w", *IN_WEST), item("e", *IN_EAST), item("gone", *IN_EAST))
    await town.call(catalog_pb2.DeleteItemsRequest(item_ids=["gone"]))
    await town.draw(market("west", WEST), market("east", EAST))
    await town.is_in("west", *IN_WEST)
    await town.shows(["w"], *ON_BORDER, **only(market="west"))
    await town.draw(market("west", box(10.0, 59.0, 10.8, 60.0)))
    await town.shows(["e", "w"], *ON_BORDER, **only(market="west"))
    await town.call(catalog_pb2.DeleteMarketsRequest(market_ids=["west"]))
    await town.shows(["e"], *ON_BORDER, **only(market="east"))
    await town.is_in("", *IN_WEST)
    assert await town.rows("select distinct market from items where tenant_id = $1 order by 1") == [
        (0,),
        (2,),
    ]
    same = "select item_id from items join postings using (tenant_id, posting, item_id) where tenant_id = $1"
    differ = f"{same} and items.market <> postings.market and deleted_at is null"
    assert await town.rows(differ) == []


async def test_a_disabled_market_has_nothing_and_keeps_its_number(town: Town) -> None:
    (first,) = await town.draw(market("west", WEST))
    await town.is_in("west", *IN_WEST)
    await town.draw(market("west", WEST, disabled=True))
    await town.is_in("", *IN_WEST)
    refusal = await town.refused(nearby(*IN_WEST, **only(market="west")))
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "MARKET_UNKNOWN")
    (listed,) = await town.markets()
    assert (listed.disabled, listed.number) == (True, first.number)
    await town.draw(market("west", WEST))
    await town.is_in("west", *IN_WEST)


async def test_a_number_is_never_given_to_another_market(town: Town) -> None:
    one, two = await town.draw(market("one", WEST), market("two", EAST))
    assert (one.number, two.number, one.created) == (1, 2, True)
    await town.call(catalog_pb2.DeleteMarketsRequest(market_ids=["two"]))
    (three,) = await town.draw(market("three", EAST))
    assert three.number == 3
    (again,) = await town.draw(market("two", EAST))
    assert (again.number, again.created) == (2, True)
    (once_more,) = await town.draw(market("two", EAST))
    assert (once_more.number, once_more.created) == (2, False)


async def test_markets_are_listed_as_they_were_written(town: Town) -> None:
    await town.draw(
        market("b", EAST, display_name="Østkanten", priority=-3),
        market("a", WEST),
        market("c", WEST, disabled=True),
    )
    listed = await town.markets()
    assert [(each.market_id, each.display_name, each.priority, each.disabled) for each in listed] == [
        ("a", "", 0, False),
        ("b", "Østkanten", -3, False),
        ("c", "", 0, True),
    ]
    assert [each.geometry for each in listed] == ["", "", ""]
    assert [each.geometry for each in await town.markets(show_geometry=True)] == [WEST, EAST, WEST]
    assert all(each.created_at.seconds and each.updated_at.seconds for each in listed)


async def test_pages_of_markets_follow_one_another(town: Town) -> None:
    await town.draw(*(market(f"m{number}", WEST) for number in range(5)))
    found, token = [], ""
    while True:
        page = await town.call(catalog_pb2.ListMarketsRequest(page_size=2, page_token=token))
        found += [each.market_id for each in page.markets]
        token = page.next_page_token
        if not token:
            break
        other = catalog_pb2.ListMarketsRequest(page_size=2, page_token=token, show_geometry=True)
        assert (await town.refused(other)).reason == "PAGE_TOKEN_INVALID"
        items = catalog_pb2.ListItemsRequest(page_token=token)
        assert (await town.refused(items)).reason == "PAGE_TOKEN_INVALID"
    assert found == [f"m{number}" for number in range(5)]


async def test_a_bad_market_never_spoils_the_others(town: Town) -> None:
    bow_tie = polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    sent = [market("good", WEST), market("bad", bow_tie), market("good", EAST), market("a b", EAST)]
    sent += [market("", EAST), market("x" * 65, EAST), market("named", EAST, display_name="x" * 301)]
    results = (await town.call(catalog_pb2.UpsertMarketsRequest(markets=sent))).results
    reasons = [ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_") for result in results]
    assert reasons == [
        *("UNSPECIFIED", "POLYGON_INVALID", "DUPLICATE_ID_IN_BATCH", "ID_CHARSET"),
        *("ID_LENGTH", "ID_LENGTH", "TEXT_TOO_LONG"),
    ]
    fields = [result.outcome.field for result in results]
    assert fields == ["", "geometry", *["market_id"] * 4, "display_name"]
    assert {result.outcome.advice for result in results[1:]} == {outcome_pb2.ADVICE_DROP}
    assert [each.market_id for each in await town.markets()] == ["good"]


async def test_a_market_that_is_not_there_cannot_be_deleted_unless_that_is_allowed(town: Town) -> None:
    asked = catalog_pb2.DeleteMarketsRequest(market_ids=["none", "none", "a b"])
    reasons = [ErrorReason.Name(each.outcome.reason) for each in (await town.call(asked)).results]
    assert [reason.removeprefix("ERROR_REASON_") for reason in reasons] == [
        "MARKET_NOT_FOUND",
        "DUPLICATE_ID_IN_BATCH",
        "ID_CHARSET",
    ]
    lenient = catalog_pb2.DeleteMarketsRequest(market_ids=["none"], allow_missing=True)
    assert [result.outcome.code for result in (await town.call(lenient)).results] == [0]


async def test_markets_belong_to_their_tenant(town: Town) -> None:
    await town.draw(market("west", WEST))
    await town.is_in("west", *IN_WEST)
    other = Town(town.gateway, await town.gateway.new_tenant(f"other-{secrets.token_hex(4)}"))
    assert await other.market_at(*IN_WEST) == ""
    assert await other.markets() == []


async def test_what_people_do_counts_in_the_market_they_asked_from(town: Town) -> None:
    await town.draw(market("west", WEST), market("east", EAST))
    await town.is_in("west", *IN_WEST)
    await town.put(item("w", *IN_WEST))
    await town.shows(["w"], *IN_EAST)
    for point in (IN_WEST, IN_EAST, IN_EAST):
        (found,) = (await town.call(recommend(*point))).items
        acts = [
            event_pb2.Event(kind=kind, reward_token=found.reward_token) for kind in ("impression", "save")
        ]
        results = (await town.call(event_pb2.RecordEventsRequest(events=acts))).results
        assert [(result.outcome.code, result.learned) for result in results] == [(0, True)] * 2

    async def counted() -> list[tuple[Any, ...]]:
        sql = "select market, sum(count)::int from item_counts where tenant_id = $1 group by 1 order by 1"
        return await town.rows(sql)

    await eventually(counted, PATIENT_S, lambda rows: rows == [(1, 2), (2, 4)])

    async def served() -> list[tuple[Any, ...]]:
        sql = "select market, sum(count)::int from served_counts where tenant_id = $1 group by 1 order by 1"
        return await town.rows(sql)

    await eventually(served, PATIENT_S, lambda rows: rows == [(1, 1), (2, 2)])
    assert (await verify_stats(town.gateway.pool, 10, tenant_id=town.tenant.tenant_id)).clean


async def test_feeds_are_chosen_alike_in_every_market(town: Town) -> None:
    await town.draw(market("west", WEST))
    await town.is_in("west", *IN_WEST)
    await town.put(item("w", *IN_WEST))
    await town.shows(["w"], *IN_WEST)
    answers = [
        await town.call(recommend(*point, session_id="visit"))
        for _ in range(4)
        for point in (IN_WEST, OUTSIDE)
    ]
    chosen = {(each.policy_epoch, each.feed_propensity) for each in answers if each.feed != "explore"}
    assert len(chosen) == len({epoch for epoch, _ in chosen}) >= 1
    assert {each.market for each in answers} == {"west", ""}


async def test_a_polygon_filter_keeps_what_lies_within_it(town: Town) -> None:
    await town.put(
        item("in", 59.91, 10.75),
        item("edge", 59.92, 10.76),
        item("out", 59.93, 10.75),
        item_pb2.Item(item_id="second", locations=[at(59.93, 10.75), at(59.905, 10.75)]),
    )
    square = box(10.74, 59.90, 10.76, 59.92)
    await town.shows(["edge", "in", "second"], *ON_BORDER, **only(polygon=square))
    answer = await town.call(recommend(*ON_BORDER, **only(polygon=square)))
    assert sorted(each.item_id for each in answer.items) == ["edge", "in", "second"]
    hole = [(10.745, 59.905), (10.755, 59.905), (10.755, 59.915), (10.745, 59.915)]
    frame = polygon([(10.74, 59.90), (10.76, 59.90), (10.76, 59.92), (10.74, 59.92)], hole)
    assert await town.shown(*ON_BORDER, **only(polygon=frame)) == ["edge", "second"]


async def test_a_polygon_filter_across_the_antimeridian_keeps_both_sides(town: Town) -> None:
    fiji = box(179.9, -17.1, -179.9, -16.9)
    await town.put(
        item("e", -17.0, 179.95),
        item("w", -17.0, -179.95),
        item("180", -17.0, 180.0),
        item("far", -17.2, 180.0),
    )
    await town.shows(["180", "e", "w"], -17.0, 179.99, radius_m=30_000, **only(polygon=fiji))


DELIVERY = box(10.6, 59.8, 10.7, 59.9)


async def test_an_item_with_an_area_is_found_from_within_it_and_nowhere_else(town: Town) -> None:
    kitchen = item("kitchen", 59.95, 10.9, reach_area=DELIVERY)
    await town.put(kitchen, item("cafe", 59.85, 10.65))
    await town.shows(["cafe", "kitchen"], 59.85, 10.65, radius_m=100)
    assert await town.shown(59.8, 10.6, radius_m=100) == ["kitchen"]
    assert await town.shown(59.95, 10.9) == []
    found = (await town.call(nearby(59.85, 10.65))).items
    assert [round(each.distance_m, -3) for each in found] == [0, 18_000]
    assert found[1].item.reach_area == DELIVERY
    got = await town.call(catalog_pb2.GetItemRequest(item_id="kitchen"))
    assert got.item.reach_area == DELIVERY
    await town.put(item("kitchen", 59.95, 10.9))
    await town.shows(["kitchen"], 59.95, 10.9)
    assert await town.shown(59.8, 10.6, radius_m=100) == []
    await town.put(kitchen)
    await town.shows(["kitchen"], 59.8, 10.6, radius_m=100)
    await town.call(catalog_pb2.DeleteItemsRequest(item_ids=["kitchen"]))
    await town.shows([], 59.8, 10.6, radius_m=100)
    assert not await town.gateway.redis.execute("EXISTS", redis_keys.areas(town.tenant.tenant_id))


@pytest.mark.parametrize(
    ("area", "inside", "outside"),
    [
        (box(170.0, -20.0, -170.0, -10.0), (-15.0, 180.0), (-15.0, 169.0)),
        (polygon([(0, 80), (90, 80), (180, 80), (-90, 80)]), (90.0, 12.0), (79.0, 0.0)),
        (box(-180.0, -90.0, 180.0, 90.0), (-33.0, 151.0), None),
    ],
)
async def test_an_area_may_lie_anywhere(town: Town, area: str, inside: Any, outside: Any) -> None:
    await town.put(item("x", 10.0, 10.0, reach_area=area))
    await town.shows(["x"], *inside, radius_m=1)
    if outside:
        assert await town.shown(*outside) == []


async def test_a_bad_area_of_an_item_is_its_own_result(town: Town) -> None:
    bow_tie = polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    sent = [
        item("a", reach_area=bow_tie),
        item("b", reach_area=DELIVERY, reach_m=5.0),
        item("c", reach_area="{}"),
    ]
    results = (await town.call(catalog_pb2.UpsertItemsRequest(items=sent))).results
    told = [(each.outcome.field, ErrorReason.Name(each.outcome.reason)) for each in results]
    assert told == [
        ("reach_area", "ERROR_REASON_POLYGON_INVALID"),
        ("reach_area", "ERROR_REASON_REACH_CONFLICT"),
        ("reach_area", "ERROR_REASON_POLYGON_MALFORMED"),
    ]
