"""Logged decisions and what came of them, as an evaluation reads them: all of it as of one moment."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from nearcast_ledger.event import Unlearned
from nearcast_store.counting.recounting import LONGEST_S, NO_LIMIT
from nearcast_store.postgres import Connection, Pool
from nearcast_store.queries import queries

_DECISIONS = queries("decisions")
_EVENTS = queries("events")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Days:
    """From `since_ms` on and before `until_ms`, in milliseconds since the Unix epoch."""

    since_ms: int
    until_ms: int

    @property
    def first(self) -> date:
        """The UTC day it begins on."""
        return (_EPOCH + timedelta(milliseconds=self.since_ms)).date()

    @property
    def last(self) -> date:
        """The UTC day it ends on."""
        return (_EPOCH + timedelta(milliseconds=max(self.until_ms - 1, self.since_ms))).date()

    @property
    def bounds(self) -> tuple[date, date, UUID, UUID]:
        """First and last day, and the request ids it lies between."""
        return self.first, self.last, UUID(int=self.since_ms << 80), UUID(int=self.until_ms << 80)


class Happened(NamedTuple):
    """An event that is learned from."""

    request_id: UUID
    posting: int
    kind: int


class Explored(NamedTuple):
    """How many requests of a day explored, and of how many of them there is no record."""

    day: date
    requests: int
    lost: int


class FeedSession(NamedTuple):
    """A feed as a session got it in a policy epoch; `propensity` is that of the feed in its requests."""

    policy_epoch: int
    session: bytes
    feed: int
    market: int
    scenario: int
    policy_revision: int
    propensity: float
    rewarded: bool
    segment: int = 0


class Candidate(NamedTuple):
    """What rules go by of an item, which has been so since `updated_at`, in unix seconds."""

    posting: int
    item_id: str
    category: str
    owner: str
    tags: tuple[str, ...]
    updated_at: float


class DecisionReader:
    """One tenant's, within one transaction."""

    def __init__(self, connection: Connection, tenant_id: int) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def ids(self, days: Days) -> list[UUID]:
        """Of all that were logged, in no order."""
        rows = await self._connection.fetch(
            _DECISIONS["list_decision_ids"], self._tenant_id, *days.bounds, timeout=LONGEST_S
        )
        return [row["request_id"] for row in rows]

    async def records(self, days: Days, request_ids: Sequence[UUID]) -> list[tuple[UUID, bytes]]:
        """Packed, in no order."""
        rows = await self._connection.fetch(
            _DECISIONS["read_decisions"],
            self._tenant_id,
            days.first,
            days.last,
            request_ids,
            timeout=LONGEST_S,
        )
        return [(row["request_id"], row["record"]) for row in rows]

    async def events(self, days: Days, request_ids: Sequence[UUID]) -> list[Happened]:
        """Those of these requests that are learned from."""
        rows = await self._connection.fetch(
            _DECISIONS["list_decision_events"],
            self._tenant_id,
            days.first,
            days.last,
            request_ids,
            timeout=LONGEST_S,
        )
        return [Happened(*row) for row in rows]

    async def candidates(self, postings: Sequence[int]) -> list[Candidate]:
        """Those of these items that are still there."""
        rows = await self._connection.fetch(
            _DECISIONS["list_candidates"], self._tenant_id, postings, timeout=LONGEST_S
        )
        return [
            Candidate(posting, item_id, category or "", owner or "", tuple(tags), updated_at)
            for posting, item_id, category, owner, tags, updated_at in rows
        ]

    async def explored(self, days: Days) -> list[Explored]:
        """Day by day."""
        rows = await self._connection.fetch(
            _DECISIONS["count_lost_explorations"], self._tenant_id, *days.bounds, timeout=LONGEST_S
        )
        return [Explored(*row) for row in rows]

    async def unlearned(self, days: Days) -> dict[Unlearned, int]:
        """How many events of these days are not learned from, by why."""
        rows = await self._connection.fetch(
            _DECISIONS["count_unlearned_events"], self._tenant_id, days.first, days.last, timeout=LONGEST_S
        )
        return {Unlearned(row["reason"]): row["events"] for row in rows}

    async def gone_days(self) -> set[date]:
        """Whose events are no longer kept."""
        rows = await self._connection.fetch(_EVENTS["list_gone_days"])
        return {row["day"] for row in rows}

    async def feed_sessions(self, days: Days) -> list[FeedSession]:
        """Of all whom a feed was shown to, logged or not."""
        rows = await self._connection.fetch(
            _DECISIONS["list_feed_sessions"], self._tenant_id, *days.bounds, timeout=LONGEST_S
        )
        return [FeedSession(*row) for row in rows]


@asynccontextmanager
async def open_decisions(pool: Pool, tenant_id: int) -> AsyncIterator[DecisionReader]:
    """However long it takes. Raises StoreUnavailableError."""
    async with pool.transaction("repeatable_read", readonly=True) as connection:
        await connection.execute(NO_LIMIT)
        yield DecisionReader(connection, tenant_id)
