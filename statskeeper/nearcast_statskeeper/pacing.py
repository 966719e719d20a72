"""Waiting, so that a stop ends it, and so that failures are tried again less and less often."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from nearcast_telemetry.pacing import pause

Clock = Callable[[], float]
"""Seconds since the Unix epoch."""

Pause = Callable[[float], Awaitable[None]]
"""Waits for so many seconds, or until the process is to stop."""


def pause_until(stop: asyncio.Event) -> Pause:
    """The pause of a process that ends when `stop` is set."""
    return partial(pause, stop)


@dataclass(slots=True)
class Backoff:
    """Delays that double with each failure, scattered so that keepers do not return all at once."""

    first_s: float = 0.1
    longest_s: float = 5.0
    random: Random = field(default_factory=Random)
    failures: int = 0

    def worked(self) -> bool:
        """Begin anew; whether there was a failure before."""
        failed, self.failures = self.failures > 0, 0
        return failed

    def failed(self) -> float:
        """Seconds to wait before the next attempt."""
        delay_s = min(self.first_s * 2.0 ** min(self.failures, 32), self.longest_s)
        self.failures += 1
        return delay_s * self.random.uniform(0.5, 1.0)
