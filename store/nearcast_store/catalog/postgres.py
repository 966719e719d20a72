"""Items in Postgres: the record, and the outbox in the same transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from nearcast_catalogue.item import Item
from nearcast_store.catalog.protocol import ItemPage, StoredItem, WriteResult
from nearcast_store.catalog.rows import item_columns, kept_of, posting_columns, served_json
from nearcast_store.catalog.writing import Kept, Writing, begins_life, delete, end_of, write
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.postgres import Connection, Pool, affected
from nearcast_store.queries import queries

_ITEMS = queries("items")
_POSTINGS = queries("postings")
_CHANGES = queries("changes")
_MARKETS = queries("markets")

_LOCK_BUCKETS = 1024
_FEW_ITEMS = 16
_SWEEP_ITEMS = 1000
_PLACED_ITEMS = 500
_PLACED_BATCHES = 20


class PostgresCatalogStore:
    """See CatalogStore. Writers of the same item follow one another; so do large calls of one tenant."""

    def __init__(self, pool: Pool, markets: PostgresMarketStore | None = None) -> None:
        self._pool = pool
        self._markets = markets or PostgresMarketStore(pool)

    async def upsert(self, tenant_id: int, items: Sequence[Item], now: float) -> list[WriteResult]:
        """One transaction for all of them."""
        if not items:
            return []
        now = round(now, 6)  # what Postgres keeps of a time
        async with self._pool.transaction() as connection:
            kept = await _locked(connection, tenant_id, [item.item_id for item in items])
            atlas = await self._markets.within(connection, tenant_id)
            lives = sum(begins_life(kept.get(item.item_id), item, now) for item in items)
            postings = await _next_postings(connection, lives)
            writings = [write(kept.get(item.item_id), item, postings, now, atlas.of(item)) for item in items]
            await _write(connection, tenant_id, writings, now)
        return [writing.result for writing in writings]

    async def delete(self, tenant_id: int, item_ids: Sequence[str], now: float) -> list[WriteResult]:
        """One transaction for all of them; an id named twice is NOT_FOUND the second time."""
        if not item_ids:
            return []
        now = round(now, 6)
        async with self._pool.transaction() as connection:
            kept = await _locked(connection, tenant_id, item_ids)
            writings = [delete(kept.pop(item_id, None), now) for item_id in item_ids]
            await _write(connection, tenant_id, writings, now)
        return [writing.result for writing in writings]

    async def get(self, tenant_id: int, item_id: str) -> StoredItem | None:
        """An expired item is there until its tombstone is forgotten."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_ITEMS["read_items"], tenant_id, [item_id])
        return None if row is None or row["deleted"] else kept_of(row).stored

    async def page(
        self, tenant_id: int, after_item_id: str, size: int, *, expired_too: bool, now: float
    ) -> ItemPage:
        """One more row than asked for says whether there is a next page."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                _ITEMS["page_items"], tenant_id, after_item_id, size + 1, expired_too, now
            )
        items = [kept_of(row).stored for row in rows[:size]]
        return ItemPage(items, items[-1].served.item.item_id if len(rows) > size else None)

    async def sweep(self, now: float) -> int:
        """In transactions of up to 1,000 items of one tenant each."""
        async with self._pool.connection() as connection:
            tenants = await connection.fetch(_ITEMS["find_tenants_with_expired_items"], now)
        ended = 0
        for (tenant_id,) in tenants:
            while count := await self._alone(tenant_id, "end_expired_items", now, _SWEEP_ITEMS):
                ended += count
        return ended

    async def place_anew(self) -> int:
        """In transactions of up to 500 items of one tenant each, in the order of their postings."""
        async with self._pool.connection() as connection:
            tenants = await connection.fetch(_MARKETS["find_tenants_to_place"])
        looked = 0
        for (tenant_id,) in tenants:
            for _ in range(_PLACED_BATCHES):
                count = await self._place_some(tenant_id)
                looked += count
                if count < _PLACED_ITEMS:
                    break
        return looked

    async def _place_some(self, tenant_id: int) -> int:
        async with self._pool.transaction() as connection:
            await connection.execute(_ITEMS["lock_catalogue"], tenant_id)
            placed = await connection.fetchval(_MARKETS["read_placing"], tenant_id)
            if placed is None:
                return 0
            atlas = await self._markets.within(connection, tenant_id)
            rows = await connection.fetch(_ITEMS["read_live_items"], tenant_id, placed, _PLACED_ITEMS)
            kept = [kept_of(row) for row in rows]
            moved = [replace(k, market=atlas.of(k.item)) for k in kept if k.market != atlas.of(k.item)]
            await _move(connection, tenant_id, moved)
            last, done = (kept[-1].posting if kept else placed), len(kept) < _PLACED_ITEMS
            await connection.execute(_MARKETS["note_placing"], tenant_id, atlas.revision, last, done)
        return len(kept)

    async def forget_tombstones(self, before: float) -> int:
        """Forget items that ended before that time, with their versions; how many."""
        async with self._pool.connection() as connection:
            tenants = await connection.fetch(_ITEMS["find_tenants_with_tombstones"], before)
        return sum([await self._alone(tenant_id, "forget_tombstones", before) for (tenant_id,) in tenants])

    async def names(self, tenant_id: int, postings: Sequence[int]) -> dict[int, tuple[str, str]]:
        """From the table of lives, which keeps ended ones."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_POSTINGS["name_postings"], tenant_id, postings)
        return {row["posting"]: (row["item_id"], row["title"]) for row in rows}

    async def regions(self, tenant_id: int, postings: Sequence[int]) -> dict[int, tuple[int, str]]:
        """From the table of lives, which keeps ended ones."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_POSTINGS["place_postings"], tenant_id, postings)
        return {row["posting"]: (row["market"], row["category"]) for row in rows}

    async def owners_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, str]:
        """From the table of lives, which keeps ended ones."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_POSTINGS["read_owners"], tenant_id, postings)
        return {row["posting"]: row["owner"] for row in rows}

    async def items_of(self, tenant_id: int, owners: Sequence[str]) -> dict[int, str]:
        """By an index of those that live."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_POSTINGS["list_owned"], tenant_id, owners)
        return {row["posting"]: row["owner"] for row in rows}

    async def count_by_market(self, tenant_id: int) -> dict[int, int]:
        """Of items whose lives have not ended."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_ITEMS["count_by_market"], tenant_id)
        return {row["market"]: row["count"] for row in rows}

    async def live_regions(self, tenant_id: int, now: float) -> dict[int, tuple[int, str]]:
        """Market and category of every item that may be shown; market 0 and category "" for none."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_ITEMS["list_live_regions"], tenant_id, now)
        return {row["posting"]: (row["market"], row["category"]) for row in rows}

    async def current_postings(self, tenant_id: int, item_ids: Sequence[str]) -> dict[str, int]:
        """Expired items included, like `get`."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_ITEMS["read_current_postings"], tenant_id, item_ids)
        return {row["item_id"]: row["posting"] for row in rows}

    async def _alone(self, tenant_id: int, name: str, *arguments: Any) -> int:
        """Run a statement while nobody else writes items of this tenant; how many rows it wrote."""
        async with self._pool.transaction() as connection:
            await connection.execute(_ITEMS["lock_catalogue"], tenant_id)
            return affected(await connection.execute(_ITEMS[name], tenant_id, *arguments))


async def _locked(connection: Connection, tenant_id: int, item_ids: Sequence[str]) -> dict[str, Kept]:
    """What is kept of these ids, while nobody else can write them."""
    if len(item_ids) > _FEW_ITEMS:
        await connection.execute(_ITEMS["lock_catalogue"], tenant_id)
    else:
        buckets = sorted({1 + crc32(item_id.encode()) % _LOCK_BUCKETS for item_id in item_ids})
        await connection.execute(_ITEMS["lock_items"], tenant_id, buckets)
    rows = await connection.fetch(_ITEMS["read_items"], tenant_id, item_ids)
    return {row["item_id"]: kept_of(row) for row in rows}


async def _next_postings(connection: Connection, count: int) -> Iterator[int]:
    rows = await connection.fetch(_ITEMS["next_postings"], count) if count else []
    return (row["nextval"] for row in rows)


async def _write(connection: Connection, tenant_id: int, writings: Sequence[Writing], now: float) -> None:
    kept = [writing.kept for writing in writings if writing.kept]
    ends = [writing.ends for writing in writings if writing.ends]
    shown = [k for k in kept if k.ended_at is None]
    if kept:
        await connection.execute(_ITEMS["write_items"], tenant_id, *item_columns(kept))
    if shown:
        await connection.execute(_POSTINGS["write_postings"], tenant_id, *posting_columns(shown))
    if ends:
        postings = [end.posting for end in ends]
        await connection.execute(
            _POSTINGS["end_postings"], tenant_id, postings, [end_of(end, now) for end in ends]
        )
    heard = [(end.posting, None) for end in ends] + [(k.posting, served_json(k.served)) for k in shown]
    if heard:
        await connection.execute(_CHANGES["add_outbox"], tenant_id, *zip(*heard, strict=True))


async def _move(connection: Connection, tenant_id: int, moved: Sequence[Kept]) -> None:
    """Items that lie in another market than before, and are otherwise as they were."""
    if not moved:
        return
    places = [(k.item.item_id, k.market) for k in moved]
    await connection.execute(_ITEMS["move_items"], tenant_id, *zip(*places, strict=True))
    await connection.execute(_POSTINGS["write_postings"], tenant_id, *posting_columns(moved))
    heard = [(k.posting, served_json(k.served)) for k in moved]
    await connection.execute(_CHANGES["add_outbox"], tenant_id, *zip(*heard, strict=True))
