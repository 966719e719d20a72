"""The counts, compared with the ledger's rows by SQL that shares nothing with the fold."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from nearcast_store.postgres import Connection, Pool
from nearcast_store.queries import queries

# Counting a whole ledger again takes what it takes.
LONGEST_S = 24 * 3600.0
NO_LIMIT = "set local statement_timeout = 0"

_RECOUNT = queries("recount")
_HOURS_PER_DAY = 24
_BEFORE_ALL = -(2**31)
_EPOCH = date(1970, 1, 1)
_STORED, _RECOUNTED = "stored_", "recounted_"

# What is compared, each by the query that lists where it differs.
CHECKS: Mapping[str, str] = {
    "item_counts": _RECOUNT["list_item_differences"],
    "posting_totals": _RECOUNT["list_posting_differences"],
    "kind_totals": _RECOUNT["list_kind_differences"],
    "feed_trials": _RECOUNT["list_trial_differences"],
    "feed_counts": _RECOUNT["list_feed_differences"],
    "implied_impressions": _RECOUNT["list_missing_impressions"],
    "feed_rewards": _RECOUNT["list_excess_rewards"],
    "log_balance": _RECOUNT["list_unbalanced_positions"],
    "events_counted": _RECOUNT["list_uncounted_events"],
    "letters_counted": _RECOUNT["list_uncounted_letters"],
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What one tenant's ledger holds; `unchecked` counts are of days that it holds no more."""

    tenant_id: int
    slug: str
    events: int
    learned: int
    implied: int
    counts: int
    unchecked: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where what is stored is not what the rows say; a side that has no such row is empty."""

    check: str
    tenant_id: int
    key: Mapping[str, Any]
    stored: Mapping[str, Any]
    recounted: Mapping[str, Any]


class Recount:
    """Looks at one moment of the database, whatever keepers do meanwhile."""

    def __init__(self, connection: Connection, first_day: date | None, tenant_id: int | None) -> None:
        self._connection = connection
        self._arguments = (first_hour(first_day), tenant_id)
        self.first_day = first_day

    async def summaries(self) -> Sequence[Summary]:
        """Of every tenant that was asked for."""
        rows = await self._connection.fetch(_RECOUNT["list_summaries"], *self._arguments, timeout=LONGEST_S)
        return [Summary(*row) for row in rows]

    async def differences(self, check: str) -> AsyncIterator[Difference]:
        """Every difference that a check finds, sorted by its key."""
        async for row in self._connection.cursor(CHECKS[check], *self._arguments, timeout=LONGEST_S):
            yield _difference(check, dict(row))


@asynccontextmanager
async def recount(pool: Pool, tenant_id: int | None = None) -> AsyncIterator[Recount]:
    """A recount of one tenant or of all, within one transaction. Raises StoreUnavailableError."""
    async with one_moment(pool) as connection:
        yield Recount(connection, await read_first_day(connection), tenant_id)


@asynccontextmanager
async def one_moment(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that sees one moment of the ledger for as long as it takes, and holds no writer up."""
    async with pool.transaction("repeatable_read", readonly=True) as connection:
        await connection.execute(NO_LIMIT)
        await connection.execute(_RECOUNT["lock_events"])
        yield connection


async def read_first_day(connection: Connection) -> date | None:
    """The first day that the ledger holds; None while it holds no day at all."""
    day: date | None = await connection.fetchval(_RECOUNT["read_first_day"])
    return day


def first_hour(day: date | None) -> int:
    """The first hour whose rows the ledger holds; before all hours when no day was ever dropped."""
    return _BEFORE_ALL if day is None else (day - _EPOCH).days * _HOURS_PER_DAY


def _difference(check: str, row: dict[str, Any]) -> Difference:
    tenant_id = row.pop("tenant_id")
    return Difference(
        check,
        tenant_id,
        key={name: value for name, value in row.items() if not name.startswith((_STORED, _RECOUNTED))},
        stored=_side(row, _STORED),
        recounted=_side(row, _RECOUNTED),
    )


def _side(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    values = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    return {} if all(value is None for value in values.values()) else values
