"""A round through all tenants: they are independent, so one whose turn fails stops no other."""

from collections.abc import Awaitable, Callable

from nearcast_statskeeper.jobs.schedule import Run
from nearcast_statskeeper.roster import Roster
from nearcast_store.errors import StoreUnavailableError

Turn = Callable[[int], Awaitable[bool]]
"""Does what is due for a tenant; whether something was."""

Complaint = Callable[[Exception, int], None]
"""Tells of a tenant's fault."""


def round_of(roster: Roster, done: str, turn: Turn, complain: Complaint) -> Run:
    """What a job runs; it tells how many were `done`. A fault that lasts is complained of once."""
    told: dict[int, str] = {}

    async def run() -> dict[str, object]:
        number = 0
        for tenant_id in await roster.tenant_ids():
            try:
                number += await turn(tenant_id)
                told.pop(tenant_id, None)
            except StoreUnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a tenant has set or counted, and each fault is told
                if told.get(tenant_id) != repr(error):
                    told[tenant_id] = repr(error)
                    complain(error, tenant_id)
        return {done: number} if number else {}

    return run
