"""Whether every event that the log holds was counted, is a duplicate, is dead or is still in flight.

The log is read before the ledger: what the log says is finished was committed before, so nothing can look
lost that only moved meanwhile. How far the keepers came is read before the log, which then is further.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from nearcast_ledger.event import Entry
from nearcast_ledger.identity import Identity, identity_of
from nearcast_statskeeper.faults import fault_of_entry, fault_of_event
from nearcast_store.counting.accounting import Position, PostgresAccounts, Stored
from nearcast_store.log.auditing import EntryPlace, Head, RedisLogAudit, place_of
from nearcast_store.log.protocol import Record

MOST_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Missing:
    """One event that was acknowledged and is nowhere to be found."""

    entry_id: str
    event_index: int


@dataclass(frozen=True, slots=True)
class Raising:
    """One event in flight that nobody can judge: keepers stop at several of them in a row."""

    entry_id: str
    event_index: int
    error: str


@dataclass(frozen=True, slots=True)
class ShardBalance:
    """One shard: how it stands, and accepted = counted + duplicate + dead + in flight + missing.

    Events are those of the entries looked at. `vanished` are entries that Redis dropped before any keeper had
    read them. `position` is what the keepers say of all they ever folded.
    """

    head: Head
    position: Position | None
    oldest_s: float
    accepted: int
    counted: int
    duplicate: int
    dead: int
    in_flight: int
    missing: int
    vanished: int
    examples: Sequence[Missing]
    raising: int
    raising_examples: Sequence[Raising]

    @property
    def balanced(self) -> bool:
        """Whether nothing that was accepted is lost."""
        return not self.missing and not self.vanished

    @property
    def set_back(self) -> bool:
        """Whether the log ends before what was folded: Redis has lost its newest entries."""
        return self.position is not None and self.head.last < place_of(self.position.last_entry_id)


class _Fate(Enum):
    COUNTED = auto()
    DUPLICATE = auto()
    DEAD = auto()
    IN_FLIGHT = auto()
    MISSING = auto()


@dataclass(frozen=True, slots=True)
class _Event:
    """One event of an entry; without identity when it can only be a dead letter.

    `error` is the kind of exception that judging it raised, empty when it raised none.
    """

    record: Record
    index: int
    identity: Identity | None
    error: str = ""


@dataclass(slots=True)
class _Tally:
    head: Head
    unfinished: set[str]
    fates: dict[_Fate, int] = field(default_factory=lambda: dict.fromkeys(_Fate, 0))
    seen: set[Identity] = field(default_factory=set)
    unread: int = 0
    oldest: EntryPlace | None = None
    examples: list[Missing] = field(default_factory=list)
    raising: int = 0
    raising_examples: list[Raising] = field(default_factory=list)

    def in_flight(self, record: Record) -> bool:
        return record.entry_id in self.unfinished or place_of(record.entry_id) > self.head.delivered

    def take_entry(self, record: Record) -> None:
        place = place_of(record.entry_id)
        self.unread += place > self.head.delivered
        if self.oldest is None and self.in_flight(record):
            self.oldest = place

    def take(self, event: _Event, stored: Stored | None, is_dead: bool) -> None:
        fate = self._fate(event, stored, is_dead)
        self.fates[fate] += 1
        if fate is _Fate.MISSING and len(self.examples) < MOST_EXAMPLES:
            self.examples.append(Missing(event.record.entry_id, event.index))
        if fate is _Fate.IN_FLIGHT and event.error:
            self.raising += 1
            if len(self.raising_examples) < MOST_EXAMPLES:
                self.raising_examples.append(Raising(event.record.entry_id, event.index, event.error))

    def _fate(self, event: _Event, stored: Stored | None, is_dead: bool) -> _Fate:
        entry, identity = event.record.entry, event.identity
        if stored is not None and entry is not None and identity is not None:
            mine = Stored(False, entry.received_at_us, entry.gateway_id)
            first = stored == mine and identity not in self.seen
            self.seen.add(identity)
            return _Fate.COUNTED if first else _Fate.DUPLICATE
        if is_dead:
            return _Fate.DEAD
        return _Fate.IN_FLIGHT if self.in_flight(event.record) else _Fate.MISSING


async def balance_log(
    audit: RedisLogAudit, accounts: PostgresAccounts, tenant_ids: Sequence[int], since_ms: int, now_ms: int
) -> list[ShardBalance]:
    """Every shard, over the entries appended since then and all unfinished ones. Raises StoreError."""
    positions = await accounts.positions(tenant_ids)
    heads = await audit.heads(tenant_ids)
    tallies = [await _tally(audit, accounts, head, since_ms) for head in heads]
    return [
        _balance(tally, positions.get((tally.head.tenant_id, tally.head.shard)), now_ms) for tally in tallies
    ]


async def _tally(audit: RedisLogAudit, accounts: PostgresAccounts, head: Head, since_ms: int) -> _Tally:
    tally = _Tally(head, await audit.unfinished(head))
    since = min([(since_ms, 0), head.delivered, *map(place_of, tally.unfinished)])
    async for records in audit.records(head, since):
        for record in records:
            tally.take_entry(record)
        events = list(_events_of(records))
        stored = await accounts.stored({event.identity for event in events if event.identity is not None})
        dead = await accounts.letters(head.tenant_id, head.shard, [record.entry_id for record in records])
        for event in events:
            found = None if event.identity is None else stored.get(event.identity)
            tally.take(event, found, (event.record.entry_id, event.index) in dead)
    return tally


def _events_of(records: Sequence[Record]) -> Iterator[_Event]:
    """Bytes that are no entry count as one event, as they do for the keeper."""
    for record in records:
        entry = record.entry
        if entry is None:
            yield _Event(record, 0, None)
            continue
        sound = fault_of_entry(entry, record.tenant_id) is None
        for index in range(len(entry.events)):
            yield _judged(record, index, entry) if sound else _Event(record, index, None)


def _judged(record: Record, index: int, entry: Entry) -> _Event:
    """As the keeper judges it; where the keeper's code raises, this one says so and goes on."""
    try:
        event = entry.events[index]
        storable = fault_of_event(event, entry.received_at_us) is None
        return _Event(record, index, identity_of(entry.tenant_id, event) if storable else None)
    except Exception as error:  # noqa: BLE001 - one forged event must not hide how all others stand
        return _Event(record, index, None, type(error).__name__)


def _balance(tally: _Tally, position: Position | None, now_ms: int) -> ShardBalance:
    head, fates = tally.head, tally.fates
    known = head.added is not None and head.read is not None
    vanished = max(0, (head.added or 0) - (head.read or 0) - tally.unread) if known else 0
    return ShardBalance(
        head=head,
        position=position,
        oldest_s=0.0 if tally.oldest is None else max(0, now_ms - tally.oldest[0]) / 1000,
        accepted=sum(fates.values()),
        counted=fates[_Fate.COUNTED],
        duplicate=fates[_Fate.DUPLICATE],
        dead=fates[_Fate.DEAD],
        in_flight=fates[_Fate.IN_FLIGHT],
        missing=fates[_Fate.MISSING],
        vanished=vanished,
        examples=tally.examples,
        raising=tally.raising,
        raising_examples=tally.raising_examples,
    )
