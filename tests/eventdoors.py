"""A gateway whose doors can be cut: the way to its log, and the way of its clients."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
import msgspec

from nearcast_config.process import ProcessConfig
from nearcast_store import redis_keys
from tests.cables import Cable, laid
from tests.gateways import Gateway, Tenant, make_config, running_gateway


@dataclass
class Doors:
    """A gateway with a cable to its Redis, one from its clients, and a keeper with a way of its own."""

    gateway: Gateway
    tenant: Tenant
    log: Cable
    door: Cable
    channel: grpc.aio.Channel
    stop: asyncio.Event

    async def stored(self) -> int:
        """Events in the ledger."""
        async with self.gateway.pool.connection() as connection:
            found: int = await connection.fetchval(
                "select count(*) from events where tenant_id = $1", self.tenant.tenant_id
            )
        return found

    async def unfolded(self) -> int:
        """Entries of the log that the keeper has not acknowledged yet."""
        waiting = 0
        for shard in range(self.gateway.config.log.shards):
            key = redis_keys.log(self.tenant.tenant_id, shard)
            if not await self.gateway.redis.execute("EXISTS", key):
                continue
            for group in await self.gateway.redis.execute("XINFO", "GROUPS", key):
                facts = dict(zip(group[::2], group[1::2], strict=True))
                waiting += facts[b"pending"] + (facts.get(b"lag") or 0)
        return waiting

    @property
    def address(self) -> str:
        """Where clients find the gateway, through the cable."""
        return f"127.0.0.1:{self.door.port}"

    @property
    def key(self) -> str:
        return self.tenant.keys["backend"]


def patient(config: ProcessConfig, **settings: float) -> ProcessConfig:
    """A gateway that waits for a stalled Redis longer than a test takes."""
    return msgspec.structs.replace(
        config,
        redis=msgspec.structs.replace(config.redis, command_timeout_s=30.0),
        gateway=msgspec.structs.replace(config.gateway, shutdown_grace_s=5.0, **settings),
    )


@asynccontextmanager
async def doors(dsn: str, redis_url: str, **settings: float) -> AsyncIterator[Doors]:
    async with AsyncExitStack() as stack:
        log, cabled_url = await stack.enter_async_context(laid(redis_url))
        direct, stop = make_config(dsn, redis_url), asyncio.Event()
        cabled = make_config(dsn, redis_url)
        cabled = msgspec.structs.replace(
            cabled, redis=msgspec.structs.replace(cabled.redis, log_url=cabled_url)
        )
        gateway = await stack.enter_async_context(running_gateway(patient(cabled, **settings), direct, stop))
        tenant = await gateway.new_tenant(f"stream-{secrets.token_hex(4)}")
        door, address = await stack.enter_async_context(laid(f"tcp://{gateway.address}"))
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(address.removeprefix("tcp://"), options=RECONNECT)
        )
        yield Doors(gateway, tenant, log, door, channel, stop)


RECONNECT = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]
