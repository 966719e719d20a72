"""The keeper's sign of life: gateways say KEEPER_DOWN in their answers when it is missing."""

from collections.abc import Awaitable, Callable

from nearcast_statskeeper.pacing import Clock
from nearcast_store.tenants.protocol import TenantStore

PROCESS = "keeper"
INTERVAL_S = 1.0


def heartbeat(tenants: TenantStore, clock: Clock) -> Callable[[], Awaitable[bool]]:
    """A step that gives one sign of life."""

    async def step() -> bool:
        await tenants.beat(PROCESS, clock())
        return False

    return step
