"""Rounds through all tenants."""

import pytest

from nearcast_statskeeper.jobs.rounds import round_of
from nearcast_statskeeper.roster import Roster
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.tenants.memory import MemoryTenantStore


def clock() -> float:
    return 1_000_000.0


async def roster_of(tenants: int) -> tuple[Roster, list[int]]:
    store = MemoryTenantStore(clock)
    numbers = [await store.ensure_tenant(f"tenant-{number}", "") for number in range(tenants)]
    return Roster(store, MemoryPolicyStore(clock), clock), numbers


async def test_a_fault_of_one_tenant_stops_no_other_and_is_told_once_while_it_lasts() -> None:
    roster, (first, second, third) = await roster_of(3)
    fault, told = ["bad"], list[tuple[int, str]]()

    async def turn(tenant_id: int) -> bool:
        if tenant_id == second and fault:
            raise ValueError(fault[0])
        return tenant_id != third

    run = round_of(roster, "done", turn, lambda error, tenant_id: told.append((tenant_id, str(error))))
    for now in (["bad"], ["bad"], ["worse"], [], ["worse"]):
        fault[:] = now
        assert await run() == {"done": 1 if now else 2}
    assert told == [(second, "bad"), (second, "worse"), (second, "worse")]
    assert first != second


async def test_a_round_with_nothing_to_do_has_nothing_to_say() -> None:
    roster, _ = await roster_of(2)

    async def turn(_: int) -> bool:
        return False

    assert await round_of(roster, "done", turn, lambda *_: None)() == {}


async def test_a_store_that_is_away_ends_the_round() -> None:
    roster, _ = await roster_of(2)

    async def turn(_: int) -> bool:
        raise StoreUnavailableError("Postgres does not answer")

    with pytest.raises(StoreUnavailableError):
        await round_of(roster, "done", turn, lambda *_: None)()
