"""Which shards of the log there are, whatever number is set here: what anybody wrote is read to its end."""

from collections.abc import Sequence

from redis.asyncio import Redis

from nearcast_store import redis_keys
from nearcast_store.connection import Command
from nearcast_store.redis_client import run_all

MOST_SHARDS = 64


async def count_shards(redis: Redis, tenant_ids: Sequence[int], known: int) -> int:
    """The known number, or as many more as any of these tenants has a stream for. Raises RedisError.

    A stream stays when its entries go, so a shard that was ever written to is found.
    """
    if not tenant_ids:
        return known
    beyond = range(known, MOST_SHARDS)
    looks: list[Command] = [
        ("EXISTS", *(redis_keys.log(tenant_id, shard) for tenant_id in tenant_ids)) for shard in beyond
    ]
    found = await run_all(redis, looks)
    return max((shard + 1 for shard, there in zip(beyond, found, strict=True) if there), default=known)
