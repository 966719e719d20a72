"""Records of decisions are kept once, then forgotten in Redis; what cannot be kept is counted."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from nearcast_ledger.requestid import identity_day, uuid7
from nearcast_statskeeper.jobs.archiving import TAKEN_AT_ONCE, drop_decisions, forget_shadows, keep_decisions
from nearcast_store.decisions.stream import Logged
from nearcast_store.errors import StoreUnavailableError
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics

NOW = 1_790_000_000.0
TODAY = datetime.fromtimestamp(NOW, UTC).date()
DAY_MS = 86_400_000


def logged(number: int, days_old: float = 0.0) -> Logged:
    name = uuid7(int(NOW * 1000 - days_old * DAY_MS), number)
    return Logged(name, b"record", b"%d-0" % number)


class House:
    """A stream and a table in memory, and the job between them."""

    def __init__(self, *waiting: Logged) -> None:
        self.waiting = list(waiting)
        self.kept: dict[UUID, bytes] = {}
        self.is_down = False
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry, KEEPER_METRICS)
        self.job = keep_decisions(self, self, self.tenant_ids, 30, metrics, lambda: NOW)

    async def tenant_ids(self) -> Sequence[int]:
        return (1,)

    async def read(self, tenant_id: int, most: int) -> list[Logged]:
        return self.waiting[:most]

    async def forget(self, tenant_id: int, entries: Sequence[bytes]) -> None:
        self.waiting = [each for each in self.waiting if each.entry not in entries]

    async def add(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        if self.is_down:
            raise StoreUnavailableError("down")
        new = [each for each in logged if each.request_id not in self.kept]
        self.kept |= {each.request_id: each.record for each in new}
        return len(new)

    async def drop_before(self, first: date) -> list[date]:
        old = [name for name in self.kept if identity_day(name) < first]
        for name in old:
            del self.kept[name]
        return sorted({identity_day(name) for name in old})

    def count(self, reason: str) -> float:
        return (
            self.registry.get_sample_value("nearcast_statskeeper_decisions_total", {"reason": reason}) or 0.0
        )


async def test_everything_that_waits_is_kept_in_one_run() -> None:
    house = House(*(logged(number) for number in range(3 * TAKEN_AT_ONCE + 5)))
    await house.job.run()
    assert (len(house.kept), house.waiting) == (3 * TAKEN_AT_ONCE + 5, [])
    assert house.count("kept") == 3 * TAKEN_AT_ONCE + 5


async def test_what_cannot_be_kept_now_waits() -> None:
    house = House(logged(1))
    house.is_down = True
    with pytest.raises(StoreUnavailableError):
        await house.job.run()
    assert len(house.waiting) == 1
    house.is_down = False
    await house.job.run()
    assert (len(house.kept), house.waiting) == (1, [])


async def test_a_record_that_was_kept_already_is_counted_as_repeated() -> None:
    house = House(logged(1))
    await house.job.run()
    house.waiting = [logged(1), logged(2)]
    await house.job.run()
    assert (house.count("kept"), house.count("repeated"), len(house.kept)) == (2, 1, 2)


async def test_what_is_too_old_or_none_of_ours_is_forgotten_and_counted() -> None:
    nobody = Logged(UUID(int=0), b"record", b"7-0")
    empty = Logged(uuid7(int(NOW * 1000), 1), b"", b"8-0")
    house = House(logged(1, days_old=40.0), nobody, empty, logged(2, days_old=-9.0), logged(3, days_old=29.0))
    await house.job.run()
    assert house.waiting == []
    assert (house.count("too_old"), house.count("unreadable"), house.count("kept")) == (1, 3, 1)


async def test_days_beyond_what_is_kept_are_dropped() -> None:
    house = House(logged(1, days_old=29.0), logged(2, days_old=1.0))
    await house.job.run()
    said = await drop_decisions(house, 10, lambda: NOW).run()
    assert said == {"days": [(TODAY - timedelta(29)).isoformat()]}
    assert len(house.kept) == 1
    assert await drop_decisions(house, 10, lambda: NOW).run() == {}


async def test_what_was_never_served_is_forgotten_after_as_many_days() -> None:
    class Shadows:
        def __init__(self) -> None:
            self.left = [NOW - 11 * 86_400, NOW - 9 * 86_400]

        async def forget_before(self, moment: float) -> int:
            before, self.left = len(self.left), [each for each in self.left if each >= moment]
            return before - len(self.left)

    shadows = Shadows()
    assert await forget_shadows(shadows, 10, lambda: NOW).run() == {"forgotten": 1}
    assert shadows.left == [NOW - 9 * 86_400]
    assert await forget_shadows(shadows, 10, lambda: NOW).run() == {}
