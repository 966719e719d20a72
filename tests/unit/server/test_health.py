"""Which services are said to answer."""

import asyncio
from functools import partial

import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from nearcast_server.health import Health, Needs
from nearcast_server.rpc.endpoint import Deadlines, InFlight

SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)
NEEDS = (Needs("items", ("postgres",)), Needs("slates", ("index",)), Needs("both", ("postgres", "index")))


class Parts:
    """Which stores answer."""

    def __init__(self) -> None:
        self.answers = {"postgres": True, "index": True}
        self.servicer = aio.HealthServicer()
        self.health = Health(self.servicer, {name: partial(self.ask, name) for name in self.answers}, NEEDS)

    async def ask(self, name: str) -> bool:
        return self.answers[name]

    async def told(self) -> dict[str, int]:
        return {
            service: (await self.servicer.Check(health_pb2.HealthCheckRequest(service=service), None)).status
            for service in ("", "items", "slates", "both")
        }


@pytest.mark.parametrize(
    ("gone", "silent"),
    [
        ((), ()),
        (("postgres",), ("both", "items")),
        (("index",), ("both", "slates")),
        (("postgres", "index"), ("both", "items", "slates")),
    ],
)
async def test_a_service_answers_while_all_it_needs_does(
    gone: tuple[str, ...], silent: tuple[str, ...]
) -> None:
    parts = Parts()
    assert parts.health.ready() == "starting"
    for name in gone:
        parts.answers[name] = False
    await parts.health.look()
    told = await parts.told()
    assert {service for service, status in told.items() if status == NOT_SERVING} == set(silent)
    assert told[""] == SERVING
    assert parts.health.ready() == (f"cannot serve {', '.join(silent)}" if silent else None)
    parts.answers = dict.fromkeys(parts.answers, True)
    await parts.health.look()
    assert set((await parts.told()).values()) == {SERVING}
    assert parts.health.ready() is None


async def test_a_drain_is_told_for_every_service_and_nothing_takes_it_back() -> None:
    parts = Parts()
    await parts.health.look()
    await parts.health.drain()
    parts.answers["postgres"] = False
    await parts.health.look()
    parts.answers["postgres"] = True
    await parts.health.look()
    assert set((await parts.told()).values()) == {NOT_SERVING}


async def test_looking_ends_when_told_to() -> None:
    parts, stop = Parts(), asyncio.Event()
    running = asyncio.create_task(parts.health.run(60.0, stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(20.0):
        await running
    assert parts.health.ready() is None


@pytest.mark.parametrize(
    ("remaining_s", "given_s"), [(None, 5.0), (0.001, 0.001), (5.0, 5.0), (30.0, 30.0), (3e8, 30.0)]
)
def test_every_call_has_an_end(remaining_s: float | None, given_s: float) -> None:
    assert Deadlines(default_s=5.0, max_s=30.0).of(remaining_s) == given_s


async def test_calls_in_flight_are_waited_for() -> None:
    in_flight = InFlight()
    await in_flight.ended()
    with in_flight:
        with in_flight:
            waiting = asyncio.create_task(in_flight.ended())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(20.0):
        await waiting
