"""Waiting that a stop of the process cuts short."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """So long, or until the stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def repeat(stop: asyncio.Event, every_s: float, act: Callable[[], Awaitable[object]]) -> None:
    """Act at once, and again after each pause, until the stop."""
    while not stop.is_set():
        await act()
        await pause(stop, every_s)
