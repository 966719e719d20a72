"""Shadow mode: a share of the requests is decided again under another policy, and what it would show is kept.

A request only puts what it holds anyway into a bounded queue. The rest is done beside the requests, one after
the other; what cannot be done is counted and given up.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from msgspec.structs import replace

from nearcast_bandit.stream import keyed_unit
from nearcast_server.answered import Answered
from nearcast_server.deciding import Decider, Decision
from nearcast_server.evidence import Evidence
from nearcast_server.finding import Finder, Finding, Search
from nearcast_server.recommending import search_of
from nearcast_server.sideline import Sideline
from nearcast_server.tenancy import Contender, View
from nearcast_server.visiting import sign_visit
from nearcast_store.errors import IndexUnavailableError, StoreError
from nearcast_store.experiments.protocol import ShadowDecision
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.rehearsalmetrics import SERVER_REHEARSALS

MOST_WAITING = 500
WRITTEN_AT_ONCE = 50
WRITE_EVERY_S = 0.2
LAST_WRITE_S = 2.0
# As for the fits of priors: who was exposed less than once has not been seen.
NEW_BELOW_EXPOSURES = 1.0
log = logger("rehearsal")


class Replica(Protocol):
    """Answers at once, or not at all."""

    def find(self, search: Search) -> Finding | None:
        """None for what it cannot be asked."""
        ...


class Keeping(Protocol):
    """Where decisions of shadows are kept. Raises StoreError."""

    async def add(self, decisions: Sequence[ShadowDecision]) -> None:
        """Repeats are harmless."""
        ...


class Stage:
    """Finds what a policy would show. Raises IndexUnavailableError.

    What it believes may not be what replicas were told: then the index is asked.
    """

    def __init__(self, index: Finder, replica: Replica | None = None) -> None:
        self._index = index
        self._replica = replica

    async def find(self, search: Search, *, believes_alike: bool) -> Finding:
        """The best items for a question."""
        found = self._replica.find(search) if believes_alike and self._replica is not None else None
        return await self._index.find(search) if found is None else found


class _Same:
    """Gives the request that is decided again its own id once more."""

    request_id: UUID

    def next(self) -> UUID:
        return self.request_id


class Rehearsal:
    """`run` has to run for anything to be done; `write_last` follows when nothing is answered any more."""

    def __init__(self, stage: Stage, kept: Keeping, metrics: Metrics) -> None:
        self._same = _Same()
        self._decider = Decider(self._same, secrets.token_bytes)
        self._stage = stage
        self._kept = kept
        self._metrics = metrics
        self._answered = Sideline[tuple[Answered, Contender]]()
        self._done: list[ShadowDecision] = []
        self._is_away = False

    def note(self, answered: Answered) -> None:
        """This was answered. Never waits, never raises."""
        shadow, decision = answered.view.shadow, answered.decision
        if shadow is None or answered.query.page_token or decision.choice.frozen:
            return
        if not is_rehearsed(shadow, decision.request_id):
            return
        if len(self._answered.waiting) >= MOST_WAITING:
            self._metrics.add(SERVER_REHEARSALS, 1, "queue_full")
            return
        self._answered.put((answered, shadow))

    async def run(self, stop: asyncio.Event) -> None:
        """Decide what waits and write it down, until told to stop."""
        await self._answered.run(stop, self.rehearse, rest_s=WRITE_EVERY_S)

    async def rehearse(self) -> None:
        """Decide what waits, so many at a time, and write it down."""
        while self._answered.waiting and len(self._done) < WRITTEN_AT_ONCE:
            answered, shadow = self._answered.waiting.popleft()
            try:
                self._done.append(await self._decided(answered, shadow))
            except IndexUnavailableError:
                self._metrics.add(SERVER_REHEARSALS, 1, "index_away")
            except Exception as error:  # noqa: BLE001 - no fault of another policy may end the gateway
                self._metrics.add(SERVER_REHEARSALS, 1, "failed")
                log.error("rehearsal.failed", cause=error)
            # Others are answered in between.
            await asyncio.sleep(0)
        await self._write()

    async def write_last(self) -> None:
        """Do what is left, if that can be done in a moment."""
        try:
            async with asyncio.timeout(LAST_WRITE_S):
                while self._answered.waiting or self._done:
                    await self.rehearse()
        except TimeoutError:
            self._metrics.add(SERVER_REHEARSALS, len(self._answered.waiting), "store_away")

    async def _decided(self, answered: Answered, shadow: Contender) -> ShadowDecision:
        decision = self._decide(answered, shadow.view)
        asked = search_of(
            shadow.view, answered.query, decision, answered.recalled, answered.now, captured=False
        )
        finding = await self._stage.find(asked, believes_alike=shadow.believes_alike)
        evidence = answered.view.evidence
        return ShadowDecision(
            shadow.view.tenant_id,
            shadow.number,
            decision.request_id,
            answered.market,
            answered.decision.choice.number,
            decision.choice.number,
            answered.postings,
            finding.postings,
            _new(evidence, answered.postings),
            _new(evidence, finding.postings),
            answered.now,
        )

    def _decide(self, answered: Answered, view: View) -> Decision:
        """What the same request of the same visit comes to."""
        visit = answered.decision.visit
        epoch = visit.epoch.number if visit.epoch else 0
        token = sign_visit(view, visit.session, epoch, int(answered.now * 1000))
        self._same.request_id = answered.decision.request_id
        query = replace(answered.query, session_token=token)
        return self._decider.decide(view, query, answered.now, answered.market)

    async def _write(self) -> None:
        done, self._done = self._done, []
        if not done:
            return
        try:
            await self._kept.add(done)
        except StoreError as error:
            self._metrics.add(SERVER_REHEARSALS, len(done), "store_away")
            if not self._is_away:
                log.warning("rehearsal.not_written", reason=error)
            self._is_away = True
        else:
            self._is_away = False
            self._metrics.add(SERVER_REHEARSALS, len(done), "compared")


def is_rehearsed(shadow: Contender, request_id: UUID) -> bool:
    """Whether this request is of the share that is decided a second time."""
    salt = f"{shadow.view.tenant_id}.{shadow.name}".encode()
    return keyed_unit(salt, b"nearcast shadow", 0, request_id.bytes) < shadow.share


def _new(evidence: Evidence, postings: Sequence[int]) -> int:
    """How many of them have hardly been seen."""
    exposures = evidence.beliefs(postings).exposures
    return int((exposures.max(axis=0, initial=0.0) < NEW_BELOW_EXPOSURES).sum())
