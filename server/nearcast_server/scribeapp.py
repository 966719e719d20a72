"""The scribe: one process per host that writes the replicas all gateways of the host read."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_replica.files import Files
from nearcast_server.following import Following, Regional
from nearcast_server.placement import files_of
from nearcast_server.rpc.items import DISPLAY_FORMAT, painted
from nearcast_server.scribing import Memory, Rules, TenantScribe
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.index.following import IndexFollower
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_telemetry.logs import logger
from nearcast_telemetry.pacing import pause

TENANTS_EVERY_S = 1.0
_POOL = 2
log = logger("scribe")


async def run_scribe(
    config: ProcessConfig, stop: asyncio.Event, *, first_policy: Policy | None = None
) -> None:
    """Write every tenant's replica until told to stop."""
    async with AsyncExitStack() as stack:
        pool = await open_pool(config.postgres.dsn, _POOL, config.postgres.command_timeout_s)
        stack.push_async_callback(pool.close)
        connection = RedisConnection(config.redis.geo_url, command_timeout_s=config.redis.command_timeout_s)
        stack.push_async_callback(connection.close)
        make = _maker(config, pool, connection, first_policy)
        log.info("scribe.ready")
        async with asyncio.TaskGroup() as tasks:
            await _begin_each(PostgresTenantStore(pool), make, tasks, stop)
    log.info("scribe.stopped")


async def _begin_each(
    tenants: PostgresTenantStore,
    make: Callable[[int], TenantScribe],
    tasks: asyncio.TaskGroup,
    stop: asyncio.Event,
) -> None:
    begun: set[int] = set()
    while not stop.is_set():
        with suppress(StoreUnavailableError, TimeoutError):
            for tenant_id, _ in await tenants.tenants():
                if tenant_id not in begun:
                    begun.add(tenant_id)
                    tasks.create_task(make(tenant_id).run(stop))
        await pause(stop, TENANTS_EVERY_S)


def _maker(
    config: ProcessConfig, pool: Pool, connection: RedisConnection, first_policy: Policy | None
) -> Callable[[int], TenantScribe]:
    place: Callable[[int], Files] = files_of(config)
    memory = Memory(config.replica.memory_mib << 20)
    rules = Rules(DISPLAY_FORMAT, config.gateway.refresh_interval_s, config.replica.restate_s)
    policies, counts = PostgresPolicyStore(pool, first=first_policy), PostgresCountStore(pool)
    regional = Regional(
        PostgresMarketStore(pool),
        PostgresPriorStore(pool),
        curves=PostgresCurveStore(pool),
        experiments=PostgresExperimentStore(pool),
        places_people=False,
    )

    def make(tenant_id: int) -> TenantScribe:
        return TenantScribe(
            place(tenant_id),
            IndexFollower(connection),
            Following(tenant_id, policies, counts, time.time, regional),
            lambda served: painted(served, None),
            memory,
            rules,
            time.time,
        )

    return make
