"""Reads the event log and folds it into Postgres; acknowledges only what was committed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from nearcast_faultpoints.arming import Failpoint
from nearcast_faultpoints.reaching import reach
from nearcast_statskeeper.folding import Plan, draft, events_in
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.sifting import HOUSE_FAULTS, Sifted, fold_sifted
from nearcast_statskeeper.suspicion import Suspicion
from nearcast_statskeeper.tally import Tally
from nearcast_store.counting.protocol import Ledger
from nearcast_store.errors import DataRefusedError, PositionsLostError, StoreError
from nearcast_store.log.protocol import EventSource, Record
from nearcast_telemetry.foldmetrics import (
    KEEPER_ENTRIES_FOLDED,
    KEEPER_EVENTS_COUNTED,
    KEEPER_EVENTS_DEAD,
    KEEPER_EVENTS_DUPLICATE,
    KEEPER_FOLD_SECONDS,
    KEEPER_LOG_OLDEST_SECONDS,
)
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

log = logger("keeper.consumer")

WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Appetite:
    """How much is folded at once, and when another keeper's unfinished entries are taken over.

    With `buries_unforeseen` also entries that raise one after another become dead letters.
    """

    batch_events: int
    claim_idle_s: float
    buries_unforeseen: bool = False


class Consumer:
    """One turn of `step` reads a batch, folds it and acknowledges it.

    `folds` counts finished folds, `turns` those and the reads that found nothing. Everything received before
    `fresh_at` is folded, as far as this keeper knows; None before its first look.

    While Postgres folds a batch the next one is read, if it is there: one, and no more. A batch whose fold
    fails stays in hand and is folded again: meanwhile nothing more is read, and the log is the buffer.
    """

    def __init__(
        self,
        source: EventSource,
        counts: Ledger,
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
        self._ahead: list[Record] = []
        self._failed = False
        self._suspicion = Suspicion(buries_all=appetite.buries_unforeseen)
        self._most_entries = max(1, appetite.batch_events // 20)
        self._claimed_at: float | None = None
        self.folds = Tally()
        self.turns = Tally()
        self.fresh_at: float | None = None

    async def step(self) -> bool:
        """Read and fold once; whether there was anything. Raises StoreError, and keeps the batch in hand."""
        if not self._held:
            self._held = await self._next()
            if self._held:
                reach(Failpoint.KEEPER_AFTER_READ)
        while self._held:
            self._note_age()
            chunk = self._first_chunk()
            try:
                await self._fold(chunk)
            except PositionsLostError as error:
                await self._give_back(error)
                break
            reach(Failpoint.KEEPER_AFTER_COMMIT_BEFORE_ACK)
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
        if self._ahead:
            ahead, self._ahead = self._ahead, []
            return ahead
        tenant_ids = await self._roster.tenant_ids()
        if self._may_claim():
            return await self._claim(tenant_ids, self._clock())
        records = await self._read(tenant_ids, WAIT_S)
        if not records:
            self.fresh_at = self._clock()
        return records

    async def _read(self, tenant_ids: Sequence[int], wait_s: float) -> list[Record]:
        records = await self._source.read(tenant_ids, self._most_entries, wait_s)
        if records:
            events_per_entry = max(1, events_in(records) // len(records))
            self._most_entries = max(1, self._appetite.batch_events // events_per_entry)
        return records

    async def _read_ahead(self, folding: Sequence[Record]) -> None:
        """What fails here fails again, and is told, when it is read in its turn."""
        # Whatever was handed out before may be what keepers die of: it is folded with nothing else in hand.
        suspicious = any(record.deliveries > 1 for record in folding)
        more_in_hand = bool(self._ahead) or len(folding) < len(self._held)
        if more_in_hand or suspicious or self._failed or self._may_claim():
            return
        with suppress(StoreError):
            self._ahead = await self._read(await self._roster.tenant_ids(), 0.0)

    def _may_claim(self) -> bool:
        return (
            self._claimed_at is None
            or not 0 <= self._clock() - self._claimed_at < self._appetite.claim_idle_s
        )

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
        drafted = draft(records)
        rewarding, leaving = await self._roster.judges(drafted.answers())
        planned = drafted.plan(rewarding, self._source.holds(records), leaving)
        started = perf_counter()
        reading = asyncio.ensure_future(self._read_ahead(records))
        try:
            sifted = await self._fold_or_sift(planned, records)
        except BaseException:
            self._failed = True
            raise
        finally:
            await reading
        self._failed = False
        self._note(sifted, events_in(records), perf_counter() - started)

    async def _give_back(self, why: PositionsLostError) -> None:
        """Another keeper has taken over what is in hand, and folds it."""
        log.warning("batch.given_back", entries=len(self._held), reason=why)
        await self._source.give_back(self._held)
        self._held = []

    async def _fold_or_sift(self, planned: Plan, records: Sequence[Record]) -> Sifted:
        try:
            if not planned.raised:
                folded = Sifted((await self._counts.fold(planned.batch)).counted, planned.batch.dead)
                self._suspicion.weigh(records, ())
                return folded
        except HOUSE_FAULTS as error:
            if not isinstance(error, DataRefusedError):
                raise
            log.warning("batch.refused", events=len(planned.batch.rows), reason=error)
        except Exception as error:  # noqa: BLE001 - one event must not end the counting of all others
            log.error("batch.raised", cause=error, events=len(planned.batch.rows))
        return await fold_sifted(self._counts, planned, records, self._suspicion)

    def _note(self, sifted: Sifted, events: int, seconds: float) -> None:
        duplicate = max(0, events - sifted.counted - len(sifted.dead))
        self._metrics.observe(KEEPER_FOLD_SECONDS, seconds)
        self._metrics.add(KEEPER_EVENTS_COUNTED, sifted.counted)
        self._metrics.add(KEEPER_EVENTS_DUPLICATE, duplicate)
        log.debug("events.folded", counted=sifted.counted, duplicate=duplicate, seconds=round(seconds, 4))
        for raised in sifted.raised:
            log.error("event.raised", cause=raised.error, entry_id=raised.origin.record.entry_id)
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
