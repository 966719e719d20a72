"""Forgets deleted items once nobody can send an older version of them any more."""

from typing import Protocol

from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock

INTERVAL_S = 600.0


class Tombstones(Protocol):
    """Deleted items that are kept with their version."""

    async def forget_tombstones(self, before: float) -> int:
        """Forget those that ended before that time; how many."""
        ...


def forget_tombstones(catalog: Tombstones, keep_hours: float, clock: Clock) -> Job:
    """Of every tenant."""

    async def run() -> dict[str, object]:
        forgotten = await catalog.forget_tombstones(clock() - keep_hours * 3600)
        return {"forgotten": forgotten} if forgotten else {}

    return Job("forget_tombstones", INTERVAL_S, run)
