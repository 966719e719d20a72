"""What this process has mapped of every tenant's replica, and how that stands."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from nearcast_replica.answering import Answerer
from nearcast_replica.control import Declined, Vitals
from nearcast_replica.errors import ReplicaError
from nearcast_replica.files import Files
from nearcast_replica.reading import Pinned, ReplicaReader
from nearcast_server.tenancy import Tenancies, View
from nearcast_telemetry.logs import logger
from nearcast_telemetry.pacing import pause

# Longer than a scribe that lives is silent.
_WORD_HOLDS_S = 5.0
# In each interval, for a replica that is told by other rules.
_LOOKS = 5
# Rules are soon followed that a replica is told by already.
_KEPT_S = 3.0
log = logger("gateway")


class Standing(Struct, frozen=True):
    """How a tenant's replica is: `lag_s` behind the index at most, or ahead of one that lost changes.

    `declined` says why there is none by decision.
    """

    lag_s: float = float("inf")
    declined: Declined = Declined.NOT
    index_behind: bool = False


NONE = Standing()


class Replicas:
    """Read beside the requests, which never wait for a file. `make_answerer` may take seconds."""

    def __init__(
        self,
        files_of: Callable[[int], Files],
        build: str,
        tenancies: Tenancies,
        make_answerer: Callable[[], Answerer],
        clock: Callable[[], float],
    ) -> None:
        self._files_of = files_of
        self._build = build
        self._tenancies = tenancies
        self._make_answerer = make_answerer
        self._clock = clock
        self._readers: dict[int, ReplicaReader] = {}
        self._told: dict[int, str] = {}
        self._mapped_at: dict[int, float] = {}
        self.answerer: Answerer | None = None
        tenancies.heed(self.believes)

    async def open(self) -> None:
        """Load what answers, or make it, and map what is there."""
        if self.answerer is None:
            self.answerer = await asyncio.to_thread(self._make_answerer)
        await self.refresh()

    async def run(self, interval_s: float, stop: asyncio.Event) -> None:
        """Refresh until told to stop; what was not opened before is now."""
        await self.open()
        while not stop.is_set():
            await self.refresh()
            for _ in range(_LOOKS):
                await pause(stop, interval_s / _LOOKS)
                if stop.is_set():
                    break
                await self._look_out()

    async def refresh(self) -> None:
        """Map what is newer than what is mapped, of every tenant that is known."""
        for view in self._tenancies.known():
            await self._refresh(view)

    async def _look_out(self) -> None:
        """Where other rules are followed than the replica was told by, what is told by them is soon there."""
        for view in self._tenancies.known():
            if self.believes_otherwise(view):
                await self._refresh(view)

    async def _refresh(self, view: View) -> None:
        tenant_id = view.tenant_id
        reader = self._readers.get(tenant_id)
        if reader is None:
            reader = self._readers[tenant_id] = ReplicaReader(self._files_of(tenant_id), self._build)
        try:
            before = reader.rules
            await asyncio.to_thread(reader.refresh)
            self._let_go(view, reader, before)
        except (ReplicaError, OSError) as error:
            self._note(tenant_id, str(error))
        else:
            self._told.pop(tenant_id, None)

    def _let_go(self, view: View, reader: ReplicaReader, before: int | None) -> None:
        """Of a state by rules that nobody follows any more, and for which nobody waits any longer.

        One that is followed is kept for as long as that takes, as there may be no index to ask.
        """
        now, rules = self._clock(), view.evidence.rules
        if reader.rules != before:
            self._mapped_at[view.tenant_id] = now
            return
        # A look that failed after it had mapped something has no time.
        mapped_at = self._mapped_at.setdefault(view.tenant_id, now)
        if reader.rules == rules or (now - mapped_at >= _KEPT_S and not reader.holds(rules)):
            reader.let_go()

    def pin(self, tenant_id: int, rules: int | None = None) -> Pinned | None:
        """The state to answer one request from; by these rules, if they matter."""
        reader = self._readers.get(tenant_id)
        return None if reader is None else reader.pin(rules)

    def believes(self, view: View) -> bool:
        """Whether there is a state by the rules of this view."""
        reader = self._readers.get(view.tenant_id)
        return reader is not None and reader.holds(view.evidence.rules)

    def believes_otherwise(self, view: View) -> bool:
        """Whether there is a state, and none by the rules of this view."""
        return self.pin(view.tenant_id) is not None and not self.believes(view)

    def stood_s(self, view: View) -> float:
        """How long the state by the rules of this view has stood still, as there is one by newer rules."""
        reader, rules = self._readers.get(view.tenant_id), view.evidence.rules
        if reader is None or reader.rules == rules or not reader.holds(rules):
            return 0.0
        now = self._clock()
        return max(now - self._mapped_at.get(view.tenant_id, now), 0.0)

    def standing(self, tenant_id: int) -> Standing:
        """How the tenant's replica is now."""
        reader = self._readers.get(tenant_id)
        standing = None if reader is None else reader.standing()
        if standing is None:
            return NONE
        abreast_ms, beat_ms, declined, index_behind = standing
        now = self._clock()
        is_told = index_behind and now - beat_ms / 1000 <= _WORD_HOLDS_S
        return Standing(max(now - abreast_ms / 1000, 0.0), declined, is_told)

    def vitals(self, tenant_id: int) -> Vitals | None:
        """What the writer tells of itself."""
        reader = self._readers.get(tenant_id)
        return None if reader is None else reader.vitals()

    def abreast_at(self, tenant_id: int) -> float:
        """When what is mapped here last held all that the index did, unix seconds.

        0 where there is nothing, and where the writer has gone over to what is not mapped yet.
        """
        reader, vitals = self._readers.get(tenant_id), self.vitals(tenant_id)
        return 0.0 if reader is None or vitals is None or reader.is_behind else vitals.abreast_ms / 1000

    def are_warm(self) -> bool:
        """Whether there is something to answer from for every tenant."""
        known = self._tenancies.known()
        return bool(known) and all(self.pin(view.tenant_id) is not None for view in known)

    def size_bytes(self) -> int:
        """How much of the host's memory is mapped here."""
        return sum(reader.size_bytes for reader in self._readers.values())

    def _note(self, tenant_id: int, said: str) -> None:
        """Say a fault once, until it is another or over."""
        if self._told.get(tenant_id) != said:
            self._told[tenant_id] = said
            log.warning("replica.not_mapped", tenant_id=tenant_id, reason=said)
