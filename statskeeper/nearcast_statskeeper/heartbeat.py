"""The keeper's sign of life: gateways say KEEPER_DOWN in their answers when it is missing."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.tally import Tally
from nearcast_store.tenants.protocol import TenantStore

PROCESS = "keeper"
INTERVAL_S = 0.5


class Worker(Protocol):
    """Whose life it is: counts the turns in which it did its work, and knows how far it has come."""

    turns: Tally
    fresh_at: float | None


def heartbeat(tenants: TenantStore, worker: Worker, clock: Clock) -> Callable[[], Awaitable[bool]]:
    """A step that gives a sign of life if there was a turn since the last one."""
    told = 0

    async def step() -> bool:
        nonlocal told
        turns, fresh_at = worker.turns.count, worker.fresh_at
        if turns > told and fresh_at is not None:
            await tenants.beat(PROCESS, clock(), fresh_at)
            told = turns
        return False

    return step
