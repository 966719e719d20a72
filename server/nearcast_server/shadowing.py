"""A share of the requests that a replica answered are asked of the index as well, and the two compared.

Off the path of the requests, and by eligibility alone: everything that may be shown, at its distance. An item
counts only where both hold the same version of it, or where the replica kept another one though it has since
been abreast of the index: then a change was lost. And a difference counts only when it is still there a
moment later: what is on its way from one to the other is no difference.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from nearcast_server.finding import Finder, Finding, Listed, Search, Shown
from nearcast_server.sideline import Sideline
from nearcast_store.errors import IndexUnavailableError
from nearcast_telemetry.candidatemetrics import SERVER_SHADOW_CHECKS, SERVER_SHADOW_ITEMS
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.pacing import pause

MOST_WAITING = 100
# Most of what a check takes is the pause before its second look.
MOST_UNDER_WAY = 8
SECOND_LOOK_S = 1.0
DOUBTED_S = 600.0
# Two ways to measure the same metres.
SAME_M = 1e-4
_TOLD_POSTINGS = 5
log = logger("shadow")


class Compared(NamedTuple):
    """Postings that one side alone shows or has elsewhere; how many items are alike, and how many of those
    others are of unequal versions: `uneven` are they, each with the version that the replica holds."""

    different: frozenset[int] = frozenset()
    alike: int = 0
    skipped: int = 0
    uneven: frozenset[tuple[int, int | None]] = frozenset()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to look at again."""
        return not self.different and not self.uneven

    def lasting(self, again: "Compared", *, was_abreast: bool) -> "Compared":
        """What is left after a second look, before which the replica was abreast of the index, or was not."""
        different = self.different & again.different
        if was_abreast:
            different |= {posting for posting, _ in self.uneven & again.uneven}
        passed = len(self.different) + self.skipped - len(different)
        return Compared(different, self.alike, passed)


@dataclass(frozen=True, slots=True)
class Sides:
    """What one question came to on either side."""

    replica: Finding
    index: Finding


class Replica(Protocol):
    """Answers at once, or not at all."""

    def find(self, search: Search) -> Finding | None:
        """None for what it cannot be asked."""
        ...


class Versions(Protocol):
    """Which version of an item each side holds."""

    async def of(
        self, tenant_id: int, postings: Iterable[int]
    ) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """The replica's, and the index's; what a side does not hold is missing."""
        ...

    def abreast_at(self, tenant_id: int) -> float:
        """When the replica last held all that the index did, unix seconds."""
        ...


class Comparison:
    """Puts one question to both. Raises IndexUnavailableError."""

    def __init__(self, replica: Replica, index: Finder, versions: Versions) -> None:
        self._replica = replica
        self._index = index
        self._versions = versions

    async def of(self, search: Search) -> Compared | None:
        """None for what a replica cannot be asked."""
        sides = await self._ask(replace(search, ranking=Listed(), limit=search.reach.most))
        if sides is None:
            return None
        return await self._compared(search.view.tenant_id, sides)

    def abreast_at(self, tenant_id: int) -> float:
        """When the replica last held all that the index did, unix seconds."""
        return self._versions.abreast_at(tenant_id)

    async def _ask(self, search: Search) -> Sides | None:
        index = await self._index.find(search)
        replica = self._replica.find(search)
        if replica is None:
            return None
        if index.radius_used_m == replica.radius_used_m:
            return Sides(replica, index)
        # One item more or less made one of them look farther: both are asked for the smaller circle.
        radius_m = min(index.radius_used_m, replica.radius_used_m)
        reach = replace(search.reach, radius_m=radius_m, from_m=radius_m, max_radius_m=radius_m, factors=())
        return await self._ask(replace(search, reach=reach))

    async def _compared(self, tenant_id: int, sides: Sides) -> Compared:
        horizon_m = min(_horizon_m(sides.replica), _horizon_m(sides.index))
        ours, theirs = _within(sides.replica, horizon_m), _within(sides.index, horizon_m)
        suspects = [posting for posting in ours.keys() | theirs.keys() if _differ(ours, theirs, posting)]
        alike = len(ours.keys() & theirs.keys()) - sum(each in ours and each in theirs for each in suspects)
        if not suspects:
            return Compared(alike=alike)
        held, listed = await self._versions.of(tenant_id, suspects)
        different = {each for each in suspects if each in held and held[each] == listed.get(each)}
        uneven = frozenset((each, held.get(each)) for each in suspects if each not in different)
        return Compared(frozenset(different), alike, len(uneven), uneven)


class Shadow:
    """Compares a share of the requests, counts, and remembers whose replica is in doubt."""

    def __init__(
        self,
        share: float,
        comparison: Comparison,
        unit: Callable[[], float],
        clock: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._share = share
        self._comparison = comparison
        self._unit = unit
        self._clock = clock
        self._metrics = metrics
        self._asked = Sideline[Search]()
        self._doubted_until: dict[int, float] = {}

    def note(self, search: Search) -> None:
        """A fresh replica has answered this."""
        if self._share and self._unit() < self._share:
            if len(self._asked.waiting) >= MOST_WAITING:
                self._metrics.add(SERVER_SHADOW_CHECKS, 1, "dropped")
                return
            self._asked.put(search)

    def doubts(self, tenant_id: int) -> bool:
        """Whether the tenant's replica was found to differ from the index lately."""
        until = self._doubted_until.get(tenant_id)
        return until is not None and self._clock() < until

    def doubted(self) -> list[int]:
        """The tenants whose replica is in doubt."""
        return [tenant_id for tenant_id in self._doubted_until if self.doubts(tenant_id)]

    async def run(self, stop: asyncio.Event) -> None:
        """Compare until told to stop."""
        room = asyncio.Semaphore(MOST_UNDER_WAY)
        async with asyncio.TaskGroup() as checks:

            async def begin() -> None:
                await room.acquire()
                checks.create_task(self._check(self._asked.waiting.popleft(), stop, room))

            await self._asked.run(stop, begin)

    async def _check(self, search: Search, stop: asyncio.Event, room: asyncio.Semaphore) -> None:
        try:
            await self.check(search, lambda: pause(stop, SECOND_LOOK_S))
        except IndexUnavailableError:
            self._metrics.add(SERVER_SHADOW_CHECKS, 1, "dropped")
        except Exception as error:  # noqa: BLE001 - what only looks on must not end the gateway
            log.error("shadow.failed", error)
            self._metrics.add(SERVER_SHADOW_CHECKS, 1, "dropped")
        finally:
            room.release()

    async def check(self, search: Search, pause: Callable[[], Awaitable[None]]) -> Compared:
        """One comparison, and a second look after a pause where it found something."""
        found = await self._comparison.of(search)
        if found is not None and not found.is_settled:
            looked_at = self._clock()
            await pause()
            was_abreast = self._comparison.abreast_at(search.view.tenant_id) >= looked_at
            again = await self._comparison.of(replace(search, now=self._clock()))
            if again is not None:
                found = found.lasting(again, was_abreast=was_abreast)
        if found is None:
            self._metrics.add(SERVER_SHADOW_CHECKS, 1, "dropped")
            return Compared()
        self._count(search, found)
        return found

    def _count(self, search: Search, found: Compared) -> None:
        outcome = "different" if found.different else "alike"
        self._metrics.add(SERVER_SHADOW_CHECKS, 1, outcome)
        for count, what in (
            (found.alike, "alike"),
            (len(found.different), "different"),
            (found.skipped, "skipped"),
        ):
            self._metrics.add(SERVER_SHADOW_ITEMS, count, what)
        if found.different:
            tenant_id = search.view.tenant_id
            self._doubted_until[tenant_id] = self._clock() + DOUBTED_S
            log.error(
                "shadow.different",
                tenant_id=tenant_id,
                items=len(found.different),
                postings=sorted(found.different)[:_TOLD_POSTINGS],
            )


def _horizon_m(finding: Finding) -> float:
    """Up to where everything was looked at."""
    if not finding.truncated:
        return float("inf")
    return finding.items[-1].distance_m - SAME_M if finding.items else 0.0


def _within(finding: Finding, horizon_m: float) -> dict[int, Shown]:
    return {shown.posting: shown for shown in finding.items if shown.distance_m <= horizon_m}


def _differ(ours: Mapping[int, Shown], theirs: Mapping[int, Shown], posting: int) -> bool:
    one, other = ours.get(posting), theirs.get(posting)
    return one is None or other is None or abs(one.distance_m - other.distance_m) > SAME_M
