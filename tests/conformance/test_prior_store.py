"""What every store of fitted priors does, in memory and in Postgres."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_store.errors import DataRefusedError
from nearcast_store.postgres import open_pool
from nearcast_store.priors.memory import MemoryPriorStore
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.conftest import FixedClock

FITTED_AT = 1_790_000_000.25


@dataclass(slots=True)
class World:
    """Two stores over the same fits, as two processes have them, and two tenants."""

    store: MemoryPriorStore | PostgresPriorStore
    elsewhere: MemoryPriorStore | PostgresPriorStore
    tenant: int
    other: int

    def fit(self, number: int = 1, mean: float = 0.05) -> PriorFit:
        priors = {
            kind: {
                EVERYWHERE: level_prior(mean, Level.ALL),
                (0, None): level_prior(mean / 2, Level.MARKET),
                (0, ""): level_prior(mean / 3, Level.CATEGORY, FitKind.TOO_LITTLE),
                (7, "søm"): level_prior(mean / 7, Level.CATEGORY, FitKind.GREATEST_STRENGTH),
            }
            for kind in (2, 4)
        }
        return PriorFit(self.tenant, number, b"basis", FITTED_AT + number, priors)


def level_prior(mean: float, level: Level, kind: FitKind = FitKind.FITTED) -> LevelPrior:
    return LevelPrior(Prior(mean, 0.1 + 1 / 3), level, kind, 12, 345.6, 7.8, 0.9)


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def world(dsn: str | None, clock: FixedClock) -> AsyncIterator[World]:
    if dsn is None:
        store = MemoryPriorStore()
        yield World(store, store, 1, 2)
        return
    pool = await open_pool(dsn, size=4, timeout_s=10.0)
    tenants = PostgresTenantStore(pool, clock)
    one, two = await tenants.ensure_tenant("one", ""), await tenants.ensure_tenant("two", "")
    yield World(PostgresPriorStore(pool), PostgresPriorStore(pool), one, two)
    await pool.close()


async def test_there_is_no_fit_before_the_first(world: World) -> None:
    assert await world.store.latest(world.tenant) is None


async def test_a_fit_is_read_as_it_was_published(world: World) -> None:
    fit = world.fit()
    await world.store.publish(fit)
    assert await world.elsewhere.latest(world.tenant) == fit


async def test_the_fit_with_the_highest_number_is_in_force(world: World) -> None:
    await world.store.publish(world.fit(1, mean=0.05))
    assert await world.elsewhere.latest(world.tenant) == world.fit(1, mean=0.05)
    await world.store.publish(world.fit(3, mean=0.3))
    assert await world.elsewhere.latest(world.tenant) == world.fit(3, mean=0.3)


async def test_a_fit_that_did_not_change_is_the_same_object(world: World) -> None:
    await world.store.publish(world.fit())
    assert await world.elsewhere.latest(world.tenant) is await world.elsewhere.latest(world.tenant)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_number_that_is_not_new_is_refused_and_changes_nothing(world: World, number: int) -> None:
    await world.store.publish(world.fit(2))
    with pytest.raises(DataRefusedError):
        await world.store.publish(world.fit(number, mean=0.4))
    assert await world.elsewhere.latest(world.tenant) == world.fit(2)


async def test_a_fit_to_nothing_may_hold_no_kind(world: World) -> None:
    fit = replace(world.fit(), priors={})
    await world.store.publish(fit)
    assert await world.elsewhere.latest(world.tenant) == fit


async def test_a_tenant_sees_only_its_own_fits(world: World) -> None:
    await world.store.publish(world.fit())
    assert await world.store.latest(world.other) is None
    await world.store.publish(replace(world.fit(), tenant_id=world.other, basis=b"other"))
    assert await world.elsewhere.latest(world.tenant) == world.fit()
