"""Building anew out of what Postgres holds: the index of every tenant, and the counts of events."""

from collections.abc import Callable

from nearcast_statskeeper.relaying import IndexWriter, refill
from nearcast_store.changes.protocol import ChangeFeed
from nearcast_store.counting.correcting import Corrected, correct_counts
from nearcast_store.leases import try_lease
from nearcast_store.postgres import Pool
from nearcast_store.relay.applying import StaleRelayError
from nearcast_store.tenants.protocol import TenantStore

ATTEMPTS = 5


async def rebuild_redis(
    feed: ChangeFeed, writer: IndexWriter, tenants: TenantStore, tell: Callable[[str], None]
) -> int:
    """Refill all tenants; how many. `tell` hears the slug of each that is done. Raises StoreError.

    It may run beside a keeper: whoever moves an index first wins, and the other one begins again.
    """
    everyone = await tenants.everyone()
    for tenant_id, slug in everyone:
        await _refill_beside_a_relay(feed, writer, tenant_id)
        tell(slug)
    return len(everyone)


async def _refill_beside_a_relay(feed: ChangeFeed, writer: IndexWriter, tenant_id: int) -> None:
    for left in reversed(range(ATTEMPTS)):
        try:
            await refill(feed, writer, tenant_id)
        except StaleRelayError:
            if not left:
                raise
        else:
            return


class RebuildRunsError(Exception):
    """Another rebuild of the counts runs already; nothing was changed."""


async def rebuild_stats(dsn: str, pool: Pool, tenant_id: int | None = None) -> Corrected:
    """Count one tenant or all again and correct what differs; keepers may fold meanwhile.

    Raises StoreError, RebuildRunsError.
    """
    lease = await try_lease(dsn, "rebuild stats")
    if lease is None:
        raise RebuildRunsError(RebuildRunsError.__doc__)
    try:
        return await correct_counts(pool, tenant_id)
    finally:
        await lease.release()
