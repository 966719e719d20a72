"""Postgres that may not write, has no partition, is locked, or starts anew: the log is the buffer."""

import asyncio
import os
from datetime import UTC, datetime, timedelta

import asyncpg

from nearcast_cli.embedded.nobody import server_account
from tests.faults.house import House
from tests.faults.smalldisk import small_disk
from tests.faults.traffic import event_ids, unattributed, views
from tests.gateways import eventually

END_SESSIONS = (
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'nearcast%'",
)
THREE_DAYS_MS = 3 * 86_400_000


async def away(house: House, times: int) -> None:
    """Return once the keeper has said so often that Postgres cannot do it now."""
    await house.keepers[0].child.hears("store.away", times)


async def test_a_postgres_that_may_not_write_is_waited_for(house: House) -> None:
    await house.sql("alter database postgres set default_transaction_read_only = on")
    said = len(house.keepers[0].child.heard.get("store.away", ()))
    try:
        await house.sql(*END_SESSIONS)
        await house.client.record(house.client.traffic.events(await house.lines[0].slate(4)))
        await away(house, said + 1)
        assert await house.unfinished() > 0
    finally:
        await house.sql("begin read write", "alter database postgres reset all", "commit")
        await house.sql(*END_SESSIONS)
    assert await house.verdict() == []


async def test_a_postgres_whose_disk_is_full_is_waited_for(house: House) -> None:
    """The partition of today lies on a small disk of its own."""
    today = f"events_{datetime.now(UTC):%Y%m%d}"
    with small_disk(house.directory / "small") as disk:
        place = disk.path / "tablespace"
        place.mkdir(mode=0o700)
        if account := server_account():
            os.chown(place, account.uid, account.gid)
        await house.sql(f"create tablespace small location '{place}'", "select 1")
        await house.sql(f"alter table {today} set tablespace small", "select 1")
        said = len(house.keepers[0].child.heard.get("store.away", ()))
        disk.fill()
        try:
            while len(house.keepers[0].child.heard.get("store.away", ())) == said:
                await house.client.record(views(house.random, 500))
            assert await house.unfinished() > 0
        finally:
            disk.free()
        await house.drained()
        await house.sql(f"alter table {today} set tablespace pg_default", "select 1")
        # No recovery after this may want the disk back.
        await house.sql("drop tablespace small", "checkpoint", "select 1")
    assert await house.verdict() == []


async def test_a_missing_partition_is_made_when_an_event_needs_it(house: House) -> None:
    day = datetime.now(UTC) - timedelta(days=3)
    await house.sql(f"drop table if exists events_{day:%Y%m%d}")
    old = event_ids(house.random, -THREE_DAYS_MS)
    await house.client.record([unattributed(old()) for _ in range(3)])
    assert await house.verdict() == []


async def test_a_locked_table_holds_the_fold_up_and_loses_nothing(house: House) -> None:
    connection = await asyncpg.connect(house.dsn)
    try:
        async with connection.transaction():
            await connection.execute("lock table item_counts in access exclusive mode")
            batch = await house.client.record(house.client.traffic.events(await house.lines[0].slate(4)))

            async def waiting() -> int:
                rows = await connection.fetch("select 1 from pg_locks where not granted")
                return len(rows)

            await eventually(waiting, 10.0)
            assert await house.unfinished() > 0
    finally:
        await connection.close()
    assert await house.verdict() == []
    assert batch


async def test_a_postmaster_that_is_killed_is_waited_for(house: House) -> None:
    recording = asyncio.ensure_future(
        house.client.record(house.client.traffic.events(await house.lines[0].slate(4)))
    )
    await house.kill_postmaster()
    await recording
    assert await house.verdict() == []
    await house.agrees()
