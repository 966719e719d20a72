"""The sender as a child of whoever measures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from benchmarks.children import spoken_to
from benchmarks.events.house import House, Process
from benchmarks.events.job import Job, Sent


class Sender:
    """Has prepared what it will send."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin
        self._process.stdin.write(b"\n")

    def end(self) -> None:
        """Let it stop before its time."""
        self.go()

    async def hears(self, event: str) -> dict[str, Any]:
        """Its line with that event; RuntimeError when it ends instead."""
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            said: dict[str, Any] = msgspec.json.decode(line)
            if said["event"] == event:
                return said
        raise RuntimeError(f"the sender ended before it was {event}")

    async def sent(self) -> Sent:
        """What it did, once it has ended."""
        return msgspec.convert((await self.hears("sent"))["sent"], Sent)


@asynccontextmanager
async def sender(
    house: House, *gateways: Process, batch: int, seconds: float, **other: Any
) -> AsyncIterator[Sender]:
    """One that is ready to send."""
    job = Job(
        tuple(house.address(gateway) for gateway in gateways),
        house.key,
        house.endpoints.postgres_dsn,
        house.tenant_id,
        batch,
        seconds,
        **other,
    )
    async with spoken_to("benchmarks.events.sender", job) as process:
        started = Sender(process)
        await started.hears("ready")
        yield started
