"""Carries what the catalogue committed to the index, and repairs an index that fell behind or was lost."""

from collections import defaultdict
from collections.abc import AsyncIterable, Sequence
from typing import Protocol

from nearcast_catalogue.item import ServedItem
from nearcast_faultpoints.arming import Failpoint
from nearcast_faultpoints.reaching import reach
from nearcast_statskeeper.leadership import Leadership
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.tally import Tally
from nearcast_store.changes.protocol import Change, ChangeFeed
from nearcast_store.errors import SchemaError
from nearcast_store.relay.applying import StaleRelayError
from nearcast_telemetry.jobmetrics import KEEPER_FAILURES
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.relaymetrics import (
    KEEPER_RELAY_APPLIED,
    KEEPER_RELAY_LAG_CHANGES,
    KEEPER_RELAY_REFILLS,
)

log = logger("keeper.relay")

NUMBERED_AT_ONCE = 1000
APPLIED_AT_ONCE = 500
# A follower further behind than this reads everything anew, which takes about as long.
CHANGES_KEPT = 10_000
TRIMMED_EVERY = 1000
# Nobody tells that Redis came back empty or older; this is how long that can go unnoticed.
LOOK_EVERY_S = 1.0


class IndexWriter(Protocol):
    """The index, and how far it was brought. Raises IndexUnavailableError, StaleRelayError."""

    async def position(self, tenant_id: int) -> int | None:
        """Sequence of the last change applied; None when it holds nothing of the tenant."""
        ...

    async def apply(self, tenant_id: int, changes: Sequence[Change]) -> None:
        """Apply changes that follow the position."""
        ...

    async def refill(
        self, tenant_id: int, sequence: int, batches: AsyncIterable[Sequence[ServedItem]]
    ) -> None:
        """Replace all of it."""
        ...

    async def trim_changes(self, tenant_id: int, keep: int) -> None:
        """Forget all but about the last `keep` changes that followers read."""
        ...


class Relay:
    """One turn of `step` brings every tenant's index up to date; `rounds` counts the turns that ended so."""

    def __init__(
        self,
        feed: ChangeFeed,
        writer: IndexWriter,
        roster: Roster,
        leadership: Leadership,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._feed = feed
        self._writer = writer
        self._roster = roster
        self._leadership = leadership
        self._metrics = metrics
        self._clock = clock
        self._looked_at: float | None = None
        self._untrimmed: defaultdict[int, int] = defaultdict(int)
        self._unreadable: dict[int, str] = {}
        self.rounds = Tally()

    async def step(self) -> bool:
        """Number what waits and carry it over; whether there may be more. Raises StoreError."""
        if not await self._leadership.held():
            return False
        numbered = await self._feed.sequence(NUMBERED_AT_ONCE)
        if numbered == 0 and not self._is_time_to_look():
            return False
        lag = 0
        for tenant_id in await self._roster.tenant_ids():
            lag += await self._try_to_bring_forward(tenant_id)
        self._metrics.set(KEEPER_RELAY_LAG_CHANGES, lag)
        self._looked_at = None if lag else self._clock()
        self.rounds.add()
        return numbered == NUMBERED_AT_ONCE

    def _is_time_to_look(self) -> bool:
        return self._looked_at is None or not 0 <= self._clock() - self._looked_at < LOOK_EVERY_S

    async def _try_to_bring_forward(self, tenant_id: int) -> int:
        """How many changes are still to be carried over."""
        try:
            return await self._bring_forward(tenant_id)
        except StaleRelayError as error:
            # Somebody else moved it: the next turn reads anew where it is.
            log.warning("index.moved", tenant_id=tenant_id, reason=error)
            return 1
        except SchemaError as error:
            # Nothing more of this tenant can be carried by this version; the others do not wait for it.
            self._metrics.add(KEEPER_FAILURES, 1, "relay")
            if self._unreadable.get(tenant_id) != str(error):
                self._unreadable[tenant_id] = str(error)
                log.error("index.unreadable_item", error, tenant_id=tenant_id)
            return 0

    async def _bring_forward(self, tenant_id: int) -> int:
        position, last = await self._writer.position(tenant_id), await self._feed.last(tenant_id)
        trouble = await self._trouble(tenant_id, position, last)
        if trouble or position is None:
            await self._refill(tenant_id, trouble)
            return 0
        while position < last:
            changes = await self._feed.after(tenant_id, position, APPLIED_AT_ONCE)
            if not changes:
                break
            reach(Failpoint.RELAY_BEFORE_APPLY)
            await self._writer.apply(tenant_id, changes)
            reach(Failpoint.RELAY_AFTER_APPLY)
            position = changes[-1].sequence
            await self._note_applied(tenant_id, len(changes))
        return max(last - position, 0)

    async def _trouble(self, tenant_id: int, position: int | None, last: int) -> str:
        """Why the index cannot be brought forward change by change; empty when it can."""
        if position is None:
            return "it is empty"
        if position > last:
            return f"it is at {position}, beyond the last change {last}: it comes from elsewhere"
        if position < last and position + 1 < (oldest := await self._feed.oldest_kept(tenant_id)):
            return f"it is at {position}, and changes are kept from {oldest} on"
        return ""

    async def _refill(self, tenant_id: int, trouble: str) -> None:
        log.info("index.refill_started", tenant_id=tenant_id, reason=trouble)
        sequence = await refill(self._feed, self._writer, tenant_id)
        self._metrics.add(KEEPER_RELAY_REFILLS)
        log.info("index.refilled", tenant_id=tenant_id, sequence=sequence)

    async def _note_applied(self, tenant_id: int, applied: int) -> None:
        self._metrics.add(KEEPER_RELAY_APPLIED, applied)
        self._untrimmed[tenant_id] += applied
        if self._untrimmed[tenant_id] >= TRIMMED_EVERY:
            await self._writer.trim_changes(tenant_id, CHANGES_KEPT)
            self._untrimmed[tenant_id] = 0


async def refill(feed: ChangeFeed, writer: IndexWriter, tenant_id: int) -> int:
    """Build the tenant's index from nothing; the sequence it then is at."""
    async with feed.refill(tenant_id) as everything:
        await writer.refill(tenant_id, everything.sequence, everything.batches)
        return everything.sequence
