"""Markets in Postgres. Borders move while nobody writes items of the tenant, so that no item is placed by old
ones after they have moved.
"""

import asyncio
from collections.abc import Sequence

from asyncpg import Record

from nearcast_geo.area import Area
from nearcast_store.errors import DataRefusedError
from nearcast_store.markets.atlas import NO_MARKETS, Atlas, Ranked
from nearcast_store.markets.protocol import Market, MarketPage, MarketWrite, StoredMarket
from nearcast_store.markets.writing import KeptMarket, MarketWriting, delete_market, write_markets
from nearcast_store.postgres import Connection, Pool
from nearcast_store.queries import queries

_MARKETS = queries("markets")
_ITEMS = queries("items")
_TENANTS = queries("tenants")
_POLICIES = queries("policies")


class PostgresMarketStore:
    """See MarketStore. Draws an atlas once per revision and process, in a thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._atlases: dict[int, Atlas] = {}
        self._drawing: dict[tuple[int, int], asyncio.Task[Atlas]] = {}

    async def upsert(self, tenant_id: int, markets: Sequence[Market], now: float) -> list[MarketWrite]:
        """One transaction for all of them."""
        if not markets:
            return []
        async with self._pool.transaction() as connection:
            await _lock(connection, tenant_id)
            kept = await _kept(connection, tenant_id, [market.market_id for market in markets])
            live = await connection.fetchval(_MARKETS["count_markets"], tenant_id)
            rows = await connection.fetch(_MARKETS["list_market_numbers"], tenant_id)
            numbers = [row["number"] for row in rows]
            writings = write_markets(kept, numbers, live, markets, round(now, 6))
            await _write(connection, tenant_id, writings, set(numbers))
        return [writing.result for writing in writings]

    async def delete(self, tenant_id: int, market_ids: Sequence[str], now: float) -> list[MarketWrite]:
        """One transaction for all of them."""
        async with self._pool.transaction() as connection:
            await _lock(connection, tenant_id)
            kept = await _kept(connection, tenant_id, market_ids)
            writings = [delete_market(kept.get(market_id), now) for market_id in market_ids]
            gone = [writing.result.number for writing in writings if writing.moves]
            if gone:
                await connection.execute(_MARKETS["delete_markets"], tenant_id, gone, now)
                await connection.execute(_MARKETS["move_borders"], tenant_id)
        return [writing.result for writing in writings]

    async def page(
        self, tenant_id: int, after_market_id: str, size: int, *, with_geometry: bool
    ) -> MarketPage:
        """One more row than asked for says whether there is a next page."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                _MARKETS["page_markets"], tenant_id, after_market_id, size + 1, with_geometry
            )
        markets = [_stored(row) for row in rows[:size]]
        return MarketPage(markets, markets[-1].market_id if len(rows) > size else None)

    async def atlas(self, tenant_id: int) -> Atlas:
        """The markets as they are now."""
        async with self._pool.connection() as connection:
            return await self.within(connection, tenant_id)

    async def within(self, connection: Connection, tenant_id: int) -> Atlas:
        """The markets as this connection sees them; for as long as it keeps items locked they stay so."""
        revision = await connection.fetchval(_MARKETS["read_market_revision"], tenant_id)
        known = self._atlases.get(tenant_id, NO_MARKETS)
        if known.revision == revision:
            return known
        rows = await connection.fetch(_MARKETS["read_atlas"], tenant_id)
        atlas = await self._drawn(tenant_id, rows)
        if atlas.revision > self._atlases.get(tenant_id, NO_MARKETS).revision:
            self._atlases[tenant_id] = atlas
        return atlas

    async def _drawn(self, tenant_id: int, rows: Sequence[Record]) -> Atlas:
        """Whoever waits for an atlas while it is drawn is given that one."""
        key = (tenant_id, rows[0]["revision"])
        task = self._drawing.get(key)
        if task is None:
            task = self._drawing[key] = asyncio.create_task(asyncio.to_thread(_draw, rows))
            task.add_done_callback(lambda _: self._drawing.pop(key, None))
        return await asyncio.shield(task)


def _draw(rows: Sequence[Record]) -> Atlas:
    return Atlas(
        rows[0]["revision"],
        [
            Ranked(row["number"], row["market_id"], row["priority"], Area.from_wkb(row["area"]))
            for row in rows
            if row["number"] is not None
        ],
    )


async def _lock(connection: Connection, tenant_id: int) -> None:
    """Whoever gives numbers waits for whoever does so already, and for those who write items."""
    if await connection.fetchval(_TENANTS["lock_tenant"], tenant_id) is None:
        raise DataRefusedError(f"there is no tenant {tenant_id}")
    await connection.execute(_ITEMS["lock_catalogue"], tenant_id)


async def _kept(connection: Connection, tenant_id: int, market_ids: Sequence[str]) -> dict[str, KeptMarket]:
    rows = await connection.fetch(_MARKETS["read_markets"], tenant_id, market_ids)
    return {row["market_id"]: KeptMarket(_stored(row), row["deleted"]) for row in rows}


def _stored(row: Record) -> StoredMarket:
    return StoredMarket(
        row["market_id"],
        row["number"],
        row["display_name"],
        row["priority"],
        row["disabled"],
        row["created_at"],
        row["updated_at"],
        row["geometry"],
    )


async def _write(
    connection: Connection, tenant_id: int, writings: Sequence[MarketWriting], known: set[int]
) -> None:
    rows = [
        (
            *(stored.number, stored.market_id, stored.display_name, stored.priority, stored.disabled),
            *(stored.geometry, writing.market.area.wkb, stored.created_at, stored.updated_at),
        )
        for writing in writings
        if writing.kept and writing.market
        for stored in (writing.kept.stored,)
    ]
    new = [("market", row[1], row[0]) for row in rows if row[0] not in known]
    if new:
        await connection.execute(_POLICIES["add_slugs"], tenant_id, *zip(*new, strict=True))
    if rows:
        await connection.execute(_MARKETS["write_markets"], tenant_id, *zip(*rows, strict=True))
    if any(writing.moves for writing in writings):
        await connection.execute(_MARKETS["move_borders"], tenant_id)
