"""Jobs run at their times, by one keeper, whatever happens to the others."""

from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from nearcast_statskeeper.jobs.schedule import RETRY_S, Job, Schedule
from nearcast_statskeeper.leadership import Leadership
from nearcast_store.errors import StoreUnavailableError
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics
from tests.conftest import FixedClock
from tests.unit.statskeeper.test_leadership import Lock


class Diary:
    """Jobs that write down when they ran."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self._began = clock.now_s
        self.ran: list[tuple[str, float]] = []

    def job(self, name: str, interval_s: float, fails: Exception | None = None) -> Job:
        async def run() -> dict[str, object]:
            self.ran.append((name, self._clock.now_s - self._began))
            if fails is not None:
                raise fails
            return {"done": 1}

        return Job(name, interval_s, run)


def schedule_of(clock: FixedClock, *jobs: Job, lock: Lock | None = None) -> Schedule:
    leadership = Leadership((lock or Lock()).take)
    return Schedule(jobs, leadership, Metrics(CollectorRegistry(), KEEPER_METRICS), clock)


async def pass_time(clock: FixedClock, seconds: int, step: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(seconds):
        await step()
        clock.advance(1)


async def test_every_job_runs_at_once_and_then_at_its_interval(clock: FixedClock) -> None:
    diary = Diary(clock)
    schedule = schedule_of(clock, diary.job("sweep_items", 2), diary.job("trim_log", 3))
    await pass_time(clock, 5, schedule.step)
    assert diary.ran == [
        ("sweep_items", 0),
        ("trim_log", 0),
        ("sweep_items", 2),
        ("trim_log", 3),
        ("sweep_items", 4),
    ]
    assert schedule.runs["sweep_items"].count == 3


@pytest.mark.parametrize("failure", [StoreUnavailableError("gone"), ZeroDivisionError("a bug")])
async def test_a_failing_job_stops_no_other_and_is_tried_again_soon(
    clock: FixedClock, failure: Exception
) -> None:
    diary = Diary(clock)
    schedule = schedule_of(
        clock, diary.job("ensure_partitions", 3600, failure), diary.job("sweep_items", 3600)
    )
    await pass_time(clock, int(RETRY_S) + 1, schedule.step)
    assert diary.ran == [("ensure_partitions", 0), ("sweep_items", 0), ("ensure_partitions", RETRY_S)]


async def test_who_does_not_lead_runs_nothing(clock: FixedClock) -> None:
    diary, lock = Diary(clock), Lock()
    await lock.take()
    schedule = schedule_of(clock, diary.job("sweep_items", 1), lock=lock)
    await pass_time(clock, 3, schedule.step)
    assert diary.ran == []
    lock.owner = None
    await schedule.step()
    assert diary.ran == [("sweep_items", 3)]


async def test_a_clock_set_back_puts_no_job_off_for_long(clock: FixedClock) -> None:
    diary = Diary(clock)
    schedule = schedule_of(clock, diary.job("sweep_items", 5))
    await schedule.step()
    clock.advance(-3600)
    await schedule.step()
    assert len(diary.ran) == 2
