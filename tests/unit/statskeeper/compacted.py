"""A ledger and a log for the job that compacts."""

from collections.abc import Sequence
from datetime import date

from nearcast_store.errors import LogUnavailableError
from tests.conftest import FixedClock


class Ledger:
    """Days by number, with ten counts each."""

    def __init__(self, clock: FixedClock, days: Sequence[date]) -> None:
        self.clock = clock
        self.days = sorted(days)
        self.unsummed = 0
        self.pruned_before: list[date] = []

    async def tenant_ids(self) -> list[int]:
        return [1, 2]

    async def now_s(self) -> float:
        return self.clock()

    async def drop_day(self, before: date) -> date | None:
        if not self.days or self.days[0] >= before:
            return None
        self.unsummed += 10
        return self.days.pop(0)

    async def sum_hours(self) -> int:
        summed, self.unsummed = self.unsummed, 0
        return summed

    async def clear(self, after_s: float) -> int:
        return 0

    async def prune_trials(self, before: date) -> int:
        self.pruned_before.append(before)
        return 3


class Log:
    """Knows when its first entry came."""

    def __init__(self) -> None:
        self.oldest: float | None = None
        self.asked: list[Sequence[int]] = []

    async def oldest_s(self, tenant_ids: Sequence[int]) -> float | None:
        self.asked.append(tenant_ids)
        if self.oldest == 0:
            raise LogUnavailableError("the event log cannot be read")
        return self.oldest
