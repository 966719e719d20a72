"""Old counts by the day instead of by the hour, and the ledger without the days that nobody can repeat.

A day's events go first; after that nothing adds to its counts. Its hours are then summed piece by piece, each
in a transaction of its own: while one writes for long, no item's change is numbered, and every gateway reads
whatever was counted since again and again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from nearcast_store.counting.partitions import partition_of
from nearcast_store.counting.recounting import first_hour, read_first_day
from nearcast_store.postgres import Connection, Pool, affected
from nearcast_store.queries import queries

_COMPACTION = queries("compaction")
_EVENTS = queries("events")
# Folds queue up behind whoever waits for the whole ledger; a long report is no reason to hold them up.
_LOCK_WAIT = "set local lock_timeout = '3s'"
# A session keeps its epoch for a day, and a gateway may hear of the next one late.
_SESSIONS_END_AFTER = timedelta(days=2)
# Rows of counts that a transaction looks at; one posting's are not divided.
_PIECE_ROWS = 5_000
_HOURS = 24
_BEFORE_ALL, _AFTER_ALL = -1, 2**63 - 1


async def _always() -> bool:
    return True


class Compaction:
    """Whatever is broken off, by an error or when `go_on` says so before a piece, goes on where it was.

    Raises StoreUnavailableError.
    """

    def __init__(
        self, pool: Pool, go_on: Callable[[], Awaitable[bool]] = _always, piece_rows: int = _PIECE_ROWS
    ) -> None:
        self._pool = pool
        self._go_on = go_on
        self._piece_rows = piece_rows

    async def tenant_ids(self) -> list[int]:
        """Every tenant, suspended ones too: what they have in the log may be folded one day."""
        async with self._pool.connection() as connection:
            return [row["tenant_id"] for row in await connection.fetch(_COMPACTION["list_all_tenants"])]

    async def now_s(self) -> float:
        """What time it is for Postgres."""
        now: float = await self._read("read_clock")
        return now

    async def drop_day(self, before: date) -> date | None:
        """Drop the events of the ledger's oldest day, if it lies before that one; no fold adds to it then."""
        async with self._pool.transaction() as connection:
            await connection.execute(_LOCK_WAIT)
            await connection.execute(_EVENTS["lock_partitions"])
            day: date | None = await connection.fetchval(_COMPACTION["find_day"], before)
            if day is not None:
                await connection.execute(f"drop table {partition_of(day)}")
                await connection.execute(_COMPACTION["note_drop"], day)
        return day

    async def sum_hours(self) -> int:
        """Sum the hours of all days that were dropped, whatever was counted by them; how many."""
        days = await self._days("list_unsummed")
        if not days:
            return 0
        hours, summed = (first_hour(days[0]), first_hour(days[-1]) + _HOURS - 1), 0
        for next_posting, change in (
            ("find_next_posting", "sum_hours"),
            ("find_next_served_posting", "sum_served_hours"),
        ):
            async for piece in self._pieces(next_posting):
                if not await self._go_on():
                    return summed
                summed += await self._read(change, *piece, *hours)
        async with self._pool.connection() as connection:
            feed_hours = await connection.fetch(_COMPACTION["list_feed_hours"], *hours)
        for feed_hour in feed_hours:
            if not await self._go_on():
                return summed
            summed += await self._sum_feed_hour(*feed_hour)
        await self._change("note_compaction", days)
        return summed

    async def clear(self, after_s: float) -> int:
        """Delete the zeros of days that were summed so long ago; how many."""
        cleared = 0
        for day in await self._days("list_uncleared", after_s):
            await self._change("begin_clearing", day)
            first = first_hour(day)
            async for piece in self._pieces("find_next_posting"):
                if not await self._go_on():
                    return cleared
                cleared += await self._change("clear_hours", *piece, first, first + _HOURS - 1, day)
            await self._change("note_clearing", day)
        return cleared

    async def prune_trials(self, before: date) -> int:
        """Forget which sessions were shown which feed in epochs that ended long before that day; how many."""
        async with self._pool.connection() as connection:
            first = datetime.combine(await _first_held(connection, before), time(), UTC)
            epochs = await connection.fetch(_COMPACTION["list_replaced_epochs"], first - _SESSIONS_END_AFTER)
        pruned = 0
        for epoch in epochs:
            last = self._piece_rows
            while last == self._piece_rows and await self._go_on():
                last = await self._change("prune_trials", *epoch, self._piece_rows)
                pruned += last
        return pruned

    async def _pieces(self, next_posting: str) -> AsyncIterator[tuple[int, int, int]]:
        """Of every tenant, the postings above one up to another, by about as many rows as a piece has."""
        for tenant_id in await self.tenant_ids():
            after = _BEFORE_ALL
            while after < _AFTER_ALL:
                last: int | None = await self._read(next_posting, tenant_id, after, self._piece_rows)
                upto = _AFTER_ALL if last is None else last
                yield tenant_id, after, upto
                after = upto

    async def _sum_feed_hour(self, tenant_id: int, hour: int) -> int:
        async with self._pool.transaction() as connection:
            await connection.execute(_LOCK_WAIT)
            await connection.execute(_COMPACTION["lock_trials_table"])
            await connection.execute(_COMPACTION["move_trials"], tenant_id, hour)
            summed: int = await connection.fetchval(_COMPACTION["sum_feed_hour"], tenant_id, hour)
        return summed

    async def _days(self, name: str, *arguments: object) -> list[date]:
        async with self._pool.connection() as connection:
            return [row["day"] for row in await connection.fetch(_COMPACTION[name], *arguments)]

    async def _read(self, name: str, *arguments: object) -> Any:
        async with self._pool.connection() as connection:
            return await connection.fetchval(_COMPACTION[name], *arguments)

    async def _change(self, name: str, *arguments: object) -> int:
        async with self._pool.connection() as connection:
            return affected(await connection.execute(_COMPACTION[name], *arguments))


async def _first_held(connection: Connection, before: date) -> date:
    """The first day of the ledger, or that one if it comes first."""
    return min(before, await read_first_day(connection) or before)
