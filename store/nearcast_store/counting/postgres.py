"""The ledger and its counts in Postgres: what is new is stored and counted in one transaction.

Every table is written in the order of its key, and the tables in one order, so that several keepers at once
wait for each other and never deadlock.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import asyncpg
import numpy as np

from nearcast_faultpoints.arming import Failpoint
from nearcast_faultpoints.reaching import reach
from nearcast_ledger.kinds import IMPRESSION
from nearcast_store.counting.columns import LedgerRows, columns_of
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.partitions import DAYS_AHEAD, DAYS_BACK, Partitions
from nearcast_store.counting.protocol import (
    Batch,
    Changes,
    CountRow,
    DeadLetter,
    FeedCount,
    FoldResult,
    Hold,
    ShuffledCount,
)
from nearcast_store.counting.staging import packed
from nearcast_store.counting.tallying import find_trials_in
from nearcast_store.counting.trialling import store_trials
from nearcast_store.errors import DataRefusedError, PositionsLostError, StoreUnavailableError
from nearcast_store.postgres import Connection, Pool, arrays_of
from nearcast_store.queries import queries

_EVENTS = queries("events")
_COUNTS = queries("counts")
_TRIALS = queries("trials")
_LOG = queries("log")
_US_PER_DAY = 86_400_000_000
# No count has a key as low as this.
_BEFORE_ALL = (-1, 0, 0, 0, 0, 0, False)
# Of changes; where there are more, to read all counts piece by piece costs less memory.
_MOST_CHANGED = 200_000


class PostgresCountStore:
    """See CountStore. DataRefusedError: a row can never be stored as it is, and nothing of the batch was."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._partitions = Partitions(pool)

    async def fold(self, batch: Batch) -> FoldResult:
        """After StoreUnavailableError the same batch can be folded again: what was stored is known."""
        if not (batch.rows or batch.dead or batch.progress or batch.holds):
            return FoldResult(0, 0, 0)
        rows = columns_of(batch.rows).in_order()
        try:
            return await self._fold(batch, rows)
        except DataRefusedError as error:
            if not _is_missing_partition(error):
                raise
        if gone := await self._partitions.ensure(_days_of(rows)):
            raise DataRefusedError(
                f"the ledger holds {gone[0]} no more: whether an event of that day was counted cannot be told"
            )
        try:
            return await self._fold(batch, rows)
        except DataRefusedError as error:
            if not _is_missing_partition(error):
                raise
            # Somebody has dropped it meanwhile, which is no fault of the event.
            raise StoreUnavailableError("the partition of an event's day has gone again") from error

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 10_000
    ) -> Changes:
        """The next horizon is read first: whoever commits after it is seen twice, not never."""
        async with self._pool.connection() as connection:
            look = await connection.fetch(_COUNTS["list_changed_counts"], tenant_id, horizon, _MOST_CHANGED)
            now, complete = look[0][:2]
            if complete:
                place = _BEFORE_ALL if after is None else after[:-1]
                all_counts = await connection.fetch(_COUNTS["list_counts"], tenant_id, most, *place)
                rows = CountColumns.received(all_counts)
                return Changes(rows, now, complete, len(rows) == most)
        changed = CountColumns.received([row[2:] for row in look]).latest(after)
        return Changes(changed[:most], now, complete, len(changed) > most)

    async def horizon(self) -> int:
        """The oldest transaction that still runs."""
        async with self._pool.connection() as connection:
            now: int = await connection.fetchval(_COUNTS["read_horizon"])
        return now

    async def changed_postings(self, tenant_id: int, horizon: int, after: int, most: int) -> list[int]:
        """Without counts: those are read when they are told."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["list_changed_postings"], tenant_id, horizon, after, most)
            # Asked last: whatever was dropped before the changes were read is known by now.
            if not horizon or await connection.fetchval(_COUNTS["has_dropped_changes"], tenant_id, horizon):
                rows = await connection.fetch(_COUNTS["list_postings"], tenant_id, after, most)
        return [row["posting"] for row in rows]

    async def drop_changes(self, older_s: float) -> int:
        """Forget what changed so long ago, of every tenant; who has not heard of it reads all counts."""
        async with self._pool.connection() as connection:
            dropped: int = await connection.fetchval(_COUNTS["drop_changes"], older_s)
        return dropped

    async def feed_counts(self, tenant_id: int) -> list[FeedCount]:
        """Sorted by market, feed and hour."""
        async with self._pool.connection() as connection:
            return [FeedCount(*row) for row in await connection.fetch(_TRIALS["list_feed_counts"], tenant_id)]

    async def counts_of(self, tenant_id: int, postings: Sequence[int]) -> list[CountRow]:
        """In no particular order."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["list_counts_of_postings"], tenant_id, postings)
        return [CountRow(*row) for row in rows]

    async def sums_of(self, tenant_id: int, postings: Sequence[int]) -> dict[tuple[int, int], int]:
        """Summed by Postgres: an item has many rows."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["sum_counts_of_postings"], tenant_id, postings)
        return {(row["posting"], row["kind"]): row["total"] for row in rows}

    async def shuffled(self, tenant_id: int, first_bucket: int, kinds: Sequence[int]) -> list[ShuffledCount]:
        """Summed by Postgres: a look at every count of the tenant."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["sum_shuffled_counts"], tenant_id, first_bucket, kinds)
        return [ShuffledCount(*row) for row in rows]

    async def top_postings(self, tenant_id: int, most: int) -> list[int]:
        """Equal ones by their number."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["list_top_postings"], tenant_id, IMPRESSION, most)
        return [row["posting"] for row in rows]

    async def totals(self, tenant_id: int) -> dict[int, int]:
        """Of all postings together."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["list_kind_totals"], tenant_id)
        return {row["kind"]: row["count"] for row in rows}

    async def _fold(self, batch: Batch, rows: LedgerRows) -> FoldResult:
        async with self._pool.transaction() as connection:
            new = await _store(connection, rows) if len(rows) else rows
            if len(new):
                await _add_counts(connection)
            if trials := find_trials_in(new):
                await store_trials(connection, trials)
            if new.rows["cascades"].any():
                await _count_passed_over(connection, new)
            await _require_held(connection, batch.holds)
            await _move_positions(connection, batch, new)
            if batch.dead:
                await _bury(connection, batch.dead)
            reach(Failpoint.KEEPER_BEFORE_COMMIT, cut=connection.terminate)
        reported = sum(columns_of(batch.rows).reported().values())
        counted = sum(new.reported().values())
        return FoldResult(counted, reported - counted, len(batch.dead))


async def _add_counts(connection: Connection) -> None:
    """Of what is staged and new: the counts, and the sums of them that are kept."""
    for name in ("add_counts", "add_posting_totals", "add_kind_totals"):
        await connection.execute(_COUNTS[name])


async def _count_passed_over(connection: Connection, new: LedgerRows) -> None:
    tenants = new.shared("tenant_id")[new.rows["cascades"]]
    for tenant_id in np.unique(tenants).tolist():
        await connection.execute(_COUNTS["lock_cascades"], tenant_id)
    await connection.execute(_COUNTS["count_passed_over"])


async def _store(connection: Connection, rows: LedgerRows) -> LedgerRows:
    """Store what is new, or learned from only now; that."""
    await connection.execute(_EVENTS["create_staged_events"])
    columns, raw = packed(rows)
    await connection.copy_to_table("staged_events", source=BytesIO(raw), columns=columns, format="binary")
    reach(Failpoint.KEEPER_AFTER_COPY, cut=connection.terminate)
    known = sorted(row["known_already"] for row in await connection.fetch(_EVENTS["insert_staged_events"]))
    if not known:
        return rows
    await connection.execute(_EVENTS["forget_known_events"], known)
    new = np.ones(len(rows), np.bool_)
    new[known] = False
    longer = [(*row.identity, row.event.dwell_ms) for row in rows.where(~new & (rows.rows["dwell_ms"] >= 0))]
    if longer:
        await connection.execute(_EVENTS["lengthen_dwells"], *arrays_of(longer))
    return rows.where(new)


async def _require_held(connection: Connection, holds: Sequence[Hold]) -> None:
    """Locked until the commit: whoever takes a shard over then sees what was folded here."""
    if not holds:
        return
    held = await connection.fetch(_LOG["lock_held_positions"], *arrays_of(sorted(holds)))
    if len(held) < len(holds):
        lost = sorted({hold[:2] for hold in holds} - {tuple(row) for row in held})
        raise PositionsLostError(f"another keeper reads shard {lost[0][1]} of tenant {lost[0][0]} now")


async def _move_positions(connection: Connection, batch: Batch, new: LedgerRows) -> None:
    counted = Counter(new.reported())
    dead = Counter((letter.tenant_id, letter.shard) for letter in batch.dead)
    accepted = {(step.tenant_id, step.shard): step for step in batch.progress}
    rows = [
        (
            *shard,
            step.last_entry_id if step else "0",
            step.accepted if step else 0,
            counted[shard],
            dead[shard],
        )
        for shard in sorted(accepted.keys() | counted.keys() | dead.keys())
        for step in (accepted.get(shard),)
    ]
    if rows:
        await connection.execute(_LOG["move_positions"], *arrays_of(rows))


async def _bury(connection: Connection, dead: Iterable[DeadLetter]) -> None:
    rows = sorted(
        (one.tenant_id, one.shard, one.entry_id, one.event_index, one.reason, one.detail, one.entry)
        for one in dead
    )
    await connection.execute(_LOG["bury_letters"], *arrays_of(rows))


def _is_missing_partition(error: DataRefusedError) -> bool:
    cause = error.__cause__
    # It names the table and no constraint; what a trigger raises names neither.
    return (
        isinstance(cause, asyncpg.CheckViolationError)
        and cause.constraint_name is None
        and cause.table_name is not None
    )


def _days_of(rows: LedgerRows) -> set[date]:
    """The identity days; DataRefusedError for one that no gateway can have accepted."""
    days = set()
    for row in _one_of_each_day(rows):
        received = datetime.fromtimestamp(row.received_at_us // 1_000_000, UTC).date()
        early, late = received - timedelta(DAYS_BACK + 1), received + timedelta(DAYS_AHEAD)
        if not early <= row.identity.day <= late:
            raise DataRefusedError(
                f"the day of event {row.identity.origin_id} is {row.identity.day}, and it was received on"
                f" {received}: it must lie from {early} to {late}"
            )
        days.add(row.identity.day)
    return days


def _one_of_each_day(rows: LedgerRows) -> LedgerRows:
    """Of all that were received and happened on the same days."""
    received = rows.shared("received_at_us") // _US_PER_DAY
    pairs = np.stack((received, rows.days()))
    return rows.where(np.sort(np.unique(pairs, axis=1, return_index=True)[1]))
