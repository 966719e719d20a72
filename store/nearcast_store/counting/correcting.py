"""The counts made right again from the ledger's rows, while keepers go on folding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast_store.counting.recounting import (
    CHECKS,
    LONGEST_S,
    NO_LIMIT,
    first_hour,
    one_moment,
    read_first_day,
)
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.postgres import Connection, Pool, affected
from nearcast_store.queries import queries

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.cursor import CursorFactory

_REBUILD = queries("rebuild")
_Scope = tuple[int, int | None]
_TOTALS = (
    "correct_posting_totals",
    "add_missing_posting_totals",
    "correct_kind_totals",
    "add_missing_kind_totals",
)
_TABLES = (
    "create_item_corrections",
    "create_total_differences",
    "create_total_corrections",
    "create_wrong_trials",
    "empty_corrections",
)
_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Corrected:
    """How many rows of each table were not what the ledger says, and are now."""

    item_counts: int
    totals: int
    feed_trials: int
    feed_counts: int


async def correct_counts(pool: Pool, tenant_id: int | None = None) -> Corrected:
    """Recount one tenant or all, then put right what differs in one short transaction; folds wait for that.

    Only one may run at a time, which the caller sees to. Counts of days that the ledger holds no more stay as
    they are. Raises StoreUnavailableError, and nothing has changed then.
    """
    async with pool.connection() as connection:
        for name in _TABLES:
            await connection.execute(_REBUILD[name])
        async with one_moment(pool) as looking:
            scope = (first_hour(await read_first_day(looking)), tenant_id)
            feeds = await _find(looking, connection, scope)
        async with connection.transaction():
            await connection.execute(NO_LIMIT)
            corrected = await _apply(connection, scope, feeds=feeds)
        await connection.execute(_REBUILD["empty_corrections"])
    return corrected


async def _find(looking: Connection, keeping: Connection, scope: _Scope) -> bool:
    """Keep what must be corrected for later; whether feeds are concerned."""
    trials, feeds = (CHECKS[check].rstrip(";") for check in ("feed_trials", "feed_counts"))
    keys = f"select tenant_id, policy_epoch, session_hash, feed from ({trials}) differing"  # noqa: S608 - ours
    totals = _REBUILD["list_total_differences"]
    await _keep(looking.cursor(CHECKS["item_counts"], *scope, timeout=LONGEST_S), keeping, "item_corrections")
    await _keep(looking.cursor(totals, scope[1], timeout=LONGEST_S), keeping, "total_differences")
    wrong_trials = await _keep(looking.cursor(keys, *scope, timeout=LONGEST_S), keeping, "wrong_trials")
    return wrong_trials > 0 or bool(
        await looking.fetchval(f"select exists ({feeds})", *scope, timeout=LONGEST_S)
    )


async def _keep(differences: "CursorFactory[Record]", keeping: Connection, table: str) -> int:
    """On another connection, in many short transactions: one that writes for long holds up what gateways
    hear of, and recounting takes long.
    """
    kept, cursor = 0, await differences
    while rows := await cursor.fetch(_BATCH, timeout=LONGEST_S):
        await keeping.copy_records_to_table(table, records=map(tuple, rows))
        kept += len(rows)
    return kept


async def _apply(connection: Connection, scope: _Scope, *, feeds: bool) -> Corrected:
    async def change(name: str, *arguments: int | None) -> int:
        return affected(await connection.execute(_REBUILD[name], *arguments, timeout=LONGEST_S))

    await connection.execute(_REBUILD["lock_counts"], timeout=LONGEST_S)
    if first_hour(await read_first_day(connection)) != scope[0]:
        raise StoreUnavailableError(
            "the ledger's first day changed meanwhile: nothing was done, run it again"
        )
    await change("find_total_corrections")
    item_counts = await change("correct_counts") + await change("add_missing_counts")
    totals = sum([await change(name) for name in _TOTALS])
    if not feeds:
        return Corrected(item_counts, totals, 0, 0)
    feed_trials = max(await change("drop_wrong_trials"), await change("add_right_trials"))
    feed_counts = await change("correct_feed_counts", *scope) + await change("clear_feed_counts", *scope)
    return Corrected(item_counts, totals, feed_trials, feed_counts)
