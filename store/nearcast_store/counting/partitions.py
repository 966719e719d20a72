"""The ledger's partitions, one per identity day (UTC)."""

from collections.abc import Iterable
from datetime import date, timedelta

from nearcast_ledger.horizon import HORIZON_HOURS
from nearcast_store.postgres import Connection, Pool
from nearcast_store.queries import queries

_EVENTS = queries("events")
DAYS_BACK = HORIZON_HOURS // 24
DAYS_AHEAD = 2


class Partitions:
    """Makes them; several processes may do so at once."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ensure_around(self, today: date) -> None:
        """Every day that an event accepted today, tomorrow or the day after can belong to."""
        await self.ensure(today + timedelta(days) for days in range(-DAYS_BACK, DAYS_AHEAD + 1))

    async def ensure(self, days: Iterable[date]) -> list[date]:
        """Make what is missing of these days; those that are gone for good, which are not made again."""
        wanted = {partition_of(day): day for day in days}
        async with self._pool.transaction() as connection:
            missing = wanted.keys() - await _names(connection)
            if not missing:
                return []
            await connection.execute(_EVENTS["lock_partitions"])
            gone = {row["day"] for row in await connection.fetch(_EVENTS["list_gone_days"])}
            for name in sorted(missing - await _names(connection)):
                if wanted[name] not in gone:
                    await _attach(connection, name, wanted[name])
        return sorted(gone & set(wanted.values()))


async def _attach(connection: Connection, name: str, day: date) -> None:
    """Made apart and attached, so that folding goes on meanwhile."""
    await connection.execute(f"create table {name} (like events including all)")
    await connection.execute(
        f"alter table events attach partition {name} for values from ('{day}') to ('{day + timedelta(1)}')"
    )


async def _names(connection: Connection) -> set[str]:
    return {row["name"] for row in await connection.fetch(_EVENTS["list_partitions"])}


def partition_of(day: date) -> str:
    """Its table."""
    return f"events_{day:%Y%m%d}"
