"""Drops days that no event can belong to any more from the ledger, and sums their hours."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from nearcast_ledger.horizon import first_kept_day
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_telemetry.jobmetrics import (
    KEEPER_COUNTS_COMPACTED,
    KEEPER_PARTITIONS_DROPPED,
    KEEPER_TRIALS_PRUNED,
)
from nearcast_telemetry.metrics import Metrics

INTERVAL_S = 600.0
# Gateways hear of the zeros within seconds; one that was away for longer reads everything.
CLEAR_AFTER_S = 24 * 3600.0


class Compactable(Protocol):
    """Counts by the hour, and a ledger by the day."""

    async def tenant_ids(self) -> list[int]:
        """Every tenant that may have something in the log."""
        ...

    async def now_s(self) -> float:
        """What time it is for the ledger."""
        ...

    async def drop_day(self, before: date) -> date | None:
        """Drop the events of the oldest day before that one."""
        ...

    async def sum_hours(self) -> int:
        """Sum the hours of every day that was dropped; how many."""
        ...

    async def clear(self, after_s: float) -> int:
        """Delete what is left of the hours of days summed so long ago; how many."""
        ...

    async def prune_trials(self, before: date) -> int:
        """Forget trials of epochs that ended long before that day; how many."""
        ...


class Dated(Protocol):
    """A log that knows how far it reaches back."""

    async def oldest_s(self, tenant_ids: Sequence[int]) -> float | None:
        """When its first entry was appended."""
        ...


def compact_ledger(ledger: Compactable, log: Dated, metrics: Metrics, clock: Clock) -> Job:
    """Of every tenant. As long as the log holds an entry, the days of its events stay."""

    async def run() -> dict[str, object]:
        oldest_s = await log.oldest_s(await ledger.tenant_ids())
        # One clock that runs ahead must not take away what repeats may still come for.
        kept = first_kept_day(min(clock(), await ledger.now_s()), oldest_s)
        day = await ledger.drop_day(kept)
        if day is not None:
            metrics.add(KEEPER_PARTITIONS_DROPPED)
        hours = await ledger.sum_hours()
        metrics.add(KEEPER_COUNTS_COMPACTED, hours)
        pruned = await ledger.prune_trials(kept)
        metrics.add(KEEPER_TRIALS_PRUNED, pruned)
        cleared = await ledger.clear(CLEAR_AFTER_S)
        said: dict[str, object] = {"day": f"{day}"} if day else {}
        rows = {"hours": hours, "pruned": pruned, "cleared": cleared}
        return said | {name: number for name, number in rows.items() if number}

    return Job("compact_ledger", INTERVAL_S, run)
