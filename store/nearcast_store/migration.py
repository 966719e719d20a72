"""Brings a database to the schema of this version, forward only: `migrations/NNNN_{pre,post}_what.sql`.

A `pre` file runs before the code that needs it, so older processes go on working; a `post` file runs after
the last older process has gone. `python -m nearcast_store.migration snapshot DSN` rewrites the readable sum
of all of them, `migrations/schema.sql`, using a database that it makes on that server and drops again.
"""

import asyncio
import hashlib
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import asyncpg

from nearcast_store.errors import SchemaError
from nearcast_store.postgres import MIGRATE, Connection, translated
from nearcast_store.queries import queries
from nearcast_store.schema import describe

_SQL = queries("migrations")
_NAME = re.compile(r"(\d{4})_(pre|post)_[a-z0-9_]+\.sql")
_LOCK_NUMBER = 0x6E656172636173  # "nearcas": one migration at a time per database
_LOCK_WAIT_S = 30.0
_TABLE_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> bytes:
        """SHA-256 of the text: a file that was applied must never change."""
        return hashlib.sha256(self.sql.encode()).digest()


async def migrate(dsn: str, lock_wait_s: float = _LOCK_WAIT_S) -> list[str]:
    """Apply what is pending, each file in a transaction of its own; the names applied now."""
    async with _connected(dsn) as connection:
        await _lock(connection, lock_wait_s)
        await connection.execute(_SQL["create_schema_migrations"])
        todo = _pending(migrations(), await _applied(connection))
        for migration in todo:
            await _apply(connection, migration)
        return [migration.name for migration in todo]


async def pending(dsn: str) -> list[str]:
    """The names that `migrate` would apply."""
    async with _connected(dsn) as connection:
        return [migration.name for migration in _pending(migrations(), await _applied(connection))]


async def require_schema(connection: Connection) -> None:
    """Raise SchemaError unless this version of nearcast can work with the database as it is."""
    with translated():
        applied = await _applied(connection)
    known = migrations()
    _check_known(known, applied)
    unknown = [name for number, (name, _) in sorted(applied.items()) if number > len(known)]
    if any("_post_" in name for name in unknown):
        raise SchemaError(f"the database is of a newer nearcast (has {unknown[-1]}); start that version")
    missing = [migration.name for migration in known if migration.number not in applied]
    if missing:
        raise SchemaError(f"the database lacks {', '.join(missing)}; {MIGRATE}")


@cache
def migrations(folder: Path | None = None) -> Sequence[Migration]:
    """Every file in order: of the installed package, or of the checkout."""
    folder = folder or _folder()
    found = [_read(path) for path in sorted(folder.glob("*.sql")) if path.name != "schema.sql"]
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise SchemaError(f"{migration.name} should have number {expected:04}; numbers run on from 0001")
    return found


def _folder() -> Path:
    here = Path(__file__).resolve()
    for folder in (here.parent / "migrations", here.parents[2] / "migrations"):
        if folder.is_dir():
            return folder
    raise SchemaError(f"no migrations beside {here.parent}; install nearcast again")


def _read(path: Path) -> Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise SchemaError(f"{path.name} must be named NNNN_pre_what.sql or NNNN_post_what.sql")
    return Migration(int(match[1]), path.stem, path.read_text("utf-8"))


def _pending(known: Sequence[Migration], applied: Mapping[int, tuple[str, bytes]]) -> list[Migration]:
    _check_known(known, applied)
    unknown = [name for number, (name, _) in sorted(applied.items()) if number > len(known)]
    if unknown:
        raise SchemaError(
            f"the database is of a newer nearcast (has {', '.join(unknown)}); migrate with that version"
        )
    todo = [migration for migration in known if migration.number not in applied]
    if todo and applied and todo[0].number < max(applied):
        raise SchemaError(
            f"{todo[0].name} was never applied, yet later ones were; restore schema_migrations from a backup"
        )
    return todo


def _check_known(known: Sequence[Migration], applied: Mapping[int, tuple[str, bytes]]) -> None:
    for migration in known:
        name, checksum = applied.get(migration.number, (migration.name, migration.checksum))
        if (name, checksum) != (migration.name, migration.checksum):
            raise SchemaError(
                f"{migration.name} is not what was applied as {name}: a migration never changes once it is"
                " applied; restore the file, or install the version of nearcast that it came with"
            )


async def _applied(connection: Connection) -> dict[int, tuple[str, bytes]]:
    if not await connection.fetchval(_SQL["has_schema_migrations"]):
        return {}
    rows = await connection.fetch(_SQL["list_schema_migrations"])
    return {row["number"]: (row["name"], row["checksum"]) for row in rows}


async def _apply(connection: Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                _SQL["add_schema_migration"], migration.number, migration.name, migration.checksum
            )
    except asyncpg.LockNotAvailableError as error:
        raise SchemaError(
            f"{migration.name} waited {_TABLE_WAIT_S:.0f} s for a busy table and gave way; {MIGRATE} again"
        ) from error
    except asyncpg.SyntaxOrAccessError as error:
        raise SchemaError(f"{migration.name} failed and left nothing behind: {error}") from error


async def _lock(connection: Connection, wait_s: float) -> None:
    await connection.execute(_SQL["set_lock_timeout"], f"{int(wait_s * 1000)}ms")
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK_NUMBER)
    except asyncpg.LockNotAvailableError as error:
        raise SchemaError(
            f"another process has been migrating this database for over {wait_s:g} s; wait for it or end it"
        ) from error
    await connection.execute(_SQL["set_lock_timeout"], f"{int(_TABLE_WAIT_S * 1000)}ms")


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    """A connection of its own, without a statement timeout: a migration takes what it takes."""
    with translated():
        connection = await asyncpg.connect(
            dsn, timeout=10.0, server_settings={"application_name": "nearcast migrate"}
        )
        try:
            yield connection
        finally:
            await connection.close(timeout=5.0)


async def snapshot(dsn: str) -> str:
    """The readable sum of all migrations, made in a database of its own on that server."""
    name = f"nearcast_snapshot_{secrets.token_hex(4)}"
    with translated():
        server = await asyncpg.connect(dsn, timeout=10.0)
        try:
            await server.execute(f"create database {name} template template0")
            connection = await asyncpg.connect(dsn, database=name, timeout=10.0)
            try:
                for migration in migrations():
                    await connection.execute(migration.sql)
                return await describe(connection)
            finally:
                await connection.close(timeout=5.0)
        finally:
            await server.execute(f"drop database if exists {name}")
            await server.close(timeout=5.0)


def main(arguments: Sequence[str]) -> int:
    """Write the snapshot."""
    if len(arguments) != 2 or arguments[0] != "snapshot":
        sys.stderr.write("usage: python -m nearcast_store.migration snapshot DSN\n")
        return 2
    (_folder() / "schema.sql").write_text(asyncio.run(snapshot(arguments[1])), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
