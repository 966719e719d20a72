"""Events a second from a stream to counted, with nothing left over, and what each costs."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import asyncpg
from msgspec import Struct

from benchmarks.events.house import House, Process, accounted
from benchmarks.events.job import Sent
from benchmarks.events.load import sender
from benchmarks.events.usage import cpu_by_name


class Run(Struct, frozen=True):
    """One measurement. `backlog` is what the keeper had not folded at its start and end."""

    batch: int
    durability: str
    seconds: float
    events_per_s: float
    backlog: tuple[int, int]
    cpu_us: Mapping[str, float]
    sent: Sent

    @property
    def cpu_us_of_all(self) -> float:
        """Of the sender too."""
        return sum(self.cpu_us.values())


async def measure(house: House, gateway: Process, batch: int, seconds: float, **job: Any) -> Run:
    """Send as fast as the keeper folds, for so long after a warm-up."""
    connection = await asyncpg.connect(house.endpoints.postgres_dsn)
    try:
        before = await accounted(connection, house.tenant_id)
        async with sender(house, gateway, batch=batch, seconds=seconds, **job) as load:
            pids = {**house.pids, "sender": [load.pid]}
            load.go()
            told = await load.hears("warm")
            started, first, cpu = (
                perf_counter(),
                await accounted(connection, house.tenant_id),
                cpu_by_name(pids),
            )
            waiting = told["sent"] + before - first
            told = await load.hears("done")
            took_s, last = perf_counter() - started, await accounted(connection, house.tenant_id)
            used = {name: total - cpu[name] for name, total in cpu_by_name(pids).items()}
            left = told["sent"] + before - last
            sent = await load.sent()
    finally:
        await connection.close()
    folded = max(1, last - first)
    return Run(
        batch,
        sent.durability,
        took_s,
        (last - first) / took_s,
        (waiting, left),
        {name: total / folded * 1e6 for name, total in used.items()},
        sent,
    )
