"""The house while it stands: opened in order, watched, and closed in reverse."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import grpc
import msgspec

from nearcast_cli.embedded import EmbeddedServers, Endpoints, StateDirectory, running_instance, write_instance
from nearcast_cli.finding import Target
from nearcast_cli.house.children import house_children
from nearcast_cli.house.figures import Onlooker
from nearcast_cli.house.furnishing import furnish
from nearcast_cli.house.greeting import OSLO, greeting, policy_notice
from nearcast_cli.house.opening import LOOK_EVERY_S, Opening, PortLostError
from nearcast_cli.house.plan import Plan, Ports
from nearcast_cli.house.ports import choose_ports
from nearcast_cli.house.screen import Screen
from nearcast_cli.livesimulation import REPORT_NAME
from nearcast_cli.processes import ChildEvent, Supervisor
from nearcast_telemetry.pacing import pause
from nearcast_telemetry.signals import stop_on_signals

CHILD_GRACE_S = 12.0
PORT_TRIES = 5


def open_house(plan: Plan, screen: Screen) -> None:
    """Run everything until SIGINT or SIGTERM. Raises EmbeddedError, StoreError, CommandFailedError."""
    began_s = time.monotonic()
    state = StateDirectory(plan.state)
    # Who asks for a taken state learns that, not that the first one has the port too.
    ports = None if state.is_taken() else choose_ports(plan.process)
    servers = EmbeddedServers(
        plan.state,
        postgres_dsn=plan.process.postgres.dsn or None,
        redis_url=plan.process.redis.geo_url or None,
    )
    with _termination_as_interrupt():
        screen.say("Starting Postgres and Redis …" if not plan.process.postgres.dsn else "Starting …")
        endpoints = servers.start()
        try:
            house = House(plan, servers, endpoints, ports or choose_ports(plan.process), screen)
            asyncio.run(house.stand(began_s))
        finally:
            screen.say("Stopping …")
            servers.stop()
    screen.say("Stopped.")


class House:
    """Everything that runs beside the servers."""

    def __init__(
        self, plan: Plan, servers: EmbeddedServers, endpoints: Endpoints, ports: Ports, screen: Screen
    ) -> None:
        self._plan = plan
        self._servers = servers
        self._endpoints = endpoints
        self._ports = ports
        self._screen = screen

    async def stand(self, began_s: float) -> None:
        """From the first process to the last."""
        state = self._servers.state
        (state.path / REPORT_NAME).unlink(missing_ok=True)
        with stop_on_signals() as stop:
            furnished = await furnish(self._endpoints, state, self._plan.policy)
            notice = policy_notice(self._plan, furnished.revision)
            if notice:
                self._screen.say(notice)
            for tries_left in reversed(range(PORT_TRIES)):
                try:
                    await self._live(furnished.api_key, began_s, stop)
                except PortLostError:
                    if not tries_left:
                        raise
                    # Nobody can hold a port for a child, so whoever came first has it; there are others.
                    self._ports = choose_ports(self._plan.process)
                else:
                    return

    async def _live(self, api_key: str, began_s: float, stop: asyncio.Event) -> None:
        """With the processes on the ports of now; PortLostError when one of those is taken meanwhile."""
        state = self._servers.state
        children = house_children(self._plan, state, self._endpoints, self._ports, api_key)
        supervisor = Supervisor(children)
        opening = Opening(supervisor, children)
        try:
            supervisor.start()
            async with grpc.aio.insecure_channel(self._ports.address, options=_FOLLOW_RESTARTS) as channel:
                target = Target(self._ports.address, api_key)
                place = self._plan.town_at or OSLO
                onlooker = Onlooker(channel, target, place, state.path / REPORT_NAME)
                if await opening.wait(onlooker, stop):
                    self._open_doors(api_key, time.monotonic() - began_s)
                    await self._watch(onlooker, supervisor, stop)
        finally:
            supervisor.stop(CHILD_GRACE_S)

    def _open_doors(self, api_key: str, took_s: float) -> None:
        state = self._servers.state
        instance = running_instance(state.path)
        assert instance is not None, "we hold the state"
        named = msgspec.structs.replace(instance, address=self._ports.address, api_key=api_key)
        write_instance(state, named)
        self._screen.say(greeting(self._plan, self._ports, api_key, took_s))

    async def _watch(self, onlooker: Onlooker, supervisor: Supervisor, stop: asyncio.Event) -> None:
        """Keep everything running, and show how it goes."""
        showing = asyncio.create_task(self._screen.show(onlooker, self._plan.town_at, stop))
        try:
            while not stop.is_set() and not showing.done():
                for event in supervisor.check():
                    self._screen.say(_words(event))
                for title in self._servers.dead():
                    self._screen.say(f"{title} has ended; starting it again on its data")
                for title in self._servers.revive():
                    self._screen.say(f"{title} runs again")
                await pause(stop, LOOK_EVERY_S)
        finally:
            stop.set()
            await showing


# A gateway that was restarted shall be found again at once, not after a minute of backing off.
_FOLLOW_RESTARTS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]


def _words(event: ChildEvent) -> str:
    if event.exit_code is None:
        return f"{event.name} runs again (process {event.pid})"
    how = f"signal {-event.exit_code}" if event.exit_code < 0 else f"exit status {event.exit_code}"
    return (
        f"{event.name} (process {event.pid}) ended with {how}; starting it again in {event.retry_in_s:.1f} s"
    )


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """SIGTERM ends what has no event loop yet as Ctrl-C does, so that everything is taken down in order."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: Callable[[int, FrameType | None], object] | int | None = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
