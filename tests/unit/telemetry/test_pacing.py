"""Pauses that a stop cuts short."""

import asyncio

from nearcast_telemetry.pacing import pause, repeat

LONG_S = 600.0


async def test_a_pause_ends_with_its_time() -> None:
    stop = asyncio.Event()
    await pause(stop, 0.001)
    assert not stop.is_set()


async def test_a_stop_cuts_a_pause_short() -> None:
    stop = asyncio.Event()
    pausing = asyncio.create_task(pause(stop, LONG_S))
    stop.set()
    await asyncio.wait_for(pausing, 10.0)


async def test_what_is_repeated_is_done_until_the_stop_and_not_again() -> None:
    stop, done = asyncio.Event(), list[int]()

    async def act() -> None:
        done.append(len(done))
        if len(done) == 3:
            stop.set()

    await asyncio.wait_for(repeat(stop, 0.001, act), 10.0)
    assert done == [0, 1, 2]


async def test_nothing_is_repeated_once_it_is_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()

    async def act() -> None:
        raise AssertionError("it was to stop")

    await repeat(stop, LONG_S, act)
