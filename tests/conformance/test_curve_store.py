"""What every store of position curves does, in memory and in Postgres."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from nearcast_bandit.curvefitting import PlaceShare
from nearcast_store.curves.memory import MemoryCurveStore
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.curves.protocol import CurveFit, CurveStore, Look
from nearcast_store.errors import DataRefusedError
from nearcast_store.postgres import open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.conftest import FixedClock

PLACES = (PlaceShare(1, 100, 30, 1.0), PlaceShare(2, 90, 9, 1 / 3))


@dataclass(frozen=True, slots=True)
class World:
    store: CurveStore
    elsewhere: CurveStore
    tenant: int
    other: int

    def fit(self, number: int = 1, tenant: int = 0) -> CurveFit:
        return CurveFit(tenant or self.tenant, number, 1_790_000_000.25 + number, (1.0, 1 / 3), PLACES)

    def look(self, reason: str = "", tenant: int = 0) -> Look:
        return Look(tenant or self.tenant, 1_790_000_000.5, b"basis", reason)


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def world(dsn: str | None, clock: FixedClock) -> AsyncIterator[World]:
    if dsn is None:
        store = MemoryCurveStore()
        yield World(store, store, 1, 2)
        return
    pool = await open_pool(dsn, size=2, timeout_s=10.0)
    tenants = PostgresTenantStore(pool, clock)
    one, two = await tenants.ensure_tenant("one", ""), await tenants.ensure_tenant("two", "")
    yield World(PostgresCurveStore(pool), PostgresCurveStore(pool), one, two)
    await pool.close()


async def test_a_curve_is_read_as_it_was_published_with_the_look_it_came_of(world: World) -> None:
    assert await world.store.latest(world.tenant) is None
    assert await world.store.look(world.tenant) is None
    await world.store.publish(world.look(), world.fit())
    assert await world.elsewhere.latest(world.tenant) == world.fit()
    assert await world.elsewhere.look(world.tenant) == world.look()


async def test_a_look_that_found_too_little_leaves_the_curve(world: World) -> None:
    await world.store.publish(world.look(), world.fit())
    await world.store.publish(world.look("too little"), None)
    assert await world.elsewhere.latest(world.tenant) == world.fit()
    assert await world.elsewhere.look(world.tenant) == world.look("too little")


@pytest.mark.parametrize("number", [1, 2])
async def test_a_number_that_is_not_new_is_refused_and_changes_nothing(world: World, number: int) -> None:
    await world.store.publish(world.look(), world.fit(2))
    with pytest.raises(DataRefusedError):
        await world.store.publish(world.look("other"), replace(world.fit(number), shares=(1.0, 0.1)))
    assert await world.elsewhere.latest(world.tenant) == world.fit(2)
    assert await world.elsewhere.look(world.tenant) == world.look()


async def test_a_tenant_sees_only_its_own_curves(world: World) -> None:
    await world.store.publish(world.look(), world.fit())
    assert await world.store.latest(world.other) is None
    assert await world.store.look(world.other) is None
    await world.store.publish(world.look(tenant=world.other), world.fit(7, world.other))
    assert await world.elsewhere.latest(world.tenant) == world.fit()
