"""What a look at the log does to the gate."""

from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from nearcast_server.admission import Level, Span
from nearcast_server.gate import Gate
from nearcast_server.gauging import Gauge
from nearcast_server.tenancy import Tenancies
from nearcast_store.connection import RedisDownError
from nearcast_store.log.pressure import LogPressure
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.unit.server.scene import TENANT, make_view

SPANS = {"backlog": Span(100.0, 200.0), "memory": Span(0.7, 0.9), "append": Span(60.0, 120.0)}
QUIET = LogPressure(0.0, 0.1, 3)


@dataclass
class Readings:
    """A log that stands as a test says."""

    found: LogPressure | Exception = QUIET
    asked: list[list[int]] = field(default_factory=list)

    async def read(self, tenant_ids: list[int]) -> LogPressure:
        self.asked.append(tenant_ids)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@dataclass
class Tower:
    """A gauge, what it looks at and what it sets."""

    readings: Readings
    gate: Gate
    gauge: Gauge
    registry: CollectorRegistry

    async def level(self, found: LogPressure | Exception) -> Level:
        self.readings.found = found
        await self.gauge.look()
        return self.gate.standing.level

    def shown(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"nearcast_server_{name}")


@pytest.fixture
def tower() -> Tower:
    registry, readings, tenancies = CollectorRegistry(), Readings(), Tenancies()
    tenancies.publish(make_view())
    metrics = Metrics(registry, SERVER_METRICS)
    gate = Gate(10, 1.0, metrics, lambda: 0.0, lambda: 10)
    return Tower(readings, gate, Gauge(readings, tenancies, gate, SPANS, metrics), registry)


async def test_a_look_sets_the_gate_and_shows_what_it_saw(tower: Tower) -> None:
    assert await tower.level(LogPressure(150.0, 0.72, 12)) is Level.NARROW
    assert tower.readings.asked == [[TENANT]]
    assert tower.shown("admission_level") == 1.0
    assert tower.shown("admission_backlog_seconds") == 150.0
    assert tower.shown("admission_memory_ratio") == 0.72
    assert tower.shown("admission_advised_events") == 275.0
    assert tower.shown("log_entries") == 12.0


@pytest.mark.parametrize("error", [RedisDownError("away"), ValueError("strange reply")], ids=repr)
async def test_a_log_that_cannot_be_read_leaves_the_gate_as_it_is(tower: Tower, error: Exception) -> None:
    assert await tower.level(error) is Level.OPEN
    assert await tower.level(LogPressure(0.0, 0.95, 3)) is Level.CLOSED
    assert await tower.level(error) is Level.CLOSED
    assert await tower.level(QUIET) is Level.NARROW


async def test_memory_that_is_not_told_presses_nothing(tower: Tower) -> None:
    assert await tower.level(LogPressure(0.0, None, 3)) is Level.OPEN


async def test_a_slow_append_fades_over_some_looks(tower: Tower) -> None:
    tower.gauge._append_s = 150.0  # two minutes that a test does not have
    levels = [await tower.level(QUIET) for _ in range(30)]
    assert levels[0] is Level.CLOSED
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] is Level.OPEN
