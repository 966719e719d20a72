"""The wait until every service answers, and what is said when that never comes."""

import asyncio
import time

from nearcast_cli.embedded.server import log_end
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.house.figures import Onlooker
from nearcast_cli.processes import ChildEvent, ChildSpec, Supervisor
from nearcast_telemetry.pacing import pause

LOOK_EVERY_S = 0.1
READY_WITHIN_S = 120.0
COMPLETE_WITHIN_S = 15.0  # a gateway without a keeper is of use too
_PORT_IN_USE = "(PORT_IN_USE)"  # as a command of ours says it, whatever the port was for


class PortLostError(CommandFailedError):
    """A port that was free when it was chosen was another's when the child came to listen on it."""


class Opening:
    """Watches the children from their start until the doors are open."""

    def __init__(self, supervisor: Supervisor, children: list[ChildSpec]) -> None:
        self._supervisor = supervisor
        self._children = {child.name: child for child in children}
        self._offsets = {child.name: _size(child) for child in children}

    async def wait(self, onlooker: Onlooker, stop: asyncio.Event) -> bool:
        """Whether it is open, False when stopped before; CommandFailedError has a child's last words."""
        began_s = time.monotonic()
        while not stop.is_set():
            for event in self._supervisor.check():
                if event.exit_code is not None:
                    raise self._ended_early(event)
            waited_s = time.monotonic() - began_s
            if await onlooker.is_open(complete=waited_s < COMPLETE_WITHIN_S):
                return True
            if waited_s > READY_WITHIN_S:
                raise self._never_ready()
            await pause(stop, LOOK_EVERY_S)
        return False

    def _ended_early(self, event: ChildEvent) -> CommandFailedError:
        last_words = self._last_words(event.name)
        lost = _PORT_IN_USE in last_words
        return (PortLostError if lost else CommandFailedError)(
            f"the {event.name} ended with status {event.exit_code} before it was ready. {last_words}",
            reason="PORT_IN_USE" if lost else "PROCESS_FAILED",
        )

    def _never_ready(self) -> CommandFailedError:
        return CommandFailedError(
            f"the gateway was not ready within {READY_WITHIN_S:.0f} s. {self._last_words('gateway')}",
            reason="NOT_READY",
        )

    def _last_words(self, name: str) -> str:
        path = self._children[name].log
        lines = log_end(path, self._offsets[name]).splitlines()
        shown = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return f"Its last words, of {path}:\n{shown}"


def _size(child: ChildSpec) -> int:
    return child.log.stat().st_size if child.log.exists() else 0
