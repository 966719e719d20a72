"""A count that one can wait for."""

import asyncio


class Tally:
    """Counts what was done; whoever depends on it waits for a number instead of sleeping."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def add(self, amount: int = 1) -> None:
        """Count on, and wake those whose number is reached."""
        self.count += amount
        for number, future in self._waiting:
            if number <= self.count and not future.done():
                future.set_result(None)
        self._waiting = [(number, future) for number, future in self._waiting if not future.done()]

    async def reached(self, number: int) -> None:
        """Return once the count is at least `number`."""
        if self.count >= number:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((number, future))
        await future
