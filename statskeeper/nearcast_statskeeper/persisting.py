"""Doing something again and again, whatever fails on the way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, get_args

from nearcast_statskeeper.pacing import Backoff, Pause
from nearcast_statskeeper.vitals import Vitals
from nearcast_store.errors import StoreError
from nearcast_telemetry.jobmetrics import KEEPER_FAILURES
from nearcast_telemetry.logs import Log, logger
from nearcast_telemetry.metrics import Metrics

Part = Literal["schema", "preflight", "consumer", "relay", "jobs", "heartbeat"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Persistence:
    """How a process persists: when it stops, how it waits, and who is told.

    A store that is away is the world's fault, and said in one line when it begins and when it ends; anything
    else is ours, and logged with its traceback. Neither ends the process: what is not done stays where it is.
    """

    stop: asyncio.Event
    pause: Pause
    metrics: Metrics
    vitals: Vitals

    async def repeat(self, part: Part, step: Callable[[], Awaitable[bool]], idle_s: float) -> None:
        """Take steps until the stop, `idle_s` after one that found nothing, longer after a failure."""
        backoff = Backoff()
        while not self.stop.is_set():
            found = await self._try(part, step, backoff)
            if found is None:
                await self.pause(backoff.failed())
            elif not found and idle_s:
                await self.pause(idle_s)

    async def once(self, part: Part, step: Callable[[], Awaitable[None]]) -> None:
        """Take one step until it works, or the stop."""

        async def attempt() -> bool:
            await step()
            return True

        backoff = Backoff()
        while not self.stop.is_set() and await self._try(part, attempt, backoff) is None:
            await self.pause(backoff.failed())

    async def _try(self, part: Part, step: Callable[[], Awaitable[bool]], backoff: Backoff) -> bool | None:
        """What the step found; None when it failed."""
        log = logger(f"keeper.{part}")
        try:
            found = await step()
        except Exception as error:  # noqa: BLE001 - the loop outlives every fault, and each is logged
            # What an exception says may be anything; its kind is enough to look for it in the log.
            kind = "" if isinstance(error, StoreError) else f"raises {type(error).__name__}"
            self.vitals.failed(part, kind)
            self.metrics.add(KEEPER_FAILURES, 1, part)
            _tell(log, error, first=backoff.failures == 0)
            return None
        if backoff.worked():
            log.info("store.back")
        self.vitals.worked(part)
        return found


def _tell(log: Log, error: Exception, *, first: bool) -> None:
    if not isinstance(error, StoreError):
        log.error("step.failed", cause=error)
    elif first:
        log.warning("store.away", reason=error)
