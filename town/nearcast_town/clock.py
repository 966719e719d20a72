"""Two ways for a town's time to pass: as fast as it can be lived, or in step with the wall clock."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

STEPS_WITHOUT_A_PAUSE = 256


class Clock(Protocol):
    """The town's time, in seconds since the Unix epoch."""

    def now_s(self) -> float:
        """How late it is in the town."""

    async def until(self, due_s: float) -> None:
        """Come back when it is this late; at once if it already is."""


class SimulatedClock:
    """Time that jumps to wherever it is wanted."""

    def __init__(self, start_s: float) -> None:
        self._now_s = start_s
        self._jumps = 0

    def now_s(self) -> float:
        return self._now_s

    async def until(self, due_s: float) -> None:
        self._now_s = max(self._now_s, due_s)
        self._jumps += 1
        if self._jumps % STEPS_WITHOUT_A_PAUSE == 0:
            await asyncio.sleep(0)  # so that a stop is heard


class WallClock:
    """Time that runs `time_scale` times as fast as the wall clock's.

    Falling behind by more than `patience_s` real seconds shifts the town's time: what was missed while a
    server was down is not made up for in a rush.
    """

    def __init__(
        self,
        start_s: float,
        time_scale: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience_s: float = 1.0,
    ) -> None:
        if not time_scale > 0:
            raise ValueError(
                f"time_scale is {time_scale}; it must be above 0 (1 = as fast as the wall clock)"
            )
        self._start_s = start_s
        self._time_scale = time_scale
        self._monotonic = monotonic
        self._sleep = sleep
        self._patience_s = patience_s
        self._zero = monotonic()

    def now_s(self) -> float:
        return self._start_s + (self._monotonic() - self._zero) * self._time_scale

    async def until(self, due_s: float) -> None:
        ahead_s = (due_s - self.now_s()) / self._time_scale
        if ahead_s < -self._patience_s:
            self._zero -= ahead_s
        await self._sleep(max(ahead_s, 0.0))
