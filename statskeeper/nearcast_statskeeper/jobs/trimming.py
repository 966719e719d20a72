"""Forgets entries of the event log once every reader has finished them and none need be replayed."""

from typing import Protocol

from nearcast_ledger.horizon import REPLAY_WINDOW_HOURS
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.roster import Roster

INTERVAL_S = 60.0


class Trimmable(Protocol):
    """A log that keeps acknowledged entries until it is told to forget them."""

    async def trim(self, tenant_ids: tuple[int, ...], keep_s: float) -> int:
        """Forget what is older by `keep_s` than the first unfinished entry; how many."""
        ...


def trim_log(upkeep: Trimmable, roster: Roster) -> Job:
    """Of every tenant; what is unfinished stays, however old."""

    async def run() -> dict[str, object]:
        trimmed = await upkeep.trim(await roster.tenant_ids(), REPLAY_WINDOW_HOURS * 3600.0)
        return {"entries": trimmed} if trimmed else {}

    return Job("trim_log", INTERVAL_S, run)
