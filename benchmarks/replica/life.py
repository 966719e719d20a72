"""The town of `living` as a child of whoever measures."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from benchmarks.children import spoken_to
from benchmarks.replica.living import Job

Answer = TypeVar("Answer")


class Life:
    """Its first items are there; it begins when told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def go(self) -> None:
        """Let it begin, or let it end."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")

    async def hears(self, *events: str) -> dict[str, Any]:
        """The next line with one of these events; RuntimeError when it ends instead."""
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            said: dict[str, Any] = msgspec.json.decode(line)
            if said["event"] in events:
                return said
        raise RuntimeError(f"the town ended before it said {' or '.join(events)}")

    async def during(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """What this comes to; RuntimeError when the town ends before."""
        working, ended = asyncio.create_task(work), asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({working, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise RuntimeError("the town ended before its time")
            return working.result()
        finally:
            working.cancel()
            ended.cancel()

    async def end(self) -> Mapping[str, int]:
        """How much was done of what."""
        self.go()
        done: dict[str, int] = (await self.hears("ended"))["done"]
        return done


@asynccontextmanager
async def lived(job: Job) -> AsyncIterator[Life]:
    """One whose first items are put."""
    async with spoken_to("benchmarks.replica.living", job) as process:
        life = Life(process)
        await life.hears("ready")
        yield life
