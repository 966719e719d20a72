"""Forgets numbered changes that are too old to repair an index with."""

from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_store.changes.protocol import ChangeFeed

INTERVAL_S = 300.0


def prune_changes(feed: ChangeFeed, keep_hours: float, clock: Clock) -> Job:
    """Of every tenant; an index that is further behind is filled anew."""

    async def run() -> dict[str, object]:
        pruned = await feed.prune(clock() - keep_hours * 3600)
        return {"pruned": pruned} if pruned else {}

    return Job("prune_changes", INTERVAL_S, run)
