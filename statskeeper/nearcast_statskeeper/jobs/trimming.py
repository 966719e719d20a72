"""Forgets entries of the event log once every reader has finished them and none need be replayed."""

from typing import Protocol

from nearcast_ledger.horizon import REPLAY_WINDOW_HOURS
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.roster import Roster
from nearcast_telemetry.foldmetrics import KEEPER_LOG_KEPT_SECONDS
from nearcast_telemetry.metrics import Metrics

INTERVAL_S = 15.0
LONGEST_S = REPLAY_WINDOW_HOURS * 3600.0
SHORTEST_S = 600.0
# Of the share at which batches begin to shrink: finished entries have made room before senders are asked to.
EASES_FROM = 0.75


class Trimmable(Protocol):
    """A log that keeps acknowledged entries until it is told to forget them."""

    async def memory_share(self) -> float | None:
        """How much of its memory it has used; None when that is not known."""
        ...

    async def trim(self, tenant_ids: tuple[int, ...], keep_s: float) -> int:
        """Forget what is older by `keep_s` than the first unfinished entry; how many."""
        ...


def trim_log(upkeep: Trimmable, roster: Roster, scarce_share: float, metrics: Metrics) -> Job:
    """Of every tenant; what is unfinished stays, however old. Memory is short from `scarce_share` on."""

    async def run() -> dict[str, object]:
        keep_s = kept_s(await upkeep.memory_share(), scarce_share)
        metrics.set(KEEPER_LOG_KEPT_SECONDS, keep_s)
        trimmed = await upkeep.trim(await roster.tenant_ids(), keep_s)
        return {"entries": trimmed, "kept_s": round(keep_s)} if trimmed else {}

    return Job("trim_log", INTERVAL_S, run)


def kept_s(memory_share: float | None, scarce_share: float) -> float:
    """How long finished entries are kept: to be able to replay is worth less than to take events."""
    eases_from = EASES_FROM * scarce_share
    if memory_share is None or memory_share <= eases_from:
        return LONGEST_S
    used = min((memory_share - eases_from) / (scarce_share - eases_from), 1.0)
    return LONGEST_S * float((SHORTEST_S / LONGEST_S) ** used)
