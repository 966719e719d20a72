"""Forgets readers of the event log that are gone for good, such as keepers of a host that was renamed."""

from typing import Protocol

from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.roster import Roster

INTERVAL_S = 600.0
# A keeper that comes back after that long is known again with its first look.
GONE_AFTER_S = 86_400.0


class Readership(Protocol):
    """A log that knows who reads it."""

    async def forget_consumers(self, tenant_ids: tuple[int, ...], idle_s: float) -> int:
        """Forget readers that hold nothing and have not asked for so long; how many, in all streams."""
        ...


def forget_consumers(readership: Readership, roster: Roster) -> Job:
    """Of every tenant; who holds unfinished entries stays until they are taken over."""

    async def run() -> dict[str, object]:
        forgotten = await readership.forget_consumers(await roster.tenant_ids(), GONE_AFTER_S)
        return {"forgotten": forgotten} if forgotten else {}

    return Job("forget_consumers", INTERVAL_S, run)
