"""Who passes the gate, who waits before it, and what whoever is sent away is told."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from nearcast_server.admission import Level, Standing
from nearcast_server.errors import UnavailableError
from nearcast_server.gate import Gate
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics

TENANT, OTHER = 1, 2
CLOSED = Standing(Level.CLOSED, 1.2, "memory", 50)
NARROW = Standing(Level.NARROW, 0.5, "backlog", 275)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def gate(registry: CollectorRegistry) -> Gate:
    return Gate(2, 1.0, Metrics(registry, SERVER_METRICS), lambda: 0.5, lambda: 2)


def refused(registry: CollectorRegistry, what: str, cause: str) -> float | None:
    return registry.get_sample_value(
        "nearcast_server_admission_refused_total", {"refused": what, "cause": cause}
    )


def test_a_closed_gate_sends_calls_away_with_when_to_come_again(
    gate: Gate, registry: CollectorRegistry
) -> None:
    gate.set(CLOSED)
    with pytest.raises(UnavailableError) as raised, gate.call(TENANT):
        pass
    told = raised.value
    assert (told.reason, told.metadata) == (
        "INGEST_OVERLOADED",
        {"cause": "memory", "advised_events": "50"},
    )
    assert told.retry_after_s == pytest.approx(2.0 * 1.25)
    assert "nothing of this was taken" in told.message
    assert refused(registry, "call", "memory") == 1.0


def test_only_so_many_calls_and_streams_pass_at_a_time(gate: Gate, registry: CollectorRegistry) -> None:
    with gate.call(TENANT), gate.stream(TENANT):
        with pytest.raises(UnavailableError) as raised, gate.call(TENANT):
            pass
        assert raised.value.metadata["cause"] == "calls"
        with pytest.raises(UnavailableError), gate.stream(TENANT):
            pass
    assert (refused(registry, "call", "calls"), refused(registry, "stream", "calls")) == (1.0, 1.0)
    with gate.call(TENANT), gate.call(TENANT):
        pass


def test_no_tenant_takes_the_places_of_others(registry: CollectorRegistry) -> None:
    most_of_one = 2
    gate = Gate(4, 1.0, Metrics(registry, SERVER_METRICS), lambda: 0.5, lambda: most_of_one)
    with gate.stream(TENANT), gate.call(TENANT):
        for enter in (gate.call, gate.stream):
            with pytest.raises(UnavailableError) as raised, enter(TENANT):
                pass
            assert raised.value.reason == "INGEST_OVERLOADED"
            assert raised.value.metadata["cause"] == "tenant_calls"
        with gate.call(OTHER), gate.stream(OTHER):
            pass
        most_of_one = 4  # the others have gone
        with gate.call(TENANT), gate.call(TENANT):
            pass
    assert refused(registry, "call", "tenant_calls") == refused(registry, "stream", "tenant_calls") == 1.0
    with gate.call(TENANT), gate.call(TENANT):
        pass


def test_a_call_that_fails_leaves_its_place(gate: Gate) -> None:
    for _ in range(5):
        with pytest.raises(ValueError, match="bad"), gate.call(TENANT), gate.append():
            raise ValueError("bad")
    with gate.call(TENANT), gate.call(TENANT):
        pass


async def test_who_waits_goes_on_when_it_opens_and_waits_again_when_it_closes(gate: Gate) -> None:
    assert gate.opened.done()
    gate.set(CLOSED)
    first, second = gate.opened, gate.opened
    assert first is second
    gate.set(CLOSED)
    assert not first.done()
    gate.set(NARROW)
    assert first.done()
    assert gate.opened.done()
    gate.set(CLOSED)
    assert not gate.opened.done()


async def test_a_closed_gate_is_passed_by_a_stream_which_waits_inside(gate: Gate) -> None:
    gate.set(CLOSED)
    with gate.stream(TENANT):
        assert not gate.opened.done()


def test_the_window_shrinks_with_the_pressure_and_is_never_shut(gate: Gate) -> None:
    windows = [gate.window(8)]
    for standing in (NARROW, Standing(Level.NARROW, 0.99, "backlog", 54), CLOSED, Standing()):
        gate.set(standing)
        windows.append(gate.window(8))
    assert windows == [8, 4, 1, 1, 8]


async def test_the_slowest_append_is_told_once_and_one_under_way_all_the_time(gate: Gate) -> None:
    with gate.append():
        pass
    assert gate.slowest_append_s() > 0
    assert gate.slowest_append_s() == 0
    with gate.append():
        first = gate.slowest_append_s()
        await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)
        assert gate.slowest_append_s() > first
