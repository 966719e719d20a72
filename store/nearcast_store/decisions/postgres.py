"""Records of decisions, kept in Postgres for some days: one partition for each UTC day of the request id."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from nearcast_ledger.requestid import identity_day
from nearcast_store.decisions.stream import Logged
from nearcast_store.postgres import Pool, affected
from nearcast_store.queries import queries

_DECISIONS = queries("decisions")
_PREFIX = "decisions_"


class PostgresDecisionStore:
    """Several may write at once; the same record again changes nothing. Raises StoreUnavailableError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        """How many are new; their ids have to carry a time."""
        if not logged:
            return 0
        days = [identity_day(each.request_id) for each in logged]
        await self._ensure(set(days))
        async with self._pool.connection() as connection:
            status = await connection.execute(
                _DECISIONS["add_decisions"],
                tenant_id,
                days,
                [each.request_id for each in logged],
                [each.record for each in logged],
            )
        return affected(status)

    async def find(self, tenant_id: int, request_id: UUID) -> bytes | None:
        """The record, packed."""
        async with self._pool.connection() as connection:
            found: bytes | None = await connection.fetchval(
                _DECISIONS["find_decision"], tenant_id, identity_day(request_id), request_id
            )
        return found

    async def drop_before(self, first: date) -> list[date]:
        """Forget every day before that one; which there were."""
        async with self._pool.transaction() as connection:
            await connection.execute(_DECISIONS["lock_decision_partitions"])
            days = [day for day in await self._days() if day < first]
            for day in days:
                await connection.execute(f"drop table {partition_of(day)}")
        return days

    async def _ensure(self, days: set[date]) -> None:
        missing = days.difference(await self._days())
        if not missing:
            return
        async with self._pool.transaction() as connection:
            await connection.execute(_DECISIONS["lock_decision_partitions"])
            for day in sorted(missing):
                await connection.execute(
                    f"create table if not exists {partition_of(day)} partition of decisions"
                    f" for values from ('{day}') to ('{day + timedelta(1)}')"
                )

    async def _days(self) -> list[date]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_DECISIONS["list_decision_partitions"])
        return [date.fromisoformat(row["name"].removeprefix(_PREFIX)) for row in rows]


def partition_of(day: date) -> str:
    """Its table."""
    return f"{_PREFIX}{day:%Y%m%d}"
