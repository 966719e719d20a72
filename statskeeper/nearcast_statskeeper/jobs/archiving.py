"""Takes the records of decisions from Redis to Postgres, and drops those that are older than is kept."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from nearcast_ledger.requestid import identity_day, is_uuid7
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_store.decisions.stream import Logged
from nearcast_telemetry.decisionmetrics import KEEPER_DECISIONS
from nearcast_telemetry.metrics import Metrics

TAKE_INTERVAL_S = 2.0
DROP_INTERVAL_S = 3600.0
# Of what 1,000 wait of a tenant at most.
TAKEN_AT_ONCE = 50
MOST_TURNS = 40
# A gateway's clock may be ahead.
_DAYS_AHEAD = 2


class Waiting(Protocol):
    """The end of the stream that is taken from."""

    async def read(self, tenant_id: int, most: int) -> list[Logged]:
        """The oldest that wait."""
        ...

    async def forget(self, tenant_id: int, entries: Sequence[bytes]) -> None:
        """They wait no longer."""
        ...


class Archive(Protocol):
    """Where records are kept."""

    async def add(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        """How many are new."""
        ...

    async def drop_before(self, first: date) -> list[date]:
        """Forget every day before that one."""
        ...


class Shadows(Protocol):
    """Where decisions that were never served are kept."""

    async def forget_before(self, moment: float) -> int:
        """Forget those before that time; how many."""
        ...


def keep_decisions(
    waiting: Waiting,
    archive: Archive,
    tenant_ids: Callable[[], Awaitable[Sequence[int]]],
    keep_days: int,
    metrics: Metrics,
    clock: Clock,
) -> Job:
    """Each is kept before it is forgotten in Redis; one that is read twice is kept once."""

    async def take(tenant_id: int) -> bool:
        read = await waiting.read(tenant_id, TAKEN_AT_ONCE)
        today = _day(clock())
        sorted_out = [(each, _fate(each, today, keep_days)) for each in read]
        ours = [each for each, fate in sorted_out if fate == "kept"]
        new = await archive.add(tenant_id, ours)
        await waiting.forget(tenant_id, [each.entry for each in read])
        metrics.add(KEEPER_DECISIONS, new, "kept")
        metrics.add(KEEPER_DECISIONS, len(ours) - new, "repeated")
        for fate in ("too_old", "unreadable"):
            metrics.add(KEEPER_DECISIONS, sum(each == fate for _, each in sorted_out), fate)
        return len(read) == TAKEN_AT_ONCE

    async def run() -> dict[str, object]:
        for tenant_id in await tenant_ids():
            for _ in range(MOST_TURNS):
                if not await take(tenant_id):
                    break
        return {}

    return Job("keep_decisions", TAKE_INTERVAL_S, run)


def drop_decisions(archive: Archive, keep_days: int, clock: Clock) -> Job:
    """Whole days at a time."""

    async def run() -> dict[str, object]:
        dropped = await archive.drop_before(_day(clock()) - timedelta(keep_days))
        return {"days": [day.isoformat() for day in dropped]} if dropped else {}

    return Job("drop_decisions", DROP_INTERVAL_S, run)


def forget_shadows(shadows: Shadows, keep_days: int, clock: Clock) -> Job:
    """What policies would have shown, as long as decisions are kept."""

    async def run() -> dict[str, object]:
        forgotten = await shadows.forget_before(clock() - 86_400.0 * keep_days)
        return {"forgotten": forgotten} if forgotten else {}

    return Job("forget_shadows", DROP_INTERVAL_S, run)


def _fate(logged: Logged, today: date, keep_days: int) -> str:
    if not logged.record or not is_uuid7(logged.request_id):
        return "unreadable"
    day = identity_day(logged.request_id)
    if day > today + timedelta(_DAYS_AHEAD):
        return "unreadable"
    return "kept" if day >= today - timedelta(keep_days) else "too_old"


def _day(now_s: float) -> date:
    return datetime.fromtimestamp(now_s, UTC).date()
