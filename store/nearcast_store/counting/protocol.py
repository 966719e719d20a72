"""The ledger and the integers folded from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from nearcast_ledger.event import AcceptedEvent, Durability
from nearcast_ledger.identity import Identity


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One event under its identity, as the ledger keeps it."""

    identity: Identity
    event: AcceptedEvent
    implied: bool
    received_at_us: int
    gateway_id: str
    durability: Durability
    rewards_feed: bool
    shard: int = 0  # of the log it was read from


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


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores and counts."""

    rows: Sequence[LedgerRow]
    dead: Sequence[DeadLetter] = ()
    progress: Sequence[ShardProgress] = ()


@dataclass(frozen=True, slots=True)
class FoldResult:
    """How many rows were new or are learned from only now, and how many were there already."""

    counted: int
    duplicate: int
    dead: int


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
    """Trials and rewards of one feed in one market and hour."""

    market: int
    feed: int
    bucket: int
    trials: int
    rewards: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Absolute counts of what changed, in the order of their keys, as far as one look goes.

    `horizon` is where the next look begins; of a look in several parts, the first part's. `complete`: the
    look is at everything there is, not only at what changed. `more`: ask again after the last row.
    """

    rows: Sequence[CountRow]
    horizon: int
    complete: bool = field(default=False)
    more: bool = field(default=False)


class CountStore(Protocol):
    """Stores each identity once and counts what was new, in one transaction. Raises StoreUnavailableError."""

    async def fold(self, batch: Batch) -> FoldResult:
        """Store the rows whose identity is new, count the learned ones among them, move the progress.

        A learned row takes the place of one of its identity that was not learned from, and is counted then.
        """
        ...

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 10_000
    ) -> Changes:
        """Counts that may have changed since that horizon (None: all of them); repeats are harmless."""
        ...

    async def feed_counts(self, tenant_id: int) -> list[FeedCount]:
        """Every feed's trials and rewards."""
        ...

    async def counts_of(self, tenant_id: int, postings: Sequence[int]) -> list[CountRow]:
        """Counts of these postings."""
        ...

    async def top_postings(self, tenant_id: int, most: int) -> list[int]:
        """Postings with the most impressions, most first."""
        ...

    async def totals(self, tenant_id: int) -> dict[int, int]:
        """Sum of counts by kind."""
        ...
