"""A database's schema as text: the same for the same schema on every supported version of Postgres."""

from asyncpg import Record

from nearcast_store.postgres import Connection, translated
from nearcast_store.queries import queries

_SQL = queries("schema")
_HEAD = (
    "-- The database today: the sum of all migrations, written by the machine. Change those, never this.\n"
)


async def describe(connection: Connection) -> str:
    """Tables with columns, constraints, indexes and triggers; sequences; functions."""
    with translated():
        parts = [_HEAD]
        for relation in await connection.fetch(_SQL["list_relations"]):
            if relation["kind"] == "S":
                parts.append(f"create sequence {relation['name']};\n")
            else:
                parts.append(
                    await _table(connection, relation["oid"], relation["name"], relation["partition_key"])
                )
        parts += [f"{row['definition']};\n" for row in await connection.fetch(_SQL["list_functions"])]
    return "\n".join(parts)


async def _table(connection: Connection, oid: int, name: str, partition_key: str | None) -> str:
    columns = await connection.fetch(_SQL["list_columns"], oid)
    constraints = await connection.fetch(_SQL["list_constraints"], oid)
    added = await connection.fetch(_SQL["list_indexes"], oid) + await connection.fetch(
        _SQL["list_triggers"], oid
    )
    lines = [_column(row) for row in columns]
    lines += [f"constraint {row['name']} {row['definition']}" for row in constraints]
    body = ",\n".join(f"    {line}" for line in lines)
    split = f" partition by {partition_key}" if partition_key else ""
    return "\n".join(
        [f"create table {name} (\n{body}\n){split};", *(f"{row['definition']};" for row in added), ""]
    )


def _column(row: Record) -> str:
    words = [row["name"], row["type"]]
    if row["collation_name"]:
        words.append(f'collate "{row["collation_name"]}"')
    if row["required"]:
        words.append("not null")
    if row["identity"]:
        words.append(f"generated {'always' if row['identity'] == 'a' else 'by default'} as identity")
    if row["computed"]:
        words.append(f"generated always as ({row['default_value']}) stored")
    elif row["default_value"] is not None:
        words.append(f"default {row['default_value']}")
    return " ".join(words)
