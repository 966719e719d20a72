"""From entries of the log to one batch of ledger rows: pure, so that order and repetition cannot matter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from nearcast_ledger.event import AcceptedEvent, Entry, Unlearned
from nearcast_ledger.identity import Identity
from nearcast_ledger.kinds import IMPRESSION
from nearcast_statskeeper.faults import DeadReason, Fault, fault_of_entry, fault_of_event, sound
from nearcast_store.counting.columns import Column, LedgerRows, Part, Source, columns_of, unpack_rows
from nearcast_store.counting.protocol import (
    Batch,
    DeadLetter,
    Hold,
    ShardProgress,
    place_in_stream,
)
from nearcast_store.log.codec import encode_entry
from nearcast_store.log.packing import PackedEvents, pack_events
from nearcast_store.log.protocol import Record
from nearcast_store.log.suspicion import ALONE_AFTER

# From half of these on the log hands an entry out alone, to a keeper that then has nothing else in hand. So
# what lay beside the one that keepers die of, or was in hand whenever they were killed for other reasons, is
# folded by itself, and only what even then does not return is buried.
MOST_DELIVERIES = 2 * ALONE_AFTER
_LONGEST_DETAIL = 500

Rewarding = Callable[[int, int, int], bool]
"""Whether an event of this tenant, policy revision and kind is a success of the feed that showed the item."""

Leaving = Callable[[int, int], frozenset[int]]
"""The kinds at which people leave an answer of this tenant and policy revision; none where they do not."""


def nobody_leaves(_tenant_id: int, _revision: int) -> frozenset[int]:
    """Of policies that all count in another way."""
    return frozenset()


class Origin(Struct, frozen=True):
    """Which event of which entry a row came from."""

    record: Record
    event_index: int


@dataclass(frozen=True, slots=True)
class Raised:
    """An event that nobody could deal with, and what that raised."""

    origin: Origin
    error: Exception

    def letter(self) -> DeadLetter:
        """Without what the exception says, which may be anything."""
        detail = f"whoever deals with this event raises {type(self.error).__name__}"
        return dead_event(self.origin, Fault(DeadReason.UNFORESEEN, detail))


@dataclass(frozen=True, slots=True)
class Plan:
    """One batch, and the records that its rows came from, by the rows' sources.

    What `raised` while it was judged is among the batch's dead letters.
    """

    batch: Batch
    records: Sequence[Record]
    raised: Sequence[Raised] = ()

    def origins(self) -> Mapping[Identity, Origin]:
        """Where each row of the batch came from; found only when asked, as hardly anybody does."""
        rows = columns_of(self.batch.rows)
        places = zip(rows.rows["source"].tolist(), rows.rows["index"].tolist(), strict=True)
        return {
            row.identity: Origin(self.records[source], index)
            for row, (source, index) in zip(rows, places, strict=True)
        }


def plan(
    records: Sequence[Record],
    rewarding: Rewarding,
    holds: Sequence[Hold] = (),
    leaving: Leaving = nobody_leaves,
) -> Plan:
    """What to store for these records; rows and progress come out sorted by their keys."""
    return draft(records).plan(rewarding, holds, leaving)


def draft(records: Sequence[Record]) -> "Draft":
    """What there is to store for these records, before it is known what rewards feeds."""
    drafted = Draft()
    for record in records:
        drafted.take(record)
    drafted.judge()
    return drafted


def dead_event(origin: Origin, fault: Fault) -> DeadLetter:
    """The dead letter of one event; what is kept is an entry with that event alone."""
    entry = origin.record.entry
    assert entry is not None
    alone = replace(entry, events=(entry.events[origin.event_index],))
    return _letter(origin.record, origin.event_index, fault, _encoded(alone, origin.record.raw))


def events_in(records: Iterable[Record]) -> int:
    """How many events were accepted with these records; bytes that are no entry count as one."""
    return sum(_accepted(record) for record in records)


class Draft:
    """What was read, as rows, and what of it is dead."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._sources: list[Source] = []
        self._records: list[Record] = []
        self._rows = unpack_rows((), ())
        self._dead: dict[tuple[int, int, str, int], DeadLetter] = {}
        self._progress: dict[tuple[int, int], ShardProgress] = {}
        self._raised: list[Raised] = []

    def take(self, record: Record) -> None:
        """One more record."""
        self._move(record)
        entry = record.entry
        if entry is None:
            self._bury(_letter(record, 0, Fault(DeadReason.UNDECODABLE, record.fault), record.raw))
            return
        fault = _fault_of(record, entry)
        if fault is not None:
            for index in range(len(entry.events)):
                self._bury(dead_event(Origin(record, index), fault))
            return
        source = Source(
            entry.tenant_id, entry.received_at_us, entry.gateway_id, entry.durability, record.shard
        )
        if isinstance(entry.events, PackedEvents):
            self._parts.append(Part(len(self._sources), entry.events.packed))
        else:
            self._pack(record, entry.events)
        self._sources.append(source)
        self._records.append(record)

    def judge(self) -> None:
        """Make rows of all that was taken, and put aside what cannot be stored."""
        rows = unpack_rows(self._parts, self._sources)
        keep = sound(rows)
        one_by_one = np.array([part.indexes is not None for part in self._parts], np.bool_)
        judged = np.repeat(one_by_one, [part.packed.size for part in self._parts])
        for place in np.flatnonzero(~keep & ~judged).tolist():
            source, index = rows.rows["source"][place], rows.rows["index"][place]
            keep[place] = self._passes(Origin(self._records[source], int(index)), rows.event(place))
        self._rows = rows.where(keep | judged)

    def answers(self) -> set[tuple[int, int]]:
        """Tenant and policy revision of every decision that something is learned of."""
        learned = self._rows.where(_learned(self._rows))
        rows = learned.where(np.unique(learned.rows["decision"], return_index=True)[1])
        pairs = zip(rows.shared("tenant_id").tolist(), rows.decided("policy_revision").tolist(), strict=True)
        return {each for each in pairs if each[1] > 0}

    def plan(
        self, rewarding: Rewarding, holds: Sequence[Hold] = (), leaving: Leaving = nobody_leaves
    ) -> Plan:
        """What to store of it; rows and progress come out sorted by their keys."""
        self._note_rewards(rewarding)
        batch = Batch(
            rows=self._with_implied(leaving).in_order(),
            dead=[self._dead[key] for key in sorted(self._dead)],
            progress=[self._progress[shard] for shard in sorted(self._progress)],
            holds=holds,
        )
        return Plan(batch, self._records, self._raised)

    def _pack(self, record: Record, events: Sequence[AcceptedEvent]) -> None:
        """Of events that came one by one, those that pass."""
        passed = [index for index, event in enumerate(events) if self._passes(Origin(record, index), event)]
        packed = pack_events([events[index] for index in passed])
        if packed is not None:
            self._parts.append(Part(len(self._sources), packed, passed))
            return
        for index in passed:
            packed = pack_events([events[index]])
            if packed is not None:
                self._parts.append(Part(len(self._sources), packed, [index]))
            else:
                self._raise(Origin(record, index), ValueError("it passes, and has no place in the ledger"))

    def _passes(self, origin: Origin, event: AcceptedEvent) -> bool:
        """Whether it can be stored; what cannot is put aside."""
        entry = origin.record.entry
        assert entry is not None
        try:
            fault = fault_of_event(event, entry.received_at_us)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one event must not end the counting of all others
            self._raise(origin, error)
            return False
        if fault is not None:
            self._bury(dead_event(origin, fault))
        return fault is None

    def _raise(self, origin: Origin, error: Exception) -> None:
        self._raised.append(Raised(origin, error))
        self._bury(self._raised[-1].letter())

    def _note_rewards(self, rewarding: Rewarding) -> None:
        known: dict[tuple[int, int, int], bool] = {}
        acts = _acts(self._rows)
        rows = self._rows.where(acts)
        rewards = []
        for said in zip(
            rows.shared("tenant_id").tolist(),
            rows.decided("policy_revision").tolist(),
            rows.rows["kind"].tolist(),
            strict=True,
        ):
            if said not in known:
                known[said] = rewarding(*said)
            rewards.append(known[said])
        self._rows.rows["rewards_feed"][acts] = rewards

    def _with_implied(self, leaving: Leaving) -> LedgerRows:
        """With the impressions that acts prove, and with all that is read until a success marked."""
        leave = {each: kinds for each in self.answers() if (kinds := leaving(*each))}
        for each in leave:
            self._rows.rows["cascades"][_of_revision(self._rows, each)] = True
        rows = self._rows.with_implied()
        for each, kinds in leave.items():
            acts = _acts(rows) & _of_revision(rows, each)
            rows.rows["cascades"][acts] = np.isin(rows.rows["kind"][acts], sorted(kinds))
        return rows

    def _bury(self, letter: DeadLetter) -> None:
        self._dead[letter.tenant_id, letter.shard, letter.entry_id, letter.event_index] = letter

    def _move(self, record: Record) -> None:
        shard = (record.tenant_id, record.shard)
        known = self._progress.get(shard)
        last, accepted = (known.last_entry_id, known.accepted) if known else ("0-0", 0)
        last = max(last, record.entry_id, key=place_in_stream)
        self._progress[shard] = ShardProgress(*shard, last, accepted + _accepted(record))


def _fault_of(record: Record, entry: Entry) -> Fault | None:
    if record.deliveries > MOST_DELIVERIES:
        return Fault(
            DeadReason.CRASH_POISON,
            f"handed out {record.deliveries} times and never acknowledged: whoever reads it dies of it",
        )
    return fault_of_entry(entry, record.tenant_id)


def _learned(rows: LedgerRows) -> Column:
    learned: Column = rows.rows["claimed"] & (rows.rows["unlearned"] == Unlearned.LEARNED)
    return learned


def _of_revision(rows: LedgerRows, revision: tuple[int, int]) -> Column:
    tenant_id, number = revision
    of_tenant, of_number = rows.shared("tenant_id") == tenant_id, rows.decided("policy_revision") == number
    learned: Column = _learned(rows) & of_tenant & of_number
    return learned


def _acts(rows: LedgerRows) -> Column:
    """Which rows are learned acts: what is done with an item beyond seeing it."""
    acts: Column = _learned(rows) & (rows.rows["kind"] != IMPRESSION)
    return acts


def _accepted(record: Record) -> int:
    return 1 if record.entry is None else len(record.entry.events)


def _encoded(entry: Entry, raw: bytes) -> bytes:
    try:
        return encode_entry(entry)
    except (ValueError, TypeError, ArithmeticError):  # what our format cannot hold is kept as it came
        return raw


def _letter(record: Record, event_index: int, fault: Fault, kept: bytes) -> DeadLetter:
    return DeadLetter(
        tenant_id=record.tenant_id,
        shard=record.shard,
        entry_id=record.entry_id,
        event_index=event_index,
        reason=fault.reason,
        detail=fault.detail.replace("\0", "\\0")[:_LONGEST_DETAIL],
        entry=kept,
    )
