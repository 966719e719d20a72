"""Experiments in Postgres; what came of a split is read from the ledger itself."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from uuid import UUID

from asyncpg import Record

from nearcast_bandit.evaluation.arms import ArmSums
from nearcast_ledger.requestid import uuid7
from nearcast_store.errors import ExperimentRunningError, ExperimentTakenError
from nearcast_store.experiments.protocol import (
    ArmCounts,
    Arms,
    Experiment,
    ShadowDecision,
    ShadowSums,
    Sides,
    Span,
    Wanted,
)
from nearcast_store.postgres import Pool, affected
from nearcast_store.queries import queries

_EXPERIMENTS = queries("experiments")
_TENANTS = queries("tenants")
_PARTITION = "events_"
_FORGOTTEN_AT_ONCE = 20_000


class PostgresExperimentStore:
    """Raises StoreUnavailableError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def start(self, wanted: Wanted) -> Experiment:
        """ExperimentRunningError while one of that mode runs, ExperimentTakenError for a name used before."""
        async with self._pool.transaction() as connection:
            await connection.fetchval(_TENANTS["lock_tenant"], wanted.tenant_id)
            if await connection.fetchrow(_EXPERIMENTS["read_experiment"], wanted.tenant_id, wanted.name):
                raise ExperimentTakenError(wanted.name)
            for row in await connection.fetch(_EXPERIMENTS["list_running_experiments"], wanted.tenant_id):
                if row["mode"] == wanted.mode:
                    raise ExperimentRunningError(row["name"])
            number = await connection.fetchval(
                _EXPERIMENTS["add_experiment"],
                wanted.tenant_id,
                wanted.name,
                wanted.mode,
                wanted.revision,
                wanted.against,
                wanted.share,
                wanted.author,
                wanted.note,
                wanted.started_at,
            )
        return Experiment(number, wanted)

    async def stop(self, tenant_id: int, name: str, now: float) -> bool:
        """Whether it was running."""
        async with self._pool.connection() as connection:
            status = await connection.execute(_EXPERIMENTS["stop_experiment"], tenant_id, name, now)
        return affected(status) > 0

    async def running(self, tenant_id: int) -> list[Experiment]:
        """At most one of each mode."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_EXPERIMENTS["list_running_experiments"], tenant_id)
        return [_experiment(tenant_id, row) for row in rows]

    async def listed(self, tenant_id: int, most: int) -> list[Experiment]:
        """The newest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_EXPERIMENTS["list_experiments"], tenant_id, most)
        return [_experiment(tenant_id, row) for row in rows]

    async def find(self, tenant_id: int, name: str) -> Experiment | None:
        """Running or not."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_EXPERIMENTS["read_experiment"], tenant_id, name)
        return None if row is None else _experiment(tenant_id, row)

    async def served_revisions(self, span: Span) -> Mapping[int, int]:
        """Under which revisions people were shown something, and to how many sessions."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_EXPERIMENTS["list_served_revisions"], *_bounds(span))
        return {row["revision"]: row["sessions"] for row in rows}

    async def arms(self, span: Span, sides: Sides, weights: Mapping[int, float]) -> Arms:
        """What learned events say of both; a session is worth the weights of what was done in it."""
        asked = (*_bounds(span), sides.contender, list(sides.against), list(sides.apart))
        async with self._pool.transaction("repeatable_read", readonly=True) as connection:
            rows = await connection.fetch(
                _EXPERIMENTS["sum_arms"], *asked, list(weights), list(weights.values())
            )
            done = await connection.fetch(_EXPERIMENTS["sum_successes"], *asked)
        return Arms(
            _arm(rows, done, contends=False),
            _arm(rows, done, contends=True),
            sum(row["sessions"] for row in rows if not row["whole"]),
        )

    async def first_day(self) -> date | None:
        """The first day of which the ledger still holds events; None when it holds none."""
        async with self._pool.connection() as connection:
            name = await connection.fetchval(_EXPERIMENTS["first_ledger_day"])
        return None if name is None else date.fromisoformat(name.removeprefix(_PARTITION))

    async def add(self, decisions: Sequence[ShadowDecision]) -> None:
        """Repeats are harmless."""
        rows = [
            (
                each.tenant_id,
                each.experiment,
                each.request_id,
                each.market,
                each.feed,
                each.shadow_feed,
                list(each.postings),
                list(each.shadow_postings),
                each.common,
                each.new_shown,
                each.shadow_new_shown,
                each.decided_at,
            )
            for each in decisions
        ]
        async with self._pool.connection() as connection:
            await connection.executemany(_EXPERIMENTS["add_shadow_decision"], rows)

    async def shadow_sums(self, tenant_id: int, number: int) -> list[ShadowSums]:
        """By the two feeds."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_EXPERIMENTS["sum_shadow_decisions"], tenant_id, number)
        return [ShadowSums(**dict(row)) for row in rows]

    async def forget_before(self, moment: float) -> int:
        """Forget what shadows would have shown before that time; how many."""
        forgotten, part = 0, _FORGOTTEN_AT_ONCE
        while part == _FORGOTTEN_AT_ONCE:
            async with self._pool.connection() as connection:
                status = await connection.execute(
                    _EXPERIMENTS["forget_shadow_decisions"], moment, _FORGOTTEN_AT_ONCE
                )
            part = affected(status)
            forgotten += part
        return forgotten


def _experiment(tenant_id: int, row: Record) -> Experiment:
    wanted = Wanted(
        tenant_id,
        row["name"],
        row["mode"],
        row["revision"],
        row["against"],
        row["share"],
        row["author"],
        row["note"],
        row["started_at"],
    )
    return Experiment(row["experiment"], wanted, row["stopped_at"])


def _bounds(span: Span) -> tuple[int, date, date, UUID, UUID]:
    first, end = (uuid7(int(moment * 1000), 0) for moment in (span.first, span.end))
    return span.tenant_id, _day(span.first), _day(span.end), first, end


def _day(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


def _arm(rows: Sequence[Record], done: Sequence[Record], *, contends: bool) -> ArmCounts:
    successes = {row["kind"]: row["done"] for row in done if row["contends"] is contends}
    for row in rows:
        if row["whole"] and row["contends"] is contends:
            sums = ArmSums(row["sessions"], row["rewarded"], row["reward"], row["squares"])
            return ArmCounts(sums, row["impressions"], successes)
    return ArmCounts(ArmSums(0, 0, 0.0, 0.0), 0, successes)
