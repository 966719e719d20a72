"""Ends what takes too long: all of it is looked at now and then, as a timer for each call costs 20 µs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
LOOK_EVERY_S = 0.05


class Overtime:
    """Nothing is ended before its time, and all at most LOOK_EVERY_S after it unless the loop is held up."""

    def __init__(self) -> None:
        self._due_s: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._looking = False

    async def bound(self, work: Coroutine[Any, Any, Result], most_s: float) -> Result:
        """What the work gives, in the task that asks; TimeoutError when its time was up before."""
        task = asyncio.current_task()
        assert task is not None
        self._begin(task, most_s)
        try:
            return await work
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel():
                raise
            raise TimeoutError from None
        finally:
            self._due_s.pop(task, None)
            self._late.discard(task)

    def _begin(self, task: asyncio.Task[Any], most_s: float) -> None:
        loop = task.get_loop()
        self._due_s[task] = loop.time() + most_s
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK_EVERY_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for task in [task for task, due_s in self._due_s.items() if due_s <= now_s]:
            del self._due_s[task]
            self._late.add(task)
            task.cancel()
        self._looking = bool(self._due_s)
        if self._looking:
            loop.call_later(LOOK_EVERY_S, self._look, loop)
