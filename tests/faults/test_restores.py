"""Postgres comes back as it was earlier: what it has forgotten is folded again from the log."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.child import Child
from tests.faults.house import House
from tests.gateways import eventually


async def test_a_restored_postgres_counts_again_what_it_forgot(house: House) -> None:
    """All of it, once it is told to look back; and gateways forget what was never so."""
    await house.client.record(house.client.traffic.events(await house.lines[0].slate(8)))
    await house.drained()
    restored_to = datetime.now(UTC)
    backup = house.directory / "backup"
    async with postgres_down(house) as data:
        await copy(data, backup)
    forgotten = [
        await house.client.record(house.client.traffic.events(await house.lines[0].slate(8)))
        for _ in range(3)
    ]
    await house.drained()
    origins = [intent.origin for batch in forgotten for intent in batch.events if not intent.refused]
    counted = await house.count(origins)
    async with postgres_down(house) as data:
        shutil.rmtree(data)
        await copy(backup, data)
    assert await house.count(origins) < counted
    await rewind(house, restored_to)
    assert await house.verdict() == []
    assert await house.count(origins) == counted
    await house.agrees()


@asynccontextmanager
async def postgres_down(house: House) -> AsyncIterator[Path]:
    """Where its data is, while no process of it runs; it is started again at the end."""
    state = house.directory / "state"
    pid, before = await house.postmaster_pid(), len(house.servers.heard.get("servers.revived", ()))
    house.servers.send(signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: all_ended(state / "postgres.lock"), 10.0)
        yield (state / "postgres").resolve()
    finally:
        house.servers.send(signal.SIGCONT)
    await house.servers.hears("servers.revived", before + 1)


async def all_ended(guard: Path) -> bool:
    """Whether nobody holds the lock that every process of the server inherits."""
    with guard.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


async def copy(source: Path, target: Path) -> None:
    """With owners and modes."""
    process = await asyncio.create_subprocess_exec("cp", "--archive", str(source), str(target))
    assert await process.wait() == 0


async def rewind(house: House, to: datetime) -> None:
    """As an operator does it."""
    url = f"unix://{house.redis.connection_pool.connection_kwargs['path']}"
    command = (sys.executable, "-m", "nearcast_cli", "keeper", "rewind", "--to", to.isoformat())
    options = ("--postgres-dsn", house.dsn, "--redis-url", url)
    child = await Child.start(
        "rewind", (*command, *options), {"NEARCAST_LOG__SHARDS": "4"}, house.directory / "logs" / "rewind.log"
    )
    assert await child.ended() == 0, child.last_words()
