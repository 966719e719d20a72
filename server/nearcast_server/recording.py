"""The rule behind RecordEvents: judge each event once, append what is accepted, then say so."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_faultpoints.arming import Failpoint
from nearcast_faultpoints.reaching import reach
from nearcast_ledger.event import AcceptedEvent, Durability, Entry
from nearcast_ledger.identity import Identity
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.intake.batching import batches, once, weighed, within
from nearcast_store.intake.judging import Grounds, Judged, Report, judge
from nearcast_store.log.protocol import EventLog

MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a call; `durability` None when nothing was accepted."""

    judged: Sequence[Judged]
    durability: Durability | None


class Recorder:
    """Takes events."""

    def __init__(
        self,
        log: EventLog,
        tenancies: Tenancies,
        clock: Callable[[], float],
        gateway_id: str,
        durability: Durability,
    ) -> None:
        self._log = log
        self._tenancies = tenancies
        self._clock = clock
        self._gateway_id = gateway_id
        self._durability = durability

    async def record(self, tenant_id: int, reports: Sequence[Report]) -> Recorded:
        """Judge, append, and only then answer."""
        reach(Failpoint.GATEWAY_AFTER_PARSE)
        grounds, now = grounds_of(self._tenancies.view(tenant_id)), self._clock()
        judged: list[Judged] = []
        accepted: list[tuple[AcceptedEvent, int]] = []
        seen: set[Identity] = set()
        for report in reports:
            one = within(judge(grounds, report, int(now * 1000)), len(accepted))
            one = once(one, tenant_id, seen)
            judged.append(one)
            accepted += weighed(one, report.size_bytes)
        durability = await self._append(tenant_id, int(now * 1_000_000), accepted)
        reach(Failpoint.GATEWAY_AFTER_APPEND_BEFORE_REPLY)
        return Recorded(judged, durability)

    async def _append(
        self, tenant_id: int, now_us: int, accepted: Sequence[tuple[AcceptedEvent, int]]
    ) -> Durability | None:
        if not accepted:
            return None
        entries = [
            Entry(tenant_id, now_us, self._gateway_id, self._durability, events)
            for events in batches(accepted)
        ]
        return min(await asyncio.gather(*(self._log.append(entry) for entry in entries)))


def grounds_of(view: View) -> Grounds:
    """What a view holds of what events are judged by."""
    return Grounds(view.tenant_id, view.revision, view.tokens.keyring, view.tokens.rewards)
