"""The migrations' names, the snapshot of their sum, and what a database must look like to be used."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from nearcast_store.errors import SchemaError, StoreUnavailableError
from nearcast_store.migration import migrate, migrations, pending, require_schema, snapshot

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def required(dsn: str) -> None:
    async with connected(dsn) as connection:
        await require_schema(connection)


async def changed(dsn: str, statement: str, *arguments: object) -> None:
    async with connected(dsn) as connection:
        await connection.execute(statement, *arguments)


async def test_snapshot_is_the_sum_of_all_migrations(postgres_server: str) -> None:
    kept = (ROOT / "migrations" / "schema.sql").read_text("utf-8")
    assert await snapshot(postgres_server) == kept, "python -m nearcast_store.migration snapshot DSN"


async def test_migrate_applies_everything_once(empty_database: str) -> None:
    names = [migration.name for migration in migrations()]
    assert await pending(empty_database) == names
    assert await migrate(empty_database) == names
    assert await migrate(empty_database) == []
    assert await pending(empty_database) == []
    await required(empty_database)


async def test_two_processes_migrate_at_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(4)))
    assert sorted(applied, key=len) == [[], [], [], [migration.name for migration in migrations()]]


async def test_a_process_that_migrates_for_too_long_is_named(empty_database: str) -> None:
    async with connected(empty_database) as connection:
        await connection.execute("select pg_advisory_lock($1)", 0x6E656172636173)
        with pytest.raises(SchemaError, match="another process has been migrating"):
            await migrate(empty_database, lock_wait_s=0.05)
    assert await pending(empty_database)


async def test_an_empty_database_is_not_ready_and_the_remedy_is_named(empty_database: str) -> None:
    with pytest.raises(SchemaError, match="run `nearcast migrate`"):
        await required(empty_database)


async def test_a_changed_migration_is_refused(database: str) -> None:
    await changed(database, "update schema_migrations set checksum = sha256('else') where number = 2")
    for refused in (migrate, pending, required):
        with pytest.raises(SchemaError, match=r"0002_.* is not what was applied"):
            await refused(database)


async def test_a_gap_in_what_was_applied_is_refused(database: str) -> None:
    await changed(database, "delete from schema_migrations where number = 1")
    for refused in (migrate, pending):
        with pytest.raises(SchemaError, match=r"0001_.* was never applied"):
            await refused(database)
    with pytest.raises(SchemaError, match="lacks 0001_"):
        await required(database)


async def test_a_database_of_a_newer_version_is_never_migrated(database: str) -> None:
    await add_unknown(database, "9001_pre_newer")
    for refused in (migrate, pending):
        with pytest.raises(SchemaError, match=r"newer nearcast .*9001_pre_newer"):
            await refused(database)


async def test_an_older_process_works_until_a_post_migration(database: str) -> None:
    await add_unknown(database, "9001_pre_newer")
    await required(database)
    await add_unknown(database, "9002_post_newer")
    with pytest.raises(SchemaError, match=r"9002_post_newer.*start that version"):
        await required(database)


async def test_a_failing_migration_leaves_nothing_behind(empty_database: str) -> None:
    await changed(empty_database, "create table items (already int)")
    with pytest.raises(SchemaError, match=r"0002_.* failed.*already exists"):
        await migrate(empty_database)
    assert len(await pending(empty_database)) == len(migrations()) - 1
    await changed(empty_database, "drop table items")
    assert await migrate(empty_database) == [migration.name for migration in migrations()[1:]]


async def test_no_server_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        await migrate(f"postgresql://postgres@/postgres?host={tmp_path}")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["0001_add.sql"], "must be named NNNN_pre_what.sql"),
        (["0001_pre_a.sql", "0003_pre_b.sql"], "should have number 0002"),
        (["0001_pre_a.sql", "0001_post_b.sql"], "should have number 0002|should have number 0001"),
    ],
)
def test_badly_named_files_are_refused(tmp_path: Path, names: list[str], problem: str) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(SchemaError, match=problem):
        migrations(tmp_path)


def test_every_sql_file_is_a_migration_or_the_snapshot() -> None:
    stems = {path.stem for path in (ROOT / "migrations").iterdir()}
    assert stems == {migration.name for migration in migrations()} | {"schema"}
    assert all(re.fullmatch(r"\d{4}_(pre|post)_\w+", migration.name) for migration in migrations())


async def add_unknown(dsn: str, name: str) -> None:
    await changed(
        dsn,
        "insert into schema_migrations (number, name, checksum) values ($1, $2, '')",
        int(name[:4]),
        name,
    )
