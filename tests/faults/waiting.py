"""Letting time pass where the passing of time is the fault."""

import asyncio


async def rest(seconds: float) -> None:
    """Return after so long."""
    woken = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, woken.set)
    await woken.wait()
