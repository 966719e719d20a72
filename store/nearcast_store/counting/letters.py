"""The dead letters: what could not be stored, kept until somebody settles it, and after that as a record."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from nearcast_store.counting.recounting import read_first_day
from nearcast_store.postgres import Connection, Pool
from nearcast_store.queries import queries

State = Literal["dead", "retried", "discarded"]

_LETTERS = queries("letters")


@dataclass(frozen=True, slots=True)
class Letter:
    """One of them; `entry` is an entry of the log with that event alone, or whatever bytes came."""

    letter_id: int
    tenant_id: int
    shard: int
    entry_id: str
    event_index: int
    reason: str
    detail: str
    entry: bytes
    state: State
    created_at: datetime
    settled_at: datetime | None
    settled_note: str


class Settling:
    """One letter that nobody else can settle meanwhile."""

    def __init__(self, connection: Connection, letter: Letter) -> None:
        self._connection = connection
        self.letter = letter

    async def settle(self, state: Literal["retried", "discarded"], note: str) -> None:
        """Say what became of it; it counts once the whole settling ends well."""
        await self._connection.execute(_LETTERS["settle_letter"], self.letter.letter_id, state, note)

    async def first_day(self) -> date | None:
        """The first day that the ledger holds; None while it holds none."""
        return await read_first_day(self._connection)


class PostgresLetters:
    """Raises StoreUnavailableError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(
        self, tenant_id: int, after: int, most: int, state: State | None, reason: str | None
    ) -> Sequence[Letter]:
        """At most so many with a number above `after`, by number."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_LETTERS["list_letters"], tenant_id, after, state, reason, most)
        return [Letter(*row) for row in rows]

    async def letter(self, tenant_id: int, letter_id: int) -> Letter | None:
        """One of the tenant's."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_LETTERS["read_letter"], tenant_id, letter_id)
        return Letter(*row) if row else None

    async def numbers(self, tenant_id: int) -> Sequence[tuple[State, str, int]]:
        """How many there are by state and reason."""
        async with self._pool.connection() as connection:
            return [tuple(row) for row in await connection.fetch(_LETTERS["count_letters"], tenant_id)]

    @asynccontextmanager
    async def settling(self, tenant_id: int, letter_id: int) -> AsyncIterator[Settling | None]:
        """The letter, locked until the block ends; None when the tenant has no such letter."""
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(_LETTERS["lock_letter"], tenant_id, letter_id)
            yield Settling(connection, Letter(*row)) if row else None
