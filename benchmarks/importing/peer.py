"""What everything is measured against: COPY of the very same rows into the same table."""

import time
from pathlib import Path

import asyncpg

from benchmarks.events.house import House
from benchmarks.events.usage import cpu_s

COLUMNS = (
    "tenant_id, item_id, posting, version, etag, body, market, born_at, updated_at, expires_at, deleted_at"
)


async def copy(
    house: House, connection: "asyncpg.Connection[asyncpg.Record]", path: Path
) -> tuple[float, float]:
    """Seconds, and seconds of Postgres's processor time; one transaction, its commit on the disk."""
    names = [name.strip() for name in COLUMNS.split(",")]
    tenant_id = await connection.fetchval(
        "insert into tenants (slug, display_name) values ('copied', 'Copied') returning tenant_id"
    )
    with path.open("wb") as out:
        await connection.copy_from_query(
            f"select {tenant_id}, {', '.join(names[1:])} from items where tenant_id = {house.tenant_id}",
            output=out,
            format="binary",
        )
    pids = house.server_pids["postgres"]
    used, began = sum(cpu_s(pid) for pid in pids), time.perf_counter()
    with path.open("rb") as rows:
        await connection.copy_to_table("items", source=rows, columns=names, format="binary")
    return time.perf_counter() - began, sum(cpu_s(pid) for pid in pids) - used
