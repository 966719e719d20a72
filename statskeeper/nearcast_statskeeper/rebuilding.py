"""Building the index of every tenant from nothing, out of what Postgres holds."""

from collections.abc import Callable

from nearcast_statskeeper.relaying import IndexWriter, refill
from nearcast_store.changes.protocol import ChangeFeed
from nearcast_store.relay.applying import StaleRelayError
from nearcast_store.tenants.protocol import TenantStore

ATTEMPTS = 5


async def rebuild_redis(
    feed: ChangeFeed, writer: IndexWriter, tenants: TenantStore, tell: Callable[[str], None]
) -> int:
    """Refill all tenants; how many. `tell` hears the slug of each that is done. Raises StoreError.

    It may run beside a keeper: whoever moves an index first wins, and the other one begins again.
    """
    everyone = await tenants.tenants()
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
