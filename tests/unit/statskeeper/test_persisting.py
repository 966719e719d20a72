"""A loop that outlives whatever its steps run into."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from nearcast_statskeeper.persisting import PARTS, Persistence
from nearcast_statskeeper.vitals import Vitals
from nearcast_store.errors import StoreUnavailableError
from nearcast_telemetry.jobmetrics import KEEPER_FAILURES
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render

Outcome = bool | Exception


class World:
    """Steps with given outcomes; the last one asks to stop. Pauses are written down, not waited for."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = list(outcomes)
        self.stop = asyncio.Event()
        self.pauses: list[float] = []
        self.missing: list[str | None] = []
        self.ready = 0
        self.registry = CollectorRegistry()
        self.vitals = Vitals(["relay"], self._on_ready)
        self.persistence = Persistence(
            self.stop, self._pause, Metrics(self.registry, KEEPER_METRICS), self.vitals
        )

    async def step(self) -> bool:
        self.missing.append(self.vitals.missing())
        outcome = self.outcomes.pop(0)
        if not self.outcomes:
            self.stop.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def _on_ready(self) -> None:
        self.ready += 1


async def test_it_pauses_only_when_nothing_was_found() -> None:
    world = World([True, False, True])
    await world.persistence.repeat("relay", world.step, 0.25)
    assert world.pauses == [0.25]


@pytest.mark.parametrize("failure", [StoreUnavailableError("gone"), ZeroDivisionError("a bug")])
async def test_a_failure_is_outlived_with_growing_pauses_and_counted(failure: Exception) -> None:
    world = World([failure, failure, failure, True, failure, True])
    await world.persistence.repeat("relay", world.step, 0.25)
    assert world.pauses[0] <= 0.1 < world.pauses[2] <= 0.4
    assert world.pauses[3] <= 0.1
    assert b'failures_total{part="relay"} 4.0' in render(world.registry)


async def test_readiness_follows_what_works_and_is_told_once() -> None:
    world = World([StoreUnavailableError("gone"), True, StoreUnavailableError("gone"), True, True])
    await world.persistence.repeat("relay", world.step, 0)
    assert world.missing == ["relay is starting", "relay is failing", None, "relay is failing", None]
    assert world.ready == 1


async def test_a_fault_that_is_no_stores_is_told_by_its_kind() -> None:
    world = World([KeyError("a canary"), True, True])
    await world.persistence.repeat("relay", world.step, 0)
    assert world.missing == ["relay is starting", "relay is failing (raises KeyError)", None]


async def test_once_is_tried_until_it_works() -> None:
    world = World([StoreUnavailableError("gone"), True, True])

    async def step() -> None:
        await world.step()

    await world.persistence.once("relay", step)
    assert len(world.outcomes) == 1


async def test_a_store_that_is_away_is_said_once_and_its_return_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "nearcast")
    gone = StoreUnavailableError("gone")
    world = World([gone, gone, gone, True, True])
    await world.persistence.repeat("relay", world.step, 0)
    assert [record.getMessage() for record in caplog.records] == ["store.away", "store.back"]


async def test_a_fault_of_ours_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    world = World([ZeroDivisionError("a bug"), True])
    await world.persistence.repeat("relay", world.step, 0)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None


def test_every_part_is_counted_by_name() -> None:
    world = World([True])
    for part in PARTS:
        world.persistence.metrics.add(KEEPER_FAILURES, 1, part)
    assert b'part="other"' not in render(world.registry)
