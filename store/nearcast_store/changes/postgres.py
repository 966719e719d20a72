"""The change feed in Postgres: rows of the outbox, numbered once they are final."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nearcast_catalogue.item import ServedItem
from nearcast_store.catalog.rows import kept_of, served_of
from nearcast_store.changes.protocol import Change, Refill
from nearcast_store.postgres import Connection, Pool, affected
from nearcast_store.queries import queries

_CHANGES = queries("changes")
_ITEMS = queries("items")
_BATCH_ITEMS = 1000


class PostgresChangeFeed:
    """See ChangeFeed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sequence(self, most: int = 1000) -> int:
        """One transaction; two callers at once follow one another."""
        async with self._pool.transaction() as connection:
            await connection.execute(_CHANGES["lock_sequencing"])
            return affected(await connection.execute(_CHANGES["number_outbox"], most))

    async def after(self, tenant_id: int, sequence: int, most: int) -> list[Change]:
        """From the numbered changes that are kept."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_CHANGES["list_changes"], tenant_id, sequence, most)
        return [Change(row["sequence"], row["posting"], served_of(row["served"])) for row in rows]

    async def last(self, tenant_id: int) -> int:
        """The highest number given so far."""
        return await self._number("read_last_sequence", tenant_id)

    async def oldest_kept(self, tenant_id: int) -> int:
        """The lowest number kept."""
        return await self._number("read_oldest_sequence", tenant_id)

    @asynccontextmanager
    async def refill(self, tenant_id: int) -> AsyncIterator[Refill]:
        """Number and items of one snapshot; the transaction stays open until the block ends."""
        async with self._pool.transaction("repeatable_read", readonly=True) as connection:
            sequence = await connection.fetchval(_CHANGES["read_last_sequence"], tenant_id)
            yield Refill(sequence, _live_items(connection, tenant_id))

    async def prune(self, before: float) -> int:
        """From the start of every tenant's changes."""
        async with self._pool.transaction() as connection:
            return affected(await connection.execute(_CHANGES["prune_changes"], before))

    async def _number(self, name: str, tenant_id: int) -> int:
        async with self._pool.connection() as connection:
            number: int = await connection.fetchval(_CHANGES[name], tenant_id)
        return number


async def _live_items(connection: Connection, tenant_id: int) -> AsyncIterator[list[ServedItem]]:
    posting = 0
    while rows := await connection.fetch(_ITEMS["read_live_items"], tenant_id, posting, _BATCH_ITEMS):
        posting = rows[-1]["posting"]
        yield [kept_of(row).served for row in rows]
