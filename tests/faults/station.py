"""A place in the house where one process after the other does the same work."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from signal import Signals
from typing import TypeAlias

from tests.faults.child import Child

FAILPOINTS = "NEARCAST_FAILPOINTS"
SECOND_MACHINE = "NEARCAST_TEST_HOSTNAME"

Moment: TypeAlias = Callable[[], Awaitable[object]]
"""Returns when the moment to kill has come."""


async def at_once() -> None:
    """Whatever is under way."""


class Station:
    """Its processes differ by how they are armed, and by circumstances; `ready` names the line they write."""

    def __init__(
        self, name: str, command: tuple[str, ...], ready: str, settings: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self._command = command
        self._ready = ready
        self._settings = settings
        self._log_path = logs / f"{name}.log"
        self._child: Child | None = None
        self._is_usual = True
        self.arming = ""

    @property
    def child(self) -> Child:
        assert self._child, f"{self.name} was never started"
        return self._child

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    async def begin(self, arming: str = "", **circumstances: str) -> Child:
        """Start a process, which may die before it is ready; none may be there."""
        assert not self.alive, f"{self.name} runs already"
        self.arming, self._is_usual = arming, not (arming or circumstances)
        armed = {FAILPOINTS: arming} if arming else {}
        settings = {**self._settings, **armed, **circumstances}
        self._child = await Child.start(self.name, self._command, settings, self._log_path)
        return self._child

    async def start(self, arming: str = "", **circumstances: str) -> Child:
        """Start a process and wait until it is ready."""
        child = await self.begin(arming, **circumstances)
        await child.hears(self._ready)
        return child

    async def restore(self) -> None:
        """Make sure that a process is ready that is neither armed nor otherwise unlike the usual one."""
        if not (self.alive and self._is_usual):
            await self.kill()
            await self.start()

    def abandon(self) -> None:
        """Kill what runs and wait for nothing; it can be restored."""
        if self._child is not None:
            self._is_usual = False
            self._child.send(Signals.SIGKILL)

    async def dies(self) -> None:
        """Wait until the process has died at the point it was armed with."""
        await self.child.ended()
        assert self.child.killed_itself, f"{self.name} ended otherwise:\n{self.child.last_words()}"

    async def kill(self, moment: Moment = at_once) -> bool:
        """When the moment has come; whether there was a process to kill."""
        if self._child is None:
            return False
        await moment()
        was_alive = self._child.alive
        await self._child.kill()
        return was_alive

    async def close(self) -> None:
        if self._child is not None:
            await self._child.close()

    def freeze(self) -> None:
        self.child.send(Signals.SIGSTOP)

    def thaw(self) -> None:
        self.child.send(Signals.SIGCONT)
