"""When a day of the ledger may go: not before no clock and no entry of the log can want it."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from nearcast_ledger.horizon import HORIZON_HOURS, REPLAY_WINDOW_HOURS, first_kept_day
from nearcast_statskeeper.jobs.compacting import compact_ledger
from nearcast_store.errors import LogUnavailableError
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.unit.statskeeper.compacted import Ledger, Log

DAY_S = 86_400.0
NOON = datetime(2026, 9, 21, 12, tzinfo=UTC)


class Scene:
    def __init__(self) -> None:
        self.clock, self.ledgers_clock = FixedClock(NOON.timestamp()), FixedClock(NOON.timestamp())
        self.ledger = Ledger(self.ledgers_clock, [NOON.date() - timedelta(days) for days in range(20)])
        self.log = Log()
        self.registry = CollectorRegistry()
        self.job = compact_ledger(self.ledger, self.log, Metrics(self.registry, KEEPER_METRICS), self.clock)

    async def run_until_done(self) -> int:
        """The age in days of the oldest day that is left."""
        before = -1
        while before != len(self.ledger.days):
            before = len(self.ledger.days)
            await self.job.run()
        return (NOON.date() - self.ledger.days[0]).days


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_days_are_kept_for_horizon_and_replay_window_and_two_more(scene: Scene) -> None:
    assert await scene.run_until_done() == (HORIZON_HOURS + REPLAY_WINDOW_HOURS) // 24 + 2
    assert scene.log.asked[0] == [1, 2]


async def test_one_day_goes_at_a_time_and_is_told(scene: Scene) -> None:
    assert await scene.job.run() == {"day": "2026-09-02", "hours": 10, "pruned": 3}
    text = render(scene.registry).decode()
    assert "nearcast_statskeeper_counts_compacted_total 10.0" in text
    assert "nearcast_statskeeper_partitions_dropped_total 1.0" in text
    assert "nearcast_statskeeper_trials_pruned_total 3.0" in text


async def test_what_was_broken_off_is_summed_though_no_day_goes(scene: Scene) -> None:
    await scene.run_until_done()
    scene.ledger.unsummed = 4
    assert await scene.job.run() == {"hours": 4, "pruned": 3}


async def test_what_the_log_still_holds_keeps_its_days(scene: Scene) -> None:
    scene.log.oldest = NOON.timestamp() - 5 * DAY_S
    assert await scene.run_until_done() == 5 + 7 + 2
    scene.log.oldest = NOON.timestamp() - 60
    assert await scene.run_until_done() == 10
    assert scene.ledger.pruned_before[-1] == NOON.date() - timedelta(10)


@pytest.mark.parametrize("clock", ["clock", "ledgers_clock"])
async def test_one_clock_that_runs_ahead_takes_nothing_away(scene: Scene, clock: str) -> None:
    getattr(scene, clock).advance(365 * DAY_S)
    assert await scene.run_until_done() == 10


async def test_a_log_that_does_not_answer_puts_it_off(scene: Scene) -> None:
    scene.log.oldest = 0
    with pytest.raises(LogUnavailableError):
        await scene.job.run()
    assert len(scene.ledger.days) == 20


@pytest.mark.parametrize("second_of_day", [0, 1, 43_200, 86_399])
def test_no_event_that_can_still_come_belongs_to_a_day_that_is_not_kept(second_of_day: int) -> None:
    now_s = datetime(2026, 9, 21, tzinfo=UTC).timestamp() + second_of_day
    for received_s in (now_s - REPLAY_WINDOW_HOURS * 3600, now_s - 3 * DAY_S):
        oldest = datetime.fromtimestamp(received_s - HORIZON_HOURS * 3600, UTC).date()
        assert first_kept_day(now_s, received_s) <= oldest - timedelta(2)
