"""What becomes of Postgres's errors, and leases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from nearcast_store.errors import DataRefusedError, SchemaError, StoreUnavailableError
from nearcast_store.leases import try_lease
from nearcast_store.postgres import Pool, open_pool, translated


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database, size=2, timeout_s=5.0)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("statement", "meaning"),
    [
        ("select 1/0", DataRefusedError),
        ("insert into heartbeats values (null, now())", DataRefusedError),
        ("insert into items select 99, 'a', 1, 1, '', '{}', 0, now(), now()", DataRefusedError),
        ("select * from no_such_table", SchemaError),
        ("select no_such_column from items", SchemaError),
        ("set transaction read only; delete from items", StoreUnavailableError),
        ("set local statement_timeout = 1; select pg_sleep(9)", StoreUnavailableError),
        ("do $$ begin raise sqlstate '53100'; end $$", StoreUnavailableError),
        ("do $$ begin raise sqlstate '40P01'; end $$", StoreUnavailableError),
        ("do $$ begin raise sqlstate '57P01'; end $$", StoreUnavailableError),
        ("select pg_terminate_backend(pg_backend_pid())", StoreUnavailableError),
    ],
)
async def test_errors_are_translated_and_keep_their_cause(
    pool: Pool, statement: str, meaning: type[Exception]
) -> None:
    with pytest.raises(meaning) as raised:
        async with pool.transaction() as connection:
            await connection.execute(statement)
    assert isinstance(raised.value.__cause__, asyncpg.PostgresError | asyncpg.InterfaceError)
    async with pool.connection() as connection:
        assert await connection.fetchval("select 1") == 1


@pytest.mark.parametrize("value", ["a\x00", "a\ud800"])
async def test_text_that_postgres_cannot_hold_is_refused(pool: Pool, value: str) -> None:
    with pytest.raises(DataRefusedError):
        async with pool.connection() as connection:
            await connection.fetchval("select $1::text", value)


async def test_a_table_that_changed_under_a_transaction_is_of_the_moment(pool: Pool) -> None:
    """The driver plans anew by itself, but not within a transaction."""

    async def meet_a_change() -> None:
        async with pool.transaction() as connection:
            await connection.fetch("select * from compactions")
            await connection.execute("alter table compactions add column later integer")
            await connection.fetch("select * from compactions")

    with pytest.raises(StoreUnavailableError):
        await meet_a_change()
    async with pool.connection() as connection:
        assert await connection.fetch("select * from compactions") == []


def test_a_mistake_in_code_is_not_hidden() -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError), translated():
        raise asyncpg.PostgresSyntaxError


async def test_no_server_is_unavailable_and_opening_needs_none(tmp_path: Path) -> None:
    pool = await open_pool(f"postgresql://postgres@/postgres?host={tmp_path}", size=1, timeout_s=1.0)
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        async with pool.connection():
            pass
    await pool.close()


async def test_a_busy_pool_is_waited_for_no_longer_than_the_timeout(database: str) -> None:
    pool = await open_pool(database, size=1, timeout_s=0.2)
    async with pool.connection():
        with pytest.raises(StoreUnavailableError, match="TimeoutError"):
            async with pool.connection():
                pass
    await pool.close()


async def test_a_cancelled_statement_leaves_a_clean_connection(pool: Pool) -> None:
    async def hang() -> None:
        async with pool.transaction() as connection:
            await connection.execute("select pg_sleep(60)")

    task = asyncio.create_task(hang())
    async with pool.connection() as other:
        while not await other.fetchval(
            "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%'"
        ):
            pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(3):
        async with pool.connection() as connection:
            assert await connection.fetchval("select 7") == 7


async def test_only_one_holds_a_lease_until_it_is_released(database: str) -> None:
    first = await try_lease(database, "relay")
    assert first is not None
    assert await try_lease(database, "relay") is None
    other = await try_lease(database, "jobs")
    assert other is not None
    await other.release()
    assert await first.held()
    await first.release()
    assert not await first.held()
    again = await try_lease(database, "relay")
    assert again is not None
    await again.release()


async def test_a_lease_ends_with_its_connection(database: str) -> None:
    lease = await try_lease(database, "relay")
    assert lease is not None
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where application_name = 'nearcast lease relay'"
        )
    finally:
        await connection.close()
    assert not await lease.held()
    again = await try_lease(database, "relay")
    assert again is not None
    await again.release()
    await lease.release()


async def test_what_is_committed_is_on_disk_whatever_the_role_is_set_to(database: str) -> None:
    owner = await asyncpg.connect(database)
    name = await owner.fetchval("select current_database()")
    for set_to, runs_with in (("off", "on"), ("remote_apply", "remote_apply")):
        await owner.execute(f'alter database "{name}" set synchronous_commit = {set_to}')
        pool = await open_pool(database, size=1, timeout_s=5.0)
        async with pool.transaction() as connection:
            assert await connection.fetchval("show synchronous_commit") == runs_with
        await pool.close()
    await owner.close()
