"""Drops what is told of changed counts once every gateway has had the time to hear of it."""

from typing import Protocol

from nearcast_statskeeper.jobs.schedule import Job

INTERVAL_S = 60.0
# Gateways look twice a second; one that could not for longer reads all counts.
KEPT_S = 300.0


class CountChanges(Protocol):
    """Counts that tell what changed of them."""

    async def drop_changes(self, older_s: float) -> int:
        """Forget what changed so long ago; how many rows of it."""
        ...


def drop_count_changes(counts: CountChanges) -> Job:
    """Of every tenant."""

    async def run() -> dict[str, object]:
        await counts.drop_changes(KEPT_S)
        return {}

    return Job("drop_count_changes", INTERVAL_S, run)
