"""How far a source is read, what was refused of it, and how it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

MOST_REJECTS = 10_000
MOST_SHOWN_CHARS = 200

_SOURCES = queries("sources")


class Cursor(NamedTuple):
    """The last row that was read: its time in unix seconds, and its place as the table writes it."""

    seconds: float
    time: str
    id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that became no event; the key is a hash of its id."""

    key: bytes
    id: str
    time: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one page came to; `settled` are keys of rows that are refused no more."""

    cursor: Cursor | None
    read: int
    accepted: int
    refused: Sequence[Refused]
    settled: Sequence[bytes]


class Reject(NamedTuple):
    """A refused row as it is kept."""

    reject_id: int
    row_id: str
    row_time: str
    reason: str
    detail: str
    rejected_at: datetime


class Status(NamedTuple):
    """How a source does; None for what never was."""

    row_seconds: float | None
    row_time: str | None
    row_id: str | None
    read: int
    accepted: int
    refused: int
    moved_at: datetime | None
    caught_up_at: datetime | None
    trouble: str
    troubled_at: datetime | None


class PostgresSourceCursors:
    """In our own database. Raises StoreUnavailableError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def cursor(self, tenant_id: int, source: str) -> Cursor | None:
        """None before the first row."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_SOURCES["read_cursor"], tenant_id, source)
        return None if row is None else Cursor(*row)

    async def move(self, tenant_id: int, source: str, step: Step) -> Sequence[str]:
        """Remember a page whose events the log has; the reasons of rows that are newly refused."""
        async with self._pool.transaction() as connection:
            if step.settled:
                await connection.execute(_SOURCES["drop_rejects"], tenant_id, source, list(step.settled))
            new: list[str] = []
            if step.refused:
                rows = await connection.fetch(
                    _SOURCES["add_rejects"], tenant_id, source, *_columns(step.refused)
                )
                new = [row["reason"] for row in rows]
                await connection.execute(_SOURCES["forget_rejects"], tenant_id, source, MOST_REJECTS)
            if step.cursor is not None:
                counts = (step.read, step.accepted, len(new))
                await connection.execute(_SOURCES["move_cursor"], tenant_id, source, *step.cursor, *counts)
        return new

    async def caught_up(self, tenant_id: int, source: str) -> None:
        """Everything there is has been read."""
        async with self._pool.connection() as connection:
            await connection.execute(_SOURCES["note_caught_up"], tenant_id, source)

    async def troubled(self, tenant_id: int, source: str, trouble: str) -> None:
        """It cannot be read now, and why."""
        async with self._pool.connection() as connection:
            await connection.execute(_SOURCES["note_trouble"], tenant_id, source, trouble)

    async def status(self, tenant_id: int, source: str) -> Status:
        """Also of a source that never ran."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_SOURCES["read_status"], tenant_id, source)
        assert row is not None
        return Status(*row)

    async def rejects(
        self, tenant_id: int, source: str, after: int, most: int, reason: str | None
    ) -> Sequence[Reject]:
        """At most so many with a number above `after`, by number."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SOURCES["list_rejects"], tenant_id, source, after, reason, most)
        return [Reject(*row) for row in rows]

    async def reasons(self, tenant_id: int, source: str) -> dict[str, int]:
        """How many rows are refused now, by reason."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SOURCES["count_rejects"], tenant_id, source)
        return {row["reason"]: row["rejects"] for row in rows}


def _columns(refused: Sequence[Refused]) -> tuple[list[bytes] | list[str], ...]:
    # A page may hold an id twice, a statement may not.
    each = list({row.key: row for row in refused}.values())
    return (
        [row.key for row in each],
        [row.id[:MOST_SHOWN_CHARS] for row in each],
        [row.time[:MOST_SHOWN_CHARS] for row in each],
        [row.reason for row in each],
        [row.detail for row in each],
    )
