import asyncio

import pytest

from nearcast_town.clock import SimulatedClock, WallClock


class Wall:
    """A wall clock that moves only when somebody sleeps, or when told to."""

    def __init__(self):
        self.now_s = 500.0
        self.slept_s = []

    def monotonic(self):
        return self.now_s

    async def sleep(self, duration_s):
        self.slept_s.append(duration_s)
        self.now_s += duration_s


def wall_clock(wall, time_scale=180.0):
    return WallClock(1000.0, time_scale, wall.monotonic, wall.sleep)


async def test_simulated_time_jumps_forward_and_never_back():
    clock = SimulatedClock(1000.0)

    await clock.until(1500.0)
    await clock.until(1200.0)

    assert clock.now_s() == 1500.0


async def test_simulated_time_lets_others_run_now_and_then():
    clock, ran = SimulatedClock(0.0), asyncio.Event()
    other = asyncio.create_task(asyncio.sleep(0), name="other")
    other.add_done_callback(lambda _: ran.set())

    for second in range(1000):
        await clock.until(float(second))

    assert ran.is_set()


async def test_wall_time_runs_at_its_scale():
    wall = Wall()
    clock = wall_clock(wall)

    wall.now_s += 20.0

    assert clock.now_s() == pytest.approx(1000.0 + 3600.0)


async def test_wall_time_waits_for_what_is_due():
    wall = Wall()
    clock = wall_clock(wall)

    await clock.until(1000.0 + 900.0)

    assert wall.slept_s == [pytest.approx(5.0)]
    assert clock.now_s() == pytest.approx(1900.0)


async def test_a_short_delay_is_caught_up():
    wall = Wall()
    clock = wall_clock(wall)
    wall.now_s += 0.9

    await clock.until(1000.0)

    assert clock.now_s() == pytest.approx(1000.0 + 0.9 * 180)


async def test_a_long_silence_is_not_made_up_for():
    wall = Wall()
    clock = wall_clock(wall)
    wall.now_s += 60.0

    await clock.until(1009.0)
    assert clock.now_s() == pytest.approx(1009.0)

    await clock.until(1018.0)
    assert wall.slept_s[-1] == pytest.approx(9.0 / 180)


def test_a_scale_that_is_not_above_zero_is_refused():
    with pytest.raises(ValueError, match=r"time_scale is 0; it must be above 0"):
        wall_clock(Wall(), time_scale=0)
