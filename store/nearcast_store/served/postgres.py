"""How often items stood in answers, in Postgres."""

from collections.abc import Mapping, Sequence

from nearcast_store.postgres import Pool
from nearcast_store.queries import queries
from nearcast_store.served.protocol import ServedKey

_SERVED = queries("served")


class PostgresServedStore:
    """See ServedStore. Rows are written in the order of their key: several gateways never deadlock."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, counts: Mapping[ServedKey, int]) -> None:
        """In one statement."""
        if not counts:
            return
        columns = list(zip(*((*key, count) for key, count in sorted(counts.items())), strict=True))
        async with self._pool.connection() as connection:
            await connection.execute(_SERVED["add_served"], *columns)

    async def served_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, int]:
        """Summed by Postgres: an item has many rows."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SERVED["sum_served_of_postings"], tenant_id, postings)
        return {row["posting"]: row["total"] for row in rows}

    async def served_at(self, tenant_id: int, postings: Sequence[int]) -> dict[tuple[int, int], int]:
        """Summed by Postgres."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SERVED["sum_served_by_position"], tenant_id, postings)
        return {(row["posting"], row["position_bucket"]): row["total"] for row in rows}
