"""The ledger and the integers folded from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from msgspec import Struct

from nearcast_ledger.event import AcceptedEvent, Durability
from nearcast_ledger.identity import Identity


class LedgerRow(Struct, frozen=True):
    """One event under its identity, as the ledger keeps it."""

    identity: Identity
    event: AcceptedEvent
    implied: bool
    received_at_us: int
    gateway_id: str
    durability: Durability
    rewards_feed: bool
    shard: int = 0  # of the log it was read from
    # An impression of an answer that is read from the top until an act, or an act at which people leave.
    cascades: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Something that can never be stored as it is."""

    tenant_id: int
    shard: int
    entry_id: str
    event_index: int
    reason: str
    detail: str
    entry: bytes


class ShardProgress(NamedTuple):
    """How far one shard of one tenant was read by this batch, and how many events that was."""

    tenant_id: int
    shard: int
    last_entry_id: str
    accepted: int


def place_in_stream(entry_id: str) -> tuple[int, ...]:
    """What compares as the entries of one shard do; ids are numbers joined by dashes."""
    return tuple(int(part) for part in entry_id.split("-"))


class Hold(NamedTuple):
    """The right to fold one shard of one tenant; whoever takes the shard over raises its generation."""

    tenant_id: int
    shard: int
    generation: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores and counts, if it still holds the shards that it must hold."""

    rows: Sequence[LedgerRow]
    dead: Sequence[DeadLetter] = ()
    progress: Sequence[ShardProgress] = ()
    holds: Sequence[Hold] = ()


@dataclass(frozen=True, slots=True)
class FoldResult:
    """How many rows were new or are learned from only now, and how many were there already."""

    counted: int
    duplicate: int
    dead: int


class Standing(NamedTuple):
    """How far one shard is folded, and how often it was taken since anything of it was finished."""

    tenant_id: int
    shard: int
    last_entry_id: str
    generation: int
    takes: int


class Positions(Protocol):
    """How far each shard is folded, as the folds themselves commit it. Raises StoreUnavailableError."""

    async def standings(self, tenant_ids: Sequence[int]) -> list[Standing]:
        """Of every shard of these tenants that was ever taken or folded."""
        ...

    async def take(self, tenant_id: int, shard: int) -> Standing:
        """Become the one who folds this shard: whoever held it before can commit nothing more of it."""
        ...


class CountRow(NamedTuple):
    """One integer, with all it is counted by."""

    posting: int
    market: int
    kind: int
    bucket: int
    position_bucket: int
    feed: int
    explore: bool
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a row


class FeedCount(NamedTuple):
    """Trials and rewards of one feed in one market, hour and segment of people."""

    market: int
    feed: int
    bucket: int
    trials: int
    rewards: int
    segment: int = 0


class ShuffledCount(NamedTuple):
    """What one position of uniformly shuffled answers showed in one market and on one day."""

    market: int
    day: int
    position_bucket: int
    impressions: int
    successes: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Absolute counts of what changed, in the order of their keys, as far as one look goes.

    `horizon` is where the next look begins; of a look in several parts, the first part's. `complete`: the
    look is at everything there is, not only at what changed; when a later part differs from the first in
    that, what changed can no longer be told, and everything must be read. `more`: ask again after the last
    row.
    """

    rows: Sequence[CountRow]
    horizon: int
    complete: bool = field(default=False)
    more: bool = field(default=False)


class Ledger(Protocol):
    """Stores each identity once and counts what was new, in one transaction. Raises StoreUnavailableError."""

    async def fold(self, batch: Batch) -> FoldResult:
        """Store the rows whose identity is new, count the learned ones among them, move the progress.

        A learned row takes the place of one of its identity that was not learned from, and is counted then.
        Raises PositionsLostError, and nothing has changed then, when a shard is no longer held.
        """
        ...


class CountStore(Ledger, Protocol):
    """The ledger, and what was counted from it. Raises StoreUnavailableError."""

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 10_000
    ) -> Changes:
        """Counts that may have changed since that horizon (None: all of them); repeats are harmless."""
        ...

    async def horizon(self) -> int:
        """Whatever is not committed yet will count as changed since then."""
        ...

    async def changed_postings(self, tenant_id: int, horizon: int, after: int, most: int) -> list[int]:
        """Postings above `after`, in order, whose counts may have changed since that horizon (0: all)."""
        ...

    async def feed_counts(self, tenant_id: int) -> list[FeedCount]:
        """Every feed's trials and rewards."""
        ...

    async def counts_of(self, tenant_id: int, postings: Sequence[int]) -> list[CountRow]:
        """Counts of these postings."""
        ...

    async def sums_of(self, tenant_id: int, postings: Sequence[int]) -> dict[tuple[int, int], int]:
        """Counts of these postings, by posting and kind."""
        ...

    async def shuffled(self, tenant_id: int, first_bucket: int, kinds: Sequence[int]) -> list[ShuffledCount]:
        """What the exploration share showed since that hour; events of these kinds are its successes."""
        ...

    async def top_postings(self, tenant_id: int, most: int) -> list[int]:
        """Postings with the most impressions, most first."""
        ...

    async def totals(self, tenant_id: int) -> dict[int, int]:
        """Sum of counts by kind."""
        ...
