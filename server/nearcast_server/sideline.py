"""What requests put aside, to be done beside them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Sideline(Generic[T]):
    """To put something here never waits; how much may wait is for those to judge who put it."""

    def __init__(self) -> None:
        self.waiting: deque[T] = deque()
        self._some = asyncio.Event()

    def put(self, one: T) -> None:
        """This is to be done."""
        self.waiting.append(one)
        self._some.set()

    async def run(self, stop: asyncio.Event, act: Callable[[], Awaitable[None]], rest_s: float = 0.0) -> None:
        """Act while anything waits, until told to stop; a rest lets what comes singly be done together."""
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            some = asyncio.create_task(self._some.wait())
            await asyncio.wait([some, stopping], return_when=asyncio.FIRST_COMPLETED)
            some.cancel()
            self._some.clear()
            while self.waiting and not stop.is_set():
                await act()
            if rest_s:
                await asyncio.wait([stopping], timeout=rest_s)
        await stopping
