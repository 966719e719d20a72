"""What every store of markets does, in memory and in Postgres, together with its catalogue."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.errors import DataRefusedError
from nearcast_store.markets import writing
from nearcast_store.markets.memory import MemoryMarketStore
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.markets.protocol import Market, MarketVerdict, StoredMarket
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.geojsons import box

NOW = 1_790_000_000.25
WRITTEN, LIMIT, NOT_FOUND = MarketVerdict.WRITTEN, MarketVerdict.LIMIT, MarketVerdict.NOT_FOUND
WEST, EAST = box(10.0, 59.0, 11.0, 60.0), box(11.0, 59.0, 12.0, 60.0)


@dataclass(slots=True)
class World:
    """Markets, the items that lie in them, the feed that hears of those, and two tenants."""

    markets: MemoryMarketStore | PostgresMarketStore
    catalog: MemoryCatalogStore | PostgresCatalogStore
    feed: MemoryChangeFeed | PostgresChangeFeed
    tenant: int
    other: int

    async def draw(self, *markets: Market, now: float = NOW) -> list[tuple[MarketVerdict, int, bool]]:
        results = await self.markets.upsert(self.tenant, markets, now)
        return [(result.verdict, result.number, result.created) for result in results]

    async def delete(self, *market_ids: str) -> list[tuple[MarketVerdict, int]]:
        results = await self.markets.delete(self.tenant, market_ids, NOW + 1)
        return [(result.verdict, result.number) for result in results]

    async def listed(self, with_geometry: bool = False) -> list[StoredMarket]:
        return list((await self.markets.page(self.tenant, "", 100, with_geometry=with_geometry)).markets)

    async def at(self, lat: float, lon: float) -> int:
        return (await self.markets.atlas(self.tenant)).at(lat, lon)

    async def put(self, **longitudes: float) -> None:
        items = [Item(ItemId(item_id), (Place(59.5, lon),)) for item_id, lon in longitudes.items()]
        await self.catalog.upsert(self.tenant, items, NOW)

    async def market_of(self, item_id: str) -> int | None:
        stored = await self.catalog.get(self.tenant, item_id)
        return None if stored is None else stored.served.market

    async def heard(self) -> list[tuple[str, int, int]]:
        """Id, version and market of everything told so far, in order."""
        while await self.feed.sequence():
            pass
        changes = await self.feed.after(self.tenant, 0, 1000)
        return [(c.served.item.item_id, c.served.version, c.served.market) for c in changes if c.served]

    async def place(self) -> int:
        """Until everything is where it belongs; how many were looked at."""
        looked = 0
        while count := await self.catalog.place_anew():
            looked += count
        return looked


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def world(dsn: str | None) -> AsyncIterator[World]:
    if dsn is None:
        feed, markets = MemoryChangeFeed(lambda: NOW), MemoryMarketStore()
        yield World(markets, MemoryCatalogStore(feed, markets), feed, 1, 2)
        return
    pool = await open_pool(dsn, size=6, timeout_s=10.0)
    yield await postgres_world(pool)
    await pool.close()


async def postgres_world(pool: Pool) -> World:
    tenants, drawn = PostgresTenantStore(pool, lambda: NOW), PostgresMarketStore(pool)
    one, two = await tenants.ensure_tenant("one", "One"), await tenants.ensure_tenant("two", "Two")
    return World(drawn, PostgresCatalogStore(pool, drawn), PostgresChangeFeed(pool), one, two)


def market(
    market_id: str, geometry: str = WEST, priority: int = 0, disabled: bool = False, name: str = ""
) -> Market:
    return Market(market_id, name, geometry, read_area(geometry, MARKET_LIMITS), priority, disabled)


async def test_a_market_comes_back_as_it_was_written(world: World) -> None:
    await world.draw(market("west", priority=-7, name="Vestlandet"), market("east", EAST, disabled=True))
    east, west = await world.listed(with_geometry=True)
    assert west == StoredMarket("west", 1, "Vestlandet", -7, False, NOW, NOW, WEST)
    assert east == StoredMarket("east", 2, "", 0, True, NOW, NOW, EAST)


async def test_numbers_count_up_and_stay_with_their_market(world: World) -> None:
    assert await world.draw(market("b"), market("a")) == [(WRITTEN, 1, True), (WRITTEN, 2, True)]
    assert await world.draw(market("a", EAST), now=NOW + 60) == [(WRITTEN, 2, False)]
    assert await world.delete("a", "c") == [(WRITTEN, 2), (NOT_FOUND, 0)]
    assert await world.delete("a") == [(NOT_FOUND, 0)]
    assert await world.draw(market("c"), market("a")) == [(WRITTEN, 3, True), (WRITTEN, 2, True)]
    assert [each.number for each in await world.listed()] == [2, 1, 3]
    assert [(each.created_at, each.updated_at) for each in await world.listed()] == [(NOW, NOW)] * 3


async def test_points_lie_in_the_market_of_the_highest_priority_then_the_lowest_number(world: World) -> None:
    await world.draw(market("first"), market("second"), market("east", EAST))
    assert [await world.at(59.5, lon) for lon in (9.0, 10.5, 11.0, 11.5)] == [0, 1, 1, 3]
    await world.draw(market("second", priority=1))
    assert [await world.at(59.5, lon) for lon in (10.5, 11.0, 11.5)] == [2, 2, 3]
    await world.draw(market("second", priority=1, disabled=True))
    assert await world.at(59.5, 10.5) == 1
    await world.delete("first")
    assert [await world.at(59.5, lon) for lon in (10.5, 11.0)] == [0, 3]


async def test_an_atlas_knows_the_ids_of_enabled_markets(world: World) -> None:
    await world.draw(market("west"), market("east", EAST, disabled=True))
    atlas = await world.markets.atlas(world.tenant)
    assert dict(atlas.numbers) == {"west": 1}
    assert [atlas.id_of(number) for number in (0, 1, 2)] == ["", "west", ""]


async def test_an_atlas_stays_the_same_until_a_border_moves(world: World) -> None:
    await world.draw(market("west"))
    before = await world.markets.atlas(world.tenant)
    await world.draw(market("west"))
    await world.draw(market("west", name="Another name"))
    assert await world.markets.atlas(world.tenant) is before
    assert [each.display_name for each in await world.listed()] == ["Another name"]
    await world.draw(market("west", EAST))
    assert (await world.markets.atlas(world.tenant)).revision > before.revision


async def test_markets_belong_to_their_tenant(world: World) -> None:
    await world.draw(market("west"))
    assert (await world.markets.atlas(world.other)).at(59.5, 10.5) == 0
    assert not (await world.markets.page(world.other, "", 10, with_geometry=False)).markets
    (first,) = await world.markets.upsert(world.other, [market("mine")], NOW)
    assert first.number == 1


async def test_there_is_a_greatest_number_of_markets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_MARKETS", 2)
    results = await world.draw(market("a"), market("b"), market("c"))
    assert results == [(WRITTEN, 1, True), (WRITTEN, 2, True), (LIMIT, 0, False)]
    assert await world.draw(market("a", EAST), market("c")) == [(WRITTEN, 1, False), (LIMIT, 0, False)]
    await world.delete("a")
    assert await world.draw(market("c"), market("a")) == [(WRITTEN, 3, True), (LIMIT, 0, False)]


async def test_numbers_end_somewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MOST_NUMBERS", 1)
    assert await world.draw(market("a"), market("b")) == [(WRITTEN, 1, True), (LIMIT, 0, False)]


async def test_pages_follow_one_another_in_the_order_of_bytes(world: World) -> None:
    await world.draw(*[market(name) for name in ("b", "B", "a-1", "_")])
    first = await world.markets.page(world.tenant, "", 2, with_geometry=False)
    assert ([each.market_id for each in first.markets], first.last_market_id) == (["B", "_"], "_")
    rest = await world.markets.page(world.tenant, "_", 2, with_geometry=False)
    assert ([each.market_id for each in rest.markets], rest.last_market_id) == (["a-1", "b"], None)


async def test_an_item_lies_where_it_is_written(world: World) -> None:
    await world.draw(market("west"), market("east", EAST))
    await world.put(w=10.5, e=11.5, border=11.0, out=9.0)
    assert [await world.market_of(name) for name in ("w", "e", "border", "out")] == [1, 2, 1, 0]
    places = (Place(0.0, 0.0), Place(59.5, 11.5), Place(59.5, 10.5))
    await world.catalog.upsert(world.tenant, [Item(ItemId("several"), places)], NOW)
    assert await world.market_of("several") == 2
    await world.put(w=11.5)
    assert await world.market_of("w") == 2
    assert ("several", 1, 2) in await world.heard()


async def test_items_are_placed_anew_when_borders_move_and_only_what_moved_is_told(world: World) -> None:
    await world.put(w=10.5, e=11.5, out=9.0)
    assert await world.place() == 0
    await world.draw(market("west"))
    assert await world.place() == 3
    assert [await world.market_of(name) for name in ("w", "e", "out")] == [1, 0, 0]
    assert (await world.heard())[3:] == [("w", 1, 1)]
    await world.draw(market("east", EAST))
    await world.delete("west")
    assert await world.place() == 3
    assert (await world.heard())[4:] == [("w", 1, 0), ("e", 1, 2)]
    assert await world.place() == 0


async def test_what_is_gone_is_not_placed(world: World) -> None:
    await world.put(gone=10.5, stays=10.5)
    await world.catalog.delete(world.tenant, ["gone"], NOW)
    await world.draw(market("west"))
    assert await world.place() == 1
    assert (await world.heard())[2:] == [("stays", 1, 1)]


async def test_the_same_version_written_again_stays_where_it_was_placed(world: World) -> None:
    once = Item(ItemId("w"), (Place(59.5, 10.5),), version=4)
    await world.catalog.upsert(world.tenant, [once], NOW)
    await world.draw(market("west"))
    await world.place()
    await world.catalog.upsert(world.tenant, [once], NOW)
    assert await world.market_of("w") == 1
    assert await world.heard() == [("w", 4, 0), ("w", 4, 1)]


async def test_items_written_while_borders_move_end_where_they_belong(database: str) -> None:
    pool = await open_pool(database, size=8, timeout_s=20.0)
    world, twin = await postgres_world(pool), await postgres_world(pool)

    async def write(each: World, name: str) -> None:
        for number in range(15):
            await each.put(**{f"{name}{number}": 10.05 + number / 10})

    async def move() -> None:
        for step in range(12):
            border = 10.1 + step / 8
            await world.draw(market("west", box(10.0, 59.0, border, 60.0)))
            await twin.catalog.place_anew()

    await asyncio.gather(write(world, "a"), write(twin, "b"), write(twin, "c"), move())
    await world.place()
    atlas = await world.markets.atlas(world.tenant)
    for name in ("a", "b", "c"):
        for number in range(15):
            expected = atlas.at(59.5, 10.05 + number / 10)
            assert await world.market_of(f"{name}{number}") == expected
    assert {await world.at(59.5, lon) for lon in (10.5, 11.9)} == {0, 1}
    await pool.close()


async def test_many_items_are_placed_over_several_turns(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_store.catalog.postgres._PLACED_ITEMS", 3)
    monkeypatch.setattr("nearcast_store.catalog.postgres._PLACED_BATCHES", 2)
    pool = await open_pool(database, size=4, timeout_s=10.0)
    world = await postgres_world(pool)
    await world.put(**{f"i{number:02}": 10.5 for number in range(20)})
    await world.draw(market("west"))
    assert await world.catalog.place_anew() == 6
    await world.draw(market("west", EAST), market("late"))
    assert [await world.catalog.place_anew() for _ in range(5)] == [6, 6, 6, 2, 0]
    assert {await world.market_of(f"i{number:02}") for number in range(20)} == {2}
    await pool.close()


async def test_a_tenant_that_is_not_there_has_no_markets(database: str) -> None:
    pool = await open_pool(database, size=2, timeout_s=10.0)
    with pytest.raises(DataRefusedError, match="there is no tenant 999"):
        await PostgresMarketStore(pool).upsert(999, [market("west")], NOW)
    assert (await PostgresMarketStore(pool).atlas(999)).at(59.5, 10.5) == 0
    await pool.close()
