"""How far the index is behind what was imported."""

import asyncio
import time

import asyncpg
from redis.asyncio import Redis

from benchmarks.events.house import House
from nearcast_store import redis_keys

LOOK_EVERY_S = 0.1


async def carried(
    house: House, connection: "asyncpg.Connection[asyncpg.Record]", redis: Redis, since: float
) -> float:
    """Return once all that was committed is in Redis; the seconds since then."""
    while await _behind(house, connection, redis):  # noqa: ASYNC110 - Redis and Postgres tell nobody
        await asyncio.sleep(LOOK_EVERY_S)
    return time.perf_counter() - since


async def _behind(house: House, connection: "asyncpg.Connection[asyncpg.Record]", redis: Redis) -> int:
    known = await connection.fetchval(
        "select (select count(*) from outbox where tenant_id = $1)"
        " + coalesce((select last_sequence from change_sequences where tenant_id = $1), 0)",
        house.tenant_id,
    )
    return int(known) - int(await redis.get(redis_keys.position(house.tenant_id)) or 0)
