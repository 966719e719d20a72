"""Reads the event log and folds it into Postgres; acknowledges only what was committed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from nearcast_ledger.kinds import IMPRESSION
from nearcast_statskeeper.faults import BIGINT_MAX
from nearcast_statskeeper.folding import Plan, events_in, plan
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.sifting import Sifted, fold_sifted
from nearcast_statskeeper.tally import Tally
from nearcast_store.counting.protocol import CountStore
from nearcast_store.errors import DataRefusedError
from nearcast_store.log.protocol import EventSource, Record
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import (
    KEEPER_ENTRIES_FOLDED,
    KEEPER_EVENTS_COUNTED,
    KEEPER_EVENTS_DEAD,
    KEEPER_EVENTS_DUPLICATE,
    KEEPER_FOLD_SECONDS,
    KEEPER_LOG_OLDEST_SECONDS,
    Metrics,
)

log = logger("keeper.consumer")

WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Appetite:
    """How much is folded at once, and when another keeper's unfinished entries are taken over."""

    batch_events: int
    claim_idle_s: float


class Consumer:
    """One turn of `step` reads a batch, folds it and acknowledges it.

    `folds` counts finished folds, `turns` those and the reads that found nothing. Everything received before
    `fresh_at` is folded, as far as this keeper knows; None before its first look.

    A batch whose fold fails stays in hand and is folded again: meanwhile nothing more is read, and the log
    is the buffer.
    """

    def __init__(
        self,
        source: EventSource,
        counts: CountStore,
        roster: Roster,
        metrics: Metrics,
        appetite: Appetite,
        clock: Clock,
    ) -> None:
        self._source = source
        self._counts = counts
        self._roster = roster
        self._metrics = metrics
        self._appetite = appetite
        self._clock = clock
        self._held: list[Record] = []
        self._most_entries = max(1, appetite.batch_events // 20)
        self._claimed_at: float | None = None
        self.folds = Tally()
        self.turns = Tally()
        self.fresh_at: float | None = None

    async def step(self) -> bool:
        """Read and fold once; whether there was anything. Raises StoreError, and keeps the batch in hand."""
        if not self._held:
            self._held = await self._next()
        while self._held:
            self._note_age()
            chunk = self._first_chunk()
            await self._fold(chunk)
            await self._source.acknowledge(chunk)
            del self._held[: len(chunk)]
            self._metrics.add(KEEPER_ENTRIES_FOLDED, len(chunk))
            self.folds.add()
            self.turns.add()
            if not self._held:
                self._metrics.set(KEEPER_LOG_OLDEST_SECONDS, 0)
                return True
        self.turns.add()
        return False

    async def _next(self) -> list[Record]:
        """What somebody read and did not finish goes first, our own from before a restart included."""
        tenant_ids = await self._roster.tenant_ids()
        now = self._clock()
        if self._claimed_at is None or not 0 <= now - self._claimed_at < self._appetite.claim_idle_s:
            return await self._claim(tenant_ids, now)
        records = await self._source.read(tenant_ids, self._most_entries, WAIT_S)
        if records:
            events_per_entry = max(1, events_in(records) // len(records))
            self._most_entries = max(1, self._appetite.batch_events // events_per_entry)
        else:
            self.fresh_at = self._clock()
        return records

    async def _claim(self, tenant_ids: Sequence[int], now: float) -> list[Record]:
        records = await self._source.claim(tenant_ids, self._most_entries, self._appetite.claim_idle_s)
        if records:
            most = max(record.deliveries for record in records)
            log.info("entries.claimed", entries=len(records), events=events_in(records), deliveries=most)
        else:
            self._claimed_at = now
        return records

    def _first_chunk(self) -> Sequence[Record]:
        """As many entries as make up one batch, and at least one."""
        events = 0
        for place, record in enumerate(self._held):
            events += events_in([record])
            if events > self._appetite.batch_events and place > 0:
                return self._held[:place]
        return list(self._held)

    async def _fold(self, records: Sequence[Record]) -> None:
        planned = plan(records, await self._roster.rewarding(_decisions(records)))
        started = perf_counter()
        sifted = await self._fold_or_sift(planned)
        self._note(sifted, events_in(records), perf_counter() - started)

    async def _fold_or_sift(self, planned: Plan) -> Sifted:
        try:
            return Sifted((await self._counts.fold(planned.batch)).counted, planned.batch.dead)
        except DataRefusedError as error:
            log.warning("batch.refused", events=len(planned.batch.rows), reason=error)
        return await fold_sifted(self._counts, planned)

    def _note(self, sifted: Sifted, events: int, seconds: float) -> None:
        duplicate = max(0, events - sifted.counted - len(sifted.dead))
        self._metrics.observe(KEEPER_FOLD_SECONDS, seconds)
        self._metrics.add(KEEPER_EVENTS_COUNTED, sifted.counted)
        self._metrics.add(KEEPER_EVENTS_DUPLICATE, duplicate)
        log.debug("events.folded", counted=sifted.counted, duplicate=duplicate, seconds=round(seconds, 4))
        for letter in sifted.dead:
            self._metrics.add(KEEPER_EVENTS_DEAD, 1, letter.reason)
            log.error(
                "event.dead",
                tenant_id=letter.tenant_id,
                shard=letter.shard,
                entry_id=letter.entry_id,
                event_index=letter.event_index,
                reason=letter.reason,
                detail=letter.detail,
            )

    def _note_age(self) -> None:
        received = [record.entry.received_at_us for record in self._held if record.entry is not None]
        if received:
            now = self._clock()
            # What was read came before what was not: until more is read, the oldest in hand stands for all.
            self.fresh_at = min(now, min(received) / 1e6)
            self._metrics.set(KEEPER_LOG_OLDEST_SECONDS, now - self.fresh_at)


def _decisions(records: Iterable[Record]) -> set[tuple[int, int]]:
    """Tenant and policy revision of every decision that somebody acted on."""
    return {
        (record.tenant_id, event.claims.policy_revision)
        for record in records
        if record.entry is not None
        for event in record.entry.events
        if event.claims is not None
        and event.kind != IMPRESSION
        and 0 < event.claims.policy_revision <= BIGINT_MAX
    }
