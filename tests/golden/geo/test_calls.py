"""The same worlds over gRPC: what a phone asks, and what it is told."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from nearcast.v1 import catalog_pb2, item_pb2, recommend_pb2
from nearcast_config.process import Replica
from nearcast_server.placement import files_of
from tests import towns
from tests.crews import clear_away
from tests.gateways import (
    Gateway,
    at,
    eventually,
    item,
    make_config,
    nearby,
    recommend,
    running_gateway,
    running_keeper,
)
from tests.golden.geo.worlds import (
    AROUND_MIDTOWN,
    AT_THE_LIMIT,
    DATE_LINE,
    FROM_MIDTOWN,
    MIDTOWN,
    NEW_YORK,
    ORIGIN,
    PARIS,
    SAID_M,
    Members,
    Position,
)
from tests.replicahouse import Scribe
from tests.services import new_database

# The first answer may have to wait for machine code that is only now made.
PATIENT_S = 120.0
# How soon keeper, scribe and gateway look for what is new: each test has a tenant of its own.
PACES = (
    "nearcast_statskeeper.roster.TENANTS_STALE_S",
    "nearcast_server.scribeapp.TENANTS_EVERY_S",
    "nearcast_server.candidates.REFRESH_EVERY_S",
)
NOT_YET = recommend_pb2.DEGRADED_REASON_CANDIDATES_FROM_REDIS


@pytest.fixture(scope="module", params=["redis", "auto"])
async def working(
    request: pytest.FixtureRequest,
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Gateway]:
    """A gateway with a keeper behind it, and a scribe beside it where candidates come from a replica."""
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        replica = Replica(directory=str(tmp_path_factory.mktemp("replica")), shadow_share=1.0)
        config = make_config(dsn, next(_redis_databases), candidates=request.param)
        config = msgspec.structs.replace(config, replica=replica)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for pace in PACES:
            patch.setattr(pace, 0.05)
        await stack.enter_async_context(running_keeper(config))
        gateway = await stack.enter_async_context(running_gateway(config))
        if request.param == "auto":
            await stack.enter_async_context(Scribe(config))
        yield gateway
        known = [tenant_id for tenant_id, _ in await gateway.store.tenants()]
        assert 'shadow_checks_total{outcome="different"}' not in await gateway.metrics()
    for tenant_id in known:
        clear_away(files_of(config)(tenant_id))


class Town(towns.Town):
    """One tenant's items, and questions about them."""

    async def put(self, *items: item_pb2.Item) -> list[catalog_pb2.ItemResult]:
        """Written, and where candidates come from: a mark written after them is found there."""
        mark = item(f"mark-{secrets.token_hex(4)}", -45.0, 100.0, title="mark")
        results = await super().put(*items, mark)

        async def marks() -> list[str]:
            listing = await self.call(nearby(-45.0, 100.0, limit=100))
            return [] if NOT_YET in listing.degraded_reasons else [found.item_id for found in listing.items]

        await eventually(marks, PATIENT_S, lambda found: mark.item_id in found)
        return results

    async def settle(self, members: Members) -> None:
        await self.put(*(item(name, lat, lon) for name, (lon, lat) in ids(members).items()))

    async def near(self, position: Position, **asked: Any) -> list[recommend_pb2.NearbyItem]:
        lon, lat = position
        return list((await self.call(nearby(lat, lon, **asked))).items)

    async def names(self, position: Position, **asked: Any) -> list[str]:
        return [found.item_id for found in await self.near(position, **asked)]


def ids(members: Members) -> Members:
    """Under names that may be item ids."""
    return {as_id(name): place for name, place in members.items()}


def as_id(name: str) -> str:
    return name.replace(" ", "-").replace("/", "").replace(",", "")


@pytest.fixture
async def town(working: Gateway) -> Town:
    return Town(working, await working.new_tenant(f"golden-{secrets.token_hex(4)}"))


async def test_new_york_is_told_from_near_to_far_on_one_page_and_on_many(town: Town) -> None:
    await town.settle(NEW_YORK)
    order = [as_id(name) for name in AROUND_MIDTOWN]
    found = await town.near(MIDTOWN, radius_m=30_000.0)
    assert [each.item_id for each in found] == order
    assert [each.distance_m for each in found] == pytest.approx(FROM_MIDTOWN, abs=SAID_M)
    assert await town.names(MIDTOWN, radius_m=3000.0) == order[:3]
    assert await town.names(MIDTOWN, radius_m=10_000.0, limit=3) == order[:3]
    paged, token = [], ""
    while True:
        page = await town.call(nearby(MIDTOWN[1], MIDTOWN[0], radius_m=30_000.0, limit=2, page_token=token))
        paged += [each.item_id for each in page.items]
        token = page.next_page_token
        if not token:
            break
    assert paged == order


async def test_pages_of_what_a_filter_leaves_neither_repeat_nor_skip(town: Town) -> None:
    """Every third has the tag; two of them on the first page, one on each page after it."""
    tags = [item_pb2.Tag(name="wanted")]
    await town.put(
        *(item(f"i{n:02}", 20.0 + n / 1000, 20.0, tags=tags if n % 3 == 0 else []) for n in range(15))
    )
    asked = {"filter": recommend_pb2.Filter(tags_any=["wanted"]), "radius_m": 5000.0}
    paged, token = [], ""
    for limit in (2, 2, 2):
        page = await town.call(nearby(20.0, 20.0, limit=limit, page_token=token, **asked))
        paged += [each.item_id for each in page.items]
        token = page.next_page_token
    assert paged == ["i00", "i03", "i06", "i09", "i12"]
    assert token == ""


@pytest.mark.parametrize("place", [(0.0, 0.0), (-0.0, -0.0), (12.5, 0.0), (0.0, 12.5)], ids=str)
async def test_zero_degrees_are_a_place_like_any_other(town: Town, place: Position) -> None:
    await town.settle({"here": place})
    (found,) = await town.near(place, radius_m=1.0)
    assert (found.item_id, found.distance_m) == ("here", 0.0)
    assert (await town.call(recommend(place[1], place[0], radius_m=1.0))).items[0].item_id == "here"


@pytest.mark.parametrize(
    ("members", "center", "inside"),
    [
        (PARIS, (2.35, 48.85), ["east, inside", "north, inside"]),
        (ORIGIN, (0.0, 0.0), ["east", "at the edge"]),
    ],
)
async def test_five_kilometres_end_where_they_should(
    town: Town, members: Members, center: Position, inside: list[str]
) -> None:
    await town.settle(members)
    assert await town.names(center) == [as_id(name) for name in inside]


@pytest.mark.parametrize("lon", [180.0, -180.0])
async def test_the_date_line_hides_nobody_whichever_way_it_is_written(town: Town, lon: float) -> None:
    await town.settle({**DATE_LINE, "line": (lon, 0.0)})
    for center in (180.0, -180.0, 179.9999, -179.9999):
        assert sorted(await town.names((center, 0.0))) == ["east", "line", "west"]


async def test_the_north_is_searched_beyond_where_redis_ends(town: Town) -> None:
    await town.settle({**AT_THE_LIMIT, "beyond": (10.0, 85.06), "cap": (-17.817, 89.985)})
    assert await town.names(AT_THE_LIMIT["below"], radius_m=10.0) == ["below", "edge"]
    assert await town.names(AT_THE_LIMIT["below"]) == ["below", "edge", "beyond"]
    assert await town.names((-17.817, 89.981), radius_m=1000.0) == ["cap"]


async def test_latitude_and_longitude_that_were_swapped_are_another_place(town: Town) -> None:
    """Both orders are places on the earth, so the fields have names and no order."""
    await town.put(item("york", 40.7, -73.9))
    assert await town.names((-73.9, 40.7)) == ["york"]
    assert await town.names((40.7, -73.9)) == []


async def test_an_item_put_again_is_one_item_at_its_new_place(town: Town) -> None:
    for lat in (45.0, 45.0, 45.02):
        await town.put(item("mover", lat, 7.0))
    assert await town.names((7.0, 45.0), radius_m=1000.0) == []
    assert await town.names((7.0, 45.02), radius_m=1000.0) == ["mover"]


async def test_of_two_places_the_nearer_is_told(town: Town) -> None:
    chain = item_pb2.Item(item_id="chain", locations=[at(45.0, 7.1), at(0.0, 0.0), at(45.0, 7.01)])
    await town.put(chain)
    (found,) = await town.near((7.0, 45.0), radius_m=50_000.0)
    assert (found.location_index, round(found.distance_m, -1)) == (2, 790.0)


async def test_an_item_that_ships_is_found_from_as_far_as_it_ships(town: Town) -> None:
    await town.put(item("ships", 45.135, 7.0, reach_m=20_000.0), item("stays", 45.036, 7.0, reach_m=3000.0))
    assert await town.names((7.0, 45.0), radius_m=5000.0) == ["ships"]
    assert await town.names((7.0, 44.94), radius_m=5000.0) == []


async def test_too_few_nearby_are_looked_for_farther_away_and_found_as_by_one_look(town: Town) -> None:
    await town.settle({f"i{n:02}": (7.0, 45.0 + n / 40.0) for n in range(12)})
    slate = await town.call(recommend(45.0, 7.0, limit=6, radius_m=5000.0))
    assert slate.radius_used_m == 20_000.0
    at_once = await town.call(recommend(45.0, 7.0, limit=100, radius_m=20_000.0))
    assert len(at_once.items) > 6
    everyone = {each.item_id for each in at_once.items if each.distance_m <= 20_000.0}
    assert {each.item_id for each in slate.items} <= everyone


async def test_the_same_question_has_the_same_distances_every_time(town: Town) -> None:
    await town.settle(NEW_YORK)
    first = [(each.item_id, each.distance_m) for each in await town.near(MIDTOWN, radius_m=30_000.0)]
    for _ in range(3):
        again = await town.near(MIDTOWN, radius_m=30_000.0)
        assert [(each.item_id, each.distance_m) for each in again] == first
