"""How often items stood in answers: noted while answering, added to the record now and then."""

import asyncio
from collections import Counter
from itertools import islice

from nearcast_ledger.kinds import position_bucket
from nearcast_ledger.pagetoken import MAX_SERVED
from nearcast_server.recommending import Slate
from nearcast_store.errors import StoreError
from nearcast_store.served.protocol import ServedKey, ServedStore
from nearcast_telemetry.answermetrics import SERVER_SERVED_DROPPED
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.pacing import pause

MOST_KEPT = 200_000
WRITTEN_AT_ONCE = 1000
LAST_WRITE_S = 2.0
_SECONDS_PER_HOUR = 3600
# By rank, from 0.
_BUCKETS = [position_bucket(rank) for rank in range(MAX_SERVED + 1)]

log = logger("gateway")

_Group = tuple[int, int, int, int, bool]
"""Tenant, market, hour, feed, explore: what all items of an answer share."""


class ServedTally:
    """An answer costs one step of C per item; the rest is done when counts are written.

    While Postgres is away about MOST_KEPT different counts are kept, and answers beyond them are not counted.
    """

    def __init__(self, store: ServedStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._groups: dict[_Group, Counter[tuple[int, int]]] = {}
        self._kept = 0
        self._away = False

    def note(self, slate: Slate) -> None:
        """These items are being served."""
        postings = slate.finding.postings
        if not postings:
            return
        if self._kept >= MOST_KEPT:
            self._metrics.add(SERVER_SERVED_DROPPED, len(postings))
            return
        choice = slate.decision.choice
        hour = int(slate.now // _SECONDS_PER_HOUR)
        group = (slate.view.tenant_id, slate.market, hour, choice.number, choice.explore)
        counts = self._groups.get(group)
        if counts is None:
            counts = self._groups[group] = Counter()
        before = len(counts)
        counts.update(zip(postings, _BUCKETS[slate.decision.rank_offset + 1 :], strict=False))
        self._kept += len(counts) - before

    async def run(self, every_s: float, stop: asyncio.Event) -> None:
        """Write now and then until the stop; `write_last` has to follow when nothing is answered any more."""
        while not stop.is_set():
            await pause(stop, every_s)
            if not stop.is_set():
                await self.write()

    async def write(self) -> None:
        """Add to the record what was noted; what cannot be added now is kept, within bounds."""
        try:
            for _ in range(-(-self._kept // WRITTEN_AT_ONCE)):
                part = self._some()
                await self._store.add(part)
                self._forget(part)
            self._away = False
        except Exception as error:  # noqa: BLE001 - no fault of a counter may end the gateway
            self._say(error)

    async def write_last(self) -> None:
        """Write what is left, if that can be done in a moment."""
        try:
            async with asyncio.timeout(LAST_WRITE_S):
                await self.write()
        except TimeoutError:
            log.warning("served.not_written", reason="Postgres does not answer in time")

    def _some(self) -> dict[ServedKey, int]:
        part: dict[ServedKey, int] = {}
        for (tenant_id, market, hour, feed, explore), counts in self._groups.items():
            for (posting, place), count in islice(counts.items(), WRITTEN_AT_ONCE - len(part)):
                part[ServedKey(tenant_id, posting, market, hour, place, feed, explore)] = count
        return part

    def _forget(self, part: dict[ServedKey, int]) -> None:
        """What was noted while it was being written stays."""
        for key, count in part.items():
            group = (key.tenant_id, key.market, key.bucket, key.feed, key.explore)
            place = (key.posting, key.position_bucket)
            counts = self._groups[group]
            counts[place] -= count
            if not counts[place]:
                del counts[place]
                self._kept -= 1
            if not counts:
                del self._groups[group]

    def _say(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            log.error("served.failed", cause=error)
        elif not self._away:
            log.warning("served.not_written", reason=error)
        self._away = True
