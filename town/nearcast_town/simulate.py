"""A town's life in fast mode, days in seconds, and in live mode, to be watched while it learns."""

from dataclasses import dataclass

from nearcast_town.backend import Backend
from nearcast_town.clock import Clock, SimulatedClock
from nearcast_town.driver import Driver
from nearcast_town.measure import Meter
from nearcast_town.report import Report
from nearcast_town.world import CLICKS, World, Worth

START_S = 1_767_225_600.0
"""2026-01-01 00:00 UTC: when simulated lives begin."""
DAY_S = 86400.0
WINDOWS = 50


async def run(
    world: World,
    backend: Backend,
    steps: int,
    days: float = 14.0,
    start_s: float = START_S,
    worth: Worth = CLICKS,
) -> Report:
    """Fast mode: live `steps` questions, spread evenly over so many simulated days."""
    if steps < 1 or not days > 0:
        raise ValueError(f"steps is {steps} and days is {days}; steps must be at least 1 and days above 0")
    step_s = days * DAY_S / steps
    meter = Meter(start_s, window_s=step_s * max(steps / WINDOWS, 1))
    await Driver(world, backend, SimulatedClock(start_s), meter, step_s, worth).run(steps)
    return Report.of(world.seed, meter)


@dataclass(frozen=True, slots=True)
class LivePace:
    """How live mode runs against a real server.

    At 180 times the wall clock, an hour of the town takes 20 real seconds: views come at once, saves after
    20 seconds and applies after two minutes on average, so every kind is seen being learned within minutes.
    """

    asks_per_s: float = 40.0
    time_scale: float = 180.0
    windows_per_minute: int = 6
    hurry: float = 1.0
    """The town's time passes so many times faster, and what the report calls a minute is as much shorter."""

    @property
    def step_s(self) -> float:
        """The town's seconds from one question to the next."""
        return self.real_scale / self.asks_per_s

    @property
    def real_scale(self) -> float:
        """How many of the town's seconds pass in a real one."""
        return self.time_scale * self.hurry

    def meter(self, start_s: float) -> Meter:
        """A meter whose windows are even parts of a minute, as the town has it."""
        return Meter(start_s, window_s=60.0 / self.windows_per_minute * self.time_scale)


async def run_live(
    world: World,
    backend: Backend,
    clock: Clock,
    meter: Meter,
    pace: LivePace,
    steps: int | None = None,
    visit_label: str = "visit",
) -> Report:
    """Live mode: for ever unless `steps` is set; whoever holds the meter can report at any time."""
    await Driver(world, backend, clock, meter, pace.step_s).run(steps, visit_label)
    return Report.of(world.seed, meter)
