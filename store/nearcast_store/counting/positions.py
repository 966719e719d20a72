"""How far each shard of a log is folded, and who folds it, in Postgres beside the counts."""

from collections.abc import Sequence

from nearcast_store.counting.protocol import Standing
from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

_LOG = queries("log")


class PostgresPositions:
    """See Positions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def standings(self, tenant_ids: Sequence[int]) -> list[Standing]:
        """Sorted by tenant and shard."""
        async with self._pool.connection() as connection:
            return [Standing(*row) for row in await connection.fetch(_LOG["list_standings"], tenant_ids)]

    async def take(self, tenant_id: int, shard: int) -> Standing:
        """Waits for a fold of the shard that is about to commit."""
        async with self._pool.transaction() as connection:
            (taken,) = await connection.fetch(_LOG["take_position"], tenant_id, shard)
        return Standing(*taken)
