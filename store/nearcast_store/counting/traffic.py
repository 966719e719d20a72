"""How often items are shown, from a sample of them: what a policy leaves to learn from depends on it."""

from collections import defaultdict
from statistics import median
from typing import Protocol

from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

_COUNTS = queries("counts")
WINDOW_HOURS = 7 * 24
_SAMPLED = 500
_FEWEST = 20
"""Of so few items nothing is said."""


class Traffic(Protocol):
    """Raises StoreUnavailableError."""

    async def shown_per_hour(self, tenant_id: int) -> dict[int | None, float]:
        """How often a median item is shown in an hour: by market number, and anywhere as None."""
        ...


class PostgresTraffic:
    """See Traffic. Of the items that were shown in the last week."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def shown_per_hour(self, tenant_id: int) -> dict[int | None, float]:
        """What is hardly used is left out."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_COUNTS["sample_impressions"], tenant_id, WINDOW_HOURS, _SAMPLED)
        hours = max((row["hours"] for row in rows), default=1)
        shown: defaultdict[int | None, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        for row in rows:
            for market in (row["market"], None):
                shown[market][row["posting"]] += row["impressions"]
        return {
            market: median(each.values()) / hours for market, each in shown.items() if len(each) >= _FEWEST
        }
