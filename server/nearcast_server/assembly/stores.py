"""Every adapter of the gateway, opened in one place."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.connection import RedisConnection
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.log.opening import open_event_log
from nearcast_store.log.redis import RedisEventLog
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.preflight.finding import Store
from nearcast_store.tenants.postgres import PostgresTenantStore


@dataclass(frozen=True, slots=True)
class Stores:
    """Every adapter of the gateway."""

    pool: Pool
    index: RedisConnection
    log: RedisConnection
    events: RedisEventLog
    catalog: PostgresCatalogStore
    counts: PostgresCountStore
    policies: PostgresPolicyStore
    tenants: PostgresTenantStore
    markets: PostgresMarketStore
    experiments: PostgresExperimentStore

    async def renew(self, store: Store) -> None:
        """Connections that were made while a role was unsafe stay so until they are replaced."""
        if store == "postgres":
            await self.pool.renew()


async def open_stores(config: ProcessConfig, stack: AsyncExitStack, first_policy: Policy | None) -> Stores:
    """They are closed with the stack; a tenant without a policy gets the first one."""
    pool = await open_pool(config.postgres.dsn, config.postgres.pool_size, config.postgres.command_timeout_s)
    stack.push_async_callback(pool.close)
    index = RedisConnection(config.redis.geo_url, command_timeout_s=config.redis.command_timeout_s)
    stack.push_async_callback(index.close)
    event_connection, events = open_event_log(config, stack)
    markets = PostgresMarketStore(pool)
    return Stores(
        pool,
        index,
        event_connection,
        events,
        PostgresCatalogStore(pool, markets),
        PostgresCountStore(pool),
        PostgresPolicyStore(pool, first=first_policy),
        PostgresTenantStore(pool),
        markets,
        PostgresExperimentStore(pool),
    )
