"""What every store of tenants and keys does, in memory and in Postgres."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import pytest

from nearcast_store.errors import DataRefusedError
from nearcast_store.postgres import open_pool
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_store.tenants.postgres import PostgresTenantStore
from nearcast_store.tenants.protocol import Beat, Role
from tests.conftest import FixedClock

Store = MemoryTenantStore | PostgresTenantStore


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def store(dsn: str | None, clock: FixedClock) -> AsyncIterator[Store]:
    if dsn is None:
        yield MemoryTenantStore(clock)
        return
    pool = await open_pool(dsn, size=4, timeout_s=10.0)
    yield PostgresTenantStore(pool, clock)
    await pool.close()


async def test_a_tenant_is_made_once(store: Store) -> None:
    numbers = await asyncio.gather(*(store.ensure_tenant("dev", f"Dev {n}") for n in range(6)))
    other = await store.ensure_tenant("0-other", "")
    assert len(set(numbers)) == 1
    assert await store.tenants() == [(numbers[0], "dev"), (other, "0-other")]


@pytest.mark.parametrize("slug", ["", "-a", "A", "a b", "å", "a" * 64, "a\n"])
async def test_a_slug_that_cannot_name_a_tenant_is_refused(store: Store, slug: str) -> None:
    with pytest.raises(ValueError, match="slug has 1 to 63"):
        await store.ensure_tenant(slug, "")


@pytest.mark.parametrize("role", ["client", "backend", "operator"])
async def test_a_key_stands_for_its_tenant_and_role(store: Store, role: Role, clock: FixedClock) -> None:
    tenant = await store.ensure_tenant("dev", "Dev")
    key, info = await store.create_key(tenant, role, "a label", None)
    assert key.startswith(f"nc_{role[0]}")
    assert key.startswith(info.prefix + "_")
    assert len(key) - len(info.prefix) > 43
    assert (info.tenant, info.role, info.label) == ("dev", role, "a label")
    assert (info.created_at, info.expires_at, info.revoked_at) == (clock(), None, None)
    caller = await store.caller(key)
    assert caller is not None
    assert (caller.tenant_id, caller.tenant, caller.role) == (tenant, "dev", role)
    assert (caller.key_id, caller.suspended, caller.expires_at) == (info.key_id, False, None)
    assert list(await store.keys(tenant)) == [info]


async def test_only_the_whole_key_is_known(store: Store) -> None:
    tenant = await store.ensure_tenant("dev", "Dev")
    key, info = await store.create_key(tenant, "client", "", None)
    for wrong in (
        "",
        info.prefix,
        key[:-1],
        key + "a",
        key.upper(),
        f" {key}",
        "\ud800",
        "\x00",
        "x" * 10_000,
    ):
        assert await store.caller(wrong) is None


async def test_keys_differ_and_belong_to_one_tenant(store: Store) -> None:
    one, two = await store.ensure_tenant("one", ""), await store.ensure_tenant("two", "")
    made = [await store.create_key(tenant, "client", "", None) for tenant in (one, two, one)]
    assert len({key for key, _ in made}) == 3
    assert [info.key_id for info in await store.keys(one)] == [made[0][1].key_id, made[2][1].key_id]
    assert not await store.revoke_key(two, made[0][1].key_id)
    assert await store.caller(made[0][0]) is not None


async def test_an_expired_key_stands_for_nobody(store: Store, clock: FixedClock) -> None:
    tenant = await store.ensure_tenant("dev", "Dev")
    key, info = await store.create_key(tenant, "client", "", clock() + 10)
    assert info.expires_at == clock() + 10
    clock.advance(9)
    caller = await store.caller(key)
    assert caller is not None
    assert caller.expires_at == info.expires_at
    clock.advance(1)
    assert await store.caller(key) is None


async def test_a_revoked_key_stands_for_nobody(store: Store, clock: FixedClock) -> None:
    tenant = await store.ensure_tenant("dev", "Dev")
    key, info = await store.create_key(tenant, "client", "", None)
    revoked_at = clock()
    assert await store.revoke_key(tenant, info.key_id)
    clock.advance(60)
    assert await store.revoke_key(tenant, info.key_id)
    assert await store.caller(key) is None
    assert [kept.revoked_at for kept in await store.keys(tenant)] == [revoked_at]
    assert not await store.revoke_key(tenant, info.key_id + 1)


async def test_a_key_needs_a_tenant_and_a_known_role(store: Store) -> None:
    with pytest.raises(DataRefusedError):
        await store.create_key(99, "client", "", None)
    with pytest.raises(ValueError, match="client, backend, operator, got 'admin'"):
        await store.create_key(1, cast("Any", "admin"), "", None)


async def test_the_origin_stays_while_the_server_runs(store: Store) -> None:
    first = await store.origin()
    await store.beat("keeper", 1.0, 1.0)
    assert await store.origin() == first != ""


async def test_a_beat_never_goes_back(store: Store) -> None:
    assert await store.last_beat("keeper") is None
    for now, fresh_at in ((100.5, 90.0), (200.25, 80.5), (150.0, 150.0)):
        await store.beat("keeper", now, fresh_at)
    assert await store.last_beat("keeper") == Beat(200.25, 80.5)
    await store.beat("keeper", 200.25, 81.0)
    assert await store.last_beat("keeper") == Beat(200.25, 81.0)
    assert await store.last_beat("other") is None


async def test_a_suspended_tenant_is_not_listed_and_its_callers_are_marked(database: str) -> None:
    pool = await open_pool(database, size=1, timeout_s=10.0)
    store = PostgresTenantStore(pool, FixedClock())
    tenant = await store.ensure_tenant("dev", "Dev")
    key, _ = await store.create_key(tenant, "client", "", None)
    async with pool.connection() as connection:
        await connection.execute("update tenants set suspended_at = now()")
    caller = await store.caller(key)
    assert caller is not None
    assert caller.suspended
    assert await store.tenants() == []
    await pool.close()


async def test_no_part_of_a_secret_is_kept(database: str) -> None:
    pool = await open_pool(database, size=1, timeout_s=10.0)
    store = PostgresTenantStore(pool, FixedClock())
    key, info = await store.create_key(await store.ensure_tenant("dev", ""), "client", "", None)
    await pool.close()
    connection = await asyncpg.connect(database)
    row = await connection.fetchval("select api_keys::text from api_keys")
    await connection.close()
    assert info.prefix in row
    assert key.removeprefix(info.prefix + "_")[:6] not in row
