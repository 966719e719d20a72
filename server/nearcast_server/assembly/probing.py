"""Which stores answer, asked on a beat, and which services cannot do without them."""

import asyncio

from nearcast_server.assembly.stores import Stores
from nearcast_server.candidates import Candidates
from nearcast_server.health import Needs, Probe
from nearcast_server.refreshing import Refresher
from nearcast_store.connection import RedisConnection, RedisDownError, RedisReplyError
from nearcast_store.errors import StoreError
from nearcast_store.postgres import Pool
from nearcast_store.preflight.finding import Store
from nearcast_store.preflight.inspection import Preflight

PROBE_EVERY_S = 1.0


def needs() -> tuple[Needs, ...]:
    """By service, what it cannot do without."""
    return (
        Needs("nearcast.v1.CatalogService", ("postgres", "tenants")),
        Needs("nearcast.v1.RecommendService", ("candidates", "tenants")),
        Needs("nearcast.v1.EventService", ("log", "tenants")),
        Needs("nearcast.v1.StatsService", ("postgres", "tenants")),
        Needs("nearcast.v1.AdminService", ("postgres", "tenants")),
    )


def probes(
    stores: Stores, refresher: Refresher, preflight: Preflight, sources: Candidates
) -> dict[str, Probe]:
    """By what services need, whether it can be used now; a store that is unsafe cannot."""

    def safe(store: Store, answers: Probe) -> Probe:
        async def probe() -> bool:
            return await answers() and not preflight.trouble(store)

        return probe

    return {
        "postgres": safe("postgres", lambda: _postgres_answers(stores.pool)),
        "candidates": safe("geo", lambda: _has_candidates(stores.index, sources)),
        "log": safe("log", lambda: _takes_events(stores)),
        "tenants": lambda: _have_been_read(refresher),
    }


async def _postgres_answers(pool: Pool) -> bool:
    try:
        async with asyncio.timeout(PROBE_EVERY_S), pool.connection() as connection:
            return bool(await connection.fetchval("select true"))
    except (StoreError, TimeoutError):
        return False


async def _has_candidates(index: RedisConnection, sources: Candidates) -> bool:
    return await _redis_answers(index) or sources.are_warm()


async def _takes_events(stores: Stores) -> bool:
    return stores.events.alive and await _redis_answers(stores.log)


async def _have_been_read(refresher: Refresher) -> bool:
    return refresher.read_once


async def _redis_answers(connection: RedisConnection) -> bool:
    try:
        return await connection.execute("PING") is not None
    except (RedisDownError, RedisReplyError):
        return False
