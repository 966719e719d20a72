"""Every named query fits the schema, and none is left unused."""

import re
from pathlib import Path

import asyncpg
import pytest

from nearcast_store.queries import nouns, queries

STORE = Path(__file__).parents[2] / "store" / "nearcast_store"
NAMED = [(noun, name) for noun in nouns() for name in queries(noun)]


async def test_every_query_can_be_prepared(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(queries("events")["create_staged_events"])
        for table in ("item_corrections", "total_differences", "total_corrections", "wrong_trials"):
            await connection.execute(queries("rebuild")[f"create_{table}"])
        for noun, name in NAMED:
            try:
                await connection.prepare(queries(noun)[name])
            except asyncpg.PostgresError as error:
                pytest.fail(f"sql/{noun}.sql: {name}: {error}")
    finally:
        await connection.close()


def test_every_query_is_used() -> None:
    code = "\n".join(path.read_text("utf-8") for path in STORE.rglob("*.py"))
    unused = [f"{noun}.{name}" for noun, name in NAMED if f'"{name}"' not in code]
    assert not unused


def test_every_query_that_is_used_exists() -> None:
    names = {name for _, name in NAMED}
    for path in STORE.rglob("*.py"):
        used = re.findall(r'_[A-Z]+\["(\w+)"\]', path.read_text("utf-8"))
        assert set(used) <= names, path
