"""Makes the ledger's partitions before a day needs them."""

from collections.abc import Awaitable, Callable

from nearcast_statskeeper.jobs.schedule import Job

INTERVAL_S = 3600.0


def plan_partitions(ensure: Callable[[], Awaitable[None]]) -> Job:
    """`ensure` makes those that are missing."""

    async def run() -> dict[str, object]:
        await ensure()
        return {}

    return Job("ensure_partitions", INTERVAL_S, run)
