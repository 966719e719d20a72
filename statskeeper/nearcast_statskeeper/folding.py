"""From entries of the log to one batch of ledger rows: pure, so that order and repetition cannot matter."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from nearcast_ledger.event import AcceptedEvent, Entry, Unlearned
from nearcast_ledger.identity import Identity, identity_of, implied_impression
from nearcast_ledger.kinds import IMPRESSION
from nearcast_statskeeper.faults import DeadReason, Fault, fault_of_entry, fault_of_event
from nearcast_store.counting.protocol import (
    Batch,
    DeadLetter,
    Hold,
    LedgerRow,
    ShardProgress,
    place_in_stream,
)
from nearcast_store.counting.tallying import one_of_each
from nearcast_store.log.codec import encode_entry
from nearcast_store.log.protocol import Record
from nearcast_store.log.suspicion import ALONE_AFTER

# From half of these on the log hands an entry out alone, to a keeper that then has nothing else in hand. So
# what lay beside the one that keepers die of, or was in hand whenever they were killed for other reasons, is
# folded by itself, and only what even then does not return is buried.
MOST_DELIVERIES = 2 * ALONE_AFTER
_LONGEST_DETAIL = 500

Rewarding = Callable[[int, int, int], bool]
"""Whether an event of this tenant, policy revision and kind is a success of the feed that showed the item."""


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
    """One batch, and the rows it was chosen from with where each came from.

    What `raised` while it was judged is among the batch's dead letters.
    """

    batch: Batch
    drafted: Sequence[tuple[LedgerRow, Origin]]
    raised: Sequence[Raised] = ()

    def origins(self) -> Mapping[Identity, Origin]:
        """Where each row of the batch came from; found only when asked, as hardly anybody does."""
        # The chosen row may hold the dwell of another; then any of its reports stands for it.
        chosen = {row.identity: row for row in self.batch.rows}
        origins = {row.identity: origin for row, origin in reversed(self.drafted)}
        return origins | {row.identity: origin for row, origin in self.drafted if chosen[row.identity] is row}


def plan(records: Sequence[Record], rewarding: Rewarding, holds: Sequence[Hold] = ()) -> Plan:
    """What to store for these records; rows and progress come out sorted by their keys."""
    draft = _Draft(rewarding, holds)
    for record in records:
        draft.take(record)
    return draft.plan()


def dead_event(origin: Origin, fault: Fault) -> DeadLetter:
    """The dead letter of one event; what is kept is an entry with that event alone."""
    entry = origin.record.entry
    assert entry is not None
    alone = replace(entry, events=(entry.events[origin.event_index],))
    return _letter(origin.record, origin.event_index, fault, _encoded(alone, origin.record.raw))


def events_in(records: Iterable[Record]) -> int:
    """How many events were accepted with these records; bytes that are no entry count as one."""
    return sum(_accepted(record) for record in records)


@dataclass(slots=True)
class _Draft:
    rewarding: Rewarding
    holds: Sequence[Hold]
    rows: list[tuple[LedgerRow, Origin]] = field(default_factory=list)
    dead: dict[tuple[int, int, str, int], DeadLetter] = field(default_factory=dict)
    progress: dict[tuple[int, int], ShardProgress] = field(default_factory=dict)
    raised: list[Raised] = field(default_factory=list)

    def take(self, record: Record) -> None:
        self._move(record)
        if record.entry is None:
            self._bury(_letter(record, 0, Fault(DeadReason.UNDECODABLE, record.fault), record.raw))
            return
        entry_fault = _fault_of(record, record.entry)
        for index, event in enumerate(record.entry.events):
            origin = Origin(record, index)
            try:
                fault = entry_fault or fault_of_event(event, record.entry.received_at_us)
                if fault is not None:
                    self._bury(dead_event(origin, fault))
                    continue
                self.rows += [(row, origin) for row in self._rows_of(record.shard, record.entry, event)]
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - one event must not end the counting of all others
                self.raised.append(Raised(origin, error))
                self._bury(self.raised[-1].letter())

    def plan(self) -> Plan:
        batch = Batch(
            rows=sorted(one_of_each(row for row, _ in self.rows), key=_place),
            dead=[self.dead[key] for key in sorted(self.dead)],
            progress=[self.progress[shard] for shard in sorted(self.progress)],
            holds=self.holds,
        )
        return Plan(batch, self.rows, self.raised)

    def _rows_of(self, shard: int, entry: Entry, event: AcceptedEvent) -> Iterator[LedgerRow]:
        yield self._row(shard, entry, event, implied=False)
        impression = implied_impression(event)
        if impression is not None:
            yield self._row(shard, entry, impression, implied=True)

    def _row(self, shard: int, entry: Entry, event: AcceptedEvent, *, implied: bool) -> LedgerRow:
        rewards = (
            event.claims is not None
            and event.unlearned is Unlearned.LEARNED
            and event.kind != IMPRESSION
            and self.rewarding(entry.tenant_id, event.claims.policy_revision, event.kind)
        )
        return LedgerRow(
            identity=identity_of(entry.tenant_id, event),
            event=event,
            implied=implied,
            received_at_us=entry.received_at_us,
            gateway_id=entry.gateway_id,
            durability=entry.durability,
            rewards_feed=rewards,
            shard=shard,
        )

    def _bury(self, letter: DeadLetter) -> None:
        self.dead[letter.tenant_id, letter.shard, letter.entry_id, letter.event_index] = letter

    def _move(self, record: Record) -> None:
        shard = (record.tenant_id, record.shard)
        known = self.progress.get(shard)
        last, accepted = (known.last_entry_id, known.accepted) if known else ("0-0", 0)
        last = max(last, record.entry_id, key=place_in_stream)
        self.progress[shard] = ShardProgress(*shard, last, accepted + _accepted(record))


def _fault_of(record: Record, entry: Entry) -> Fault | None:
    if record.deliveries > MOST_DELIVERIES:
        return Fault(
            DeadReason.CRASH_POISON,
            f"handed out {record.deliveries} times and never acknowledged: whoever reads it dies of it",
        )
    return fault_of_entry(entry, record.tenant_id)


def _place(row: LedgerRow) -> tuple[int, date, int, int, int]:
    """What sorts as the identity; two numbers are compared sooner than two UUIDs."""
    identity = row.identity
    return (
        identity.tenant_id,
        identity.day,
        identity.origin_id.int,
        identity.posting,
        identity.identity_kind,
    )


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
