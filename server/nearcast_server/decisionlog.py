"""The log of decisions: which are noted, what is noted of them, and how it leaves the gateway.

A request only puts into a bounded queue what it holds anyway; the rest is done beside the requests, and what
cannot be done is counted and given up.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.record import DecisionRecord, Reason
from nearcast_bandit.stream import keyed_unit
from nearcast_server.deciding import Decision
from nearcast_server.decisionrecords import Noted, record_of
from nearcast_server.sideline import Sideline
from nearcast_server.tenancy import View
from nearcast_store.decisions.codec import pack
from nearcast_store.decisions.stream import Logged
from nearcast_store.errors import StoreError
from nearcast_telemetry.decisionmetrics import SERVER_DECISIONS
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

MOST_QUEUED = 200
# What waits holds its candidates, a few dozen bytes each.
MOST_QUEUED_CANDIDATES = 1_000_000
SENT_AT_ONCE = 16
LAST_SEND_S = 2.0
log = logger("gateway")


class Outlet(Protocol):
    """Where records go. Raises StoreError."""

    async def append(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        """How many there was room for, which are the first of them."""
        ...


class _Waiting(Struct, frozen=True):
    noted: Noted
    candidates: int


def log_unit(salt: bytes, tenant_id: int, request_id: UUID) -> float:
    """Where a request falls in [0, 1) for the logged share."""
    return keyed_unit(salt, b"nearcast log", tenant_id, request_id.bytes)


class DecisionLog:
    """`run` has to run for anything to leave; `send_last` follows when nothing is answered any more."""

    def __init__(self, outlet: Outlet, build: str, metrics: Metrics) -> None:
        self._outlet = outlet
        self._build = build
        self._metrics = metrics
        self._noted = Sideline[_Waiting]()
        self._candidates = 0
        self._is_away = False

    @property
    def waiting(self) -> int:
        """How many have not been sent yet."""
        return len(self._noted.waiting)

    def reason(self, view: View, decision: Decision, *, explain: bool) -> Reason | None:
        """Why this decision is to be logged; None for one that is not."""
        if explain:
            return "explain"
        if decision.choice.explore:
            return "explore"
        share = view.revision.policy.decisions.log_share
        if share and log_unit(view.tokens.salt, view.tenant_id, decision.request_id) < share:
            return "share"
        return None

    def note(self, noted: Noted) -> None:
        """This was decided. Never waits, never raises."""
        pool = noted.finding.pool
        waiting = _Waiting(noted, 0 if pool is None else pool.postings.size)
        if (
            len(self._noted.waiting) >= MOST_QUEUED
            or self._candidates + waiting.candidates > MOST_QUEUED_CANDIDATES
        ):
            self._metrics.add(SERVER_DECISIONS, 1, "queue_full")
            return
        self._noted.put(waiting)
        self._candidates += waiting.candidates

    async def run(self, stop: asyncio.Event) -> None:
        """Send what waits, until told to stop."""
        await self._noted.run(stop, self.send)

    async def send_last(self) -> None:
        """Send what is left, if that can be done in a moment."""
        try:
            async with asyncio.timeout(LAST_SEND_S):
                while self._noted.waiting:
                    await self.send()
        except TimeoutError:
            self._metrics.add(SERVER_DECISIONS, len(self._noted.waiting), "redis_away")

    async def send(self) -> None:
        """Send some of what waits, all of one tenant."""
        some = self._take()
        if not some:
            return
        try:
            logged = await asyncio.to_thread(self._packed, some)
            sent = await self._outlet.append(some[0].view.tenant_id, logged)
        except StoreError as error:
            self._metrics.add(SERVER_DECISIONS, len(some), "redis_away")
            if not self._is_away:
                log.warning("decisions.not_logged", reason=error)
            self._is_away = True
        except Exception as error:  # noqa: BLE001 - no fault of a log may end the gateway
            self._metrics.add(SERVER_DECISIONS, len(some), "failed")
            log.error("decisions.not_logged", cause=error)
        else:
            self._is_away = False
            self._metrics.add(SERVER_DECISIONS, sent, "logged")
            if sent < len(some):
                self._metrics.add(SERVER_DECISIONS, len(some) - sent, "backlog")

    def _take(self) -> list[Noted]:
        some: list[Noted] = []
        while self._noted.waiting and len(some) < SENT_AT_ONCE:
            first = self._noted.waiting[0].noted
            if some and first.view.tenant_id != some[0].view.tenant_id:
                break
            self._candidates -= self._noted.waiting.popleft().candidates
            some.append(first)
        return some

    def _packed(self, some: Sequence[Noted]) -> list[Logged]:
        records: list[DecisionRecord] = [record_of(noted, self._build) for noted in some]
        return [Logged(record.circumstances.request_id, pack(record)) for record in records]
