"""What commands about counted events work on: the ledger in Postgres, the log in Redis."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast_cli.finding import Database, require_dsn, require_redis
from nearcast_cli.operating import STATEMENT_S, Records, check_schema, records_on
from nearcast_store.log.auditing import RedisLogAudit
from nearcast_store.log.opening import open_event_log
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.redis_client import open_client

if TYPE_CHECKING:
    from nearcast_config.process import ProcessConfig


@dataclass(frozen=True, slots=True)
class Ledger:
    """A database whose schema fits, and the tenants in it."""

    pool: Pool
    records: Records

    async def tenants(self, slug: str | None) -> Sequence[tuple[int, str]]:
        """The tenant of that name, or all of them; CommandFailedError names those that exist."""
        if slug is None:
            return await self.records.tenants.everyone()
        return [(await self.records.tenant_id(slug), slug)]

    async def tenant_id(self, slug: str | None) -> int | None:
        """The number of the tenant; None stands for all."""
        return None if slug is None else await self.records.tenant_id(slug)


def with_redis(database: Database, redis_url: str | None) -> "ProcessConfig":
    """The settings with both stores; CommandFailedError says how to name what is missing."""
    process = database.process({"redis.geo_url": redis_url})
    require_dsn(process, database.state)
    require_redis(process)
    return process


@asynccontextmanager
async def open_ledger(dsn: str) -> AsyncIterator[Ledger]:
    """Closed at the end."""
    pool = await open_pool(dsn, 2, STATEMENT_S, "nearcast cli")
    try:
        await check_schema(pool)
        yield Ledger(pool, records_on(pool))
    finally:
        await pool.close()


@asynccontextmanager
async def open_audit(process: "ProcessConfig") -> AsyncIterator[RedisLogAudit]:
    """The log as an auditor sees it."""
    client = open_client(process.redis.log_url or process.redis.geo_url)
    try:
        yield RedisLogAudit(client, process.log.shards)
    finally:
        await client.aclose()


@asynccontextmanager
async def open_log(process: "ProcessConfig") -> AsyncIterator[RedisEventLog]:
    """The log as a gateway appends to it, with the durability that is set."""
    async with AsyncExitStack() as stack:
        _, log = open_event_log(process, stack)
        yield log
