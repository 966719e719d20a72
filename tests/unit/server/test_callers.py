"""Who calls: keys are looked up, remembered, and looked up again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nearcast_server.callers import FRESH_S, KeyCallers
from nearcast_server.errors import ForbiddenError, UnauthenticatedError
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_store.tenants.protocol import Caller
from tests.conftest import FixedClock


class Cuttable(MemoryTenantStore):
    """A store that can be taken away, or told to hang or to suspend."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.down = False
        self.suspended = False
        self.gate: asyncio.Event | None = None
        self.lookups = 0

    async def caller(self, key: str) -> Caller | None:
        self.lookups += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise StoreUnavailableError("Postgres does not answer")
        found = await super().caller(key)
        if found is None or not self.suspended:
            return found
        return Caller(found.tenant_id, found.tenant, found.role, found.key_id, suspended=True)


@pytest.fixture
def store(clock: FixedClock) -> Cuttable:
    return Cuttable(clock)


@pytest.fixture
async def callers(store: Cuttable, clock: FixedClock) -> AsyncIterator[KeyCallers]:
    opened = KeyCallers(store, clock, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def key(store: Cuttable) -> str:
    tenant_id = await store.ensure_tenant("acme", "Acme")
    return (await store.create_key(tenant_id, "backend", "tests", None))[0]


def bearer(key: str | bytes) -> list[tuple[str, str | bytes]]:
    sent = f"Bearer {key}" if isinstance(key, str) else key
    return [("user-agent", "tests"), ("authorization", sent)]


async def reason(identify: Callable[[], Awaitable[Caller]]) -> str:
    with pytest.raises(UnauthenticatedError) as raised:
        await identify()
    return raised.value.reason


async def settled(callers: KeyCallers, turns: int = 5) -> None:
    """Let background lookups of the memory store end: they wait for nothing but their turns."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_a_key_stands_for_its_tenant_and_role(callers: KeyCallers, key: str) -> None:
    caller = await callers.identify(bearer(key))
    assert (caller.tenant, caller.role) == ("acme", "backend")
    assert await callers.identify([("authorization", f"bearer {key}")]) == caller


async def test_a_key_is_looked_up_once_while_it_is_fresh(
    callers: KeyCallers, store: Cuttable, key: str
) -> None:
    for _ in range(10):
        await callers.identify(bearer(key))
    assert store.lookups == 1


async def test_calls_that_come_together_share_one_lookup(
    callers: KeyCallers, store: Cuttable, key: str
) -> None:
    store.gate = asyncio.Event()
    waiting = [asyncio.create_task(callers.identify(bearer(key))) for _ in range(20)]
    await settled(callers)
    waiting[0].cancel()
    store.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert store.lookups == 1
    assert isinstance(found[0], asyncio.CancelledError)
    assert len({caller for caller in found[1:] if isinstance(caller, Caller)}) == 1


async def test_a_remembered_key_goes_on_working_while_the_store_is_away(
    callers: KeyCallers, store: Cuttable, clock: FixedClock, key: str
) -> None:
    first = await callers.identify(bearer(key))
    store.down = True
    for _ in range(5):
        clock.advance(3600)
        assert await callers.identify(bearer(key)) == first
        await settled(callers)


async def test_a_key_not_remembered_cannot_be_judged_while_the_store_is_away(
    callers: KeyCallers, store: Cuttable, key: str
) -> None:
    store.down = True
    with pytest.raises(StoreUnavailableError):
        await callers.identify(bearer(key))
    store.down = False
    assert (await callers.identify(bearer(key))).tenant == "acme"


async def test_a_revoked_key_is_refused_once_it_is_no_longer_fresh(
    callers: KeyCallers, store: Cuttable, clock: FixedClock, key: str
) -> None:
    caller = await callers.identify(bearer(key))
    await store.revoke_key(caller.tenant_id, caller.key_id)
    clock.advance(FRESH_S + 0.1)
    assert await reason(lambda: callers.identify(bearer(key))) == "INVALID_API_KEY"


async def test_a_suspended_tenant_is_told_so(callers: KeyCallers, store: Cuttable, key: str) -> None:
    store.suspended = True
    with pytest.raises(ForbiddenError) as raised:
        await callers.identify(bearer(key))
    assert raised.value.reason == "TENANT_SUSPENDED"


async def test_unknown_keys_push_no_remembered_one_out(
    callers: KeyCallers, store: Cuttable, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_server.callers.MOST_REMEMBERED", 3)
    await callers.identify(bearer(key))
    for number in range(10):
        with pytest.raises(UnauthenticatedError):
            await callers.identify(bearer(f"guess-{number}"))
    store.down = True
    assert (await callers.identify(bearer(key))).tenant == "acme"


async def test_a_key_becomes_known_the_moment_it_exists(callers: KeyCallers, store: Cuttable) -> None:
    tenant_id = await store.ensure_tenant("acme", "Acme")
    assert await reason(lambda: callers.identify(bearer("nc_later"))) == "INVALID_API_KEY"
    key, _ = await store.create_key(tenant_id, "client", "", None)
    assert (await callers.identify(bearer(key))).role == "client"


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ([], "MISSING_CREDENTIALS"),
        ([("x-api-key", "nc_x")], "MISSING_CREDENTIALS"),
        ([*bearer("a"), *bearer("a")], "AMBIGUOUS_CREDENTIALS"),
        (bearer(""), "INVALID_API_KEY"),
        ([("authorization", "nc_without_scheme")], "INVALID_API_KEY"),
        ([("authorization", "Basic abc")], "INVALID_API_KEY"),
        ([("authorization", "Bearer")], "INVALID_API_KEY"),
        (bearer(b"Bearer bytes"), "INVALID_API_KEY"),
        (bearer("x" * 10_000), "INVALID_API_KEY"),
        (bearer("nul\x00"), "INVALID_API_KEY"),
        (bearer("'; drop table api_keys; --"), "INVALID_API_KEY"),
    ],
)
async def test_what_is_no_key_is_refused(
    callers: KeyCallers, metadata: list[tuple[str, str | bytes]], told: str
) -> None:
    assert await reason(lambda: callers.identify(metadata)) == told


@pytest.mark.parametrize("change", [str.upper, str.swapcase, lambda key: key[:-1], lambda key: key + "x"])
async def test_a_key_almost_right_is_wrong(
    callers: KeyCallers, key: str, change: Callable[[str], str]
) -> None:
    assert await reason(lambda: callers.identify(bearer(change(key)))) == "INVALID_API_KEY"


async def test_closing_ends_lookups_that_hang(store: Cuttable, clock: FixedClock, key: str) -> None:
    store.gate = asyncio.Event()
    callers = KeyCallers(store, clock)
    waiting = asyncio.create_task(callers.identify(bearer(key)))
    await settled(callers)
    await callers.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_expired_key_is_refused_though_postgres_is_away(
    callers: KeyCallers, store: Cuttable, clock: FixedClock
) -> None:
    tenant_id = await store.ensure_tenant("acme", "Acme")
    key, _ = await store.create_key(tenant_id, "backend", "short", clock() + 60)
    await callers.identify(bearer(key))
    store.down = True
    clock.advance(59)
    await callers.identify(bearer(key))
    clock.advance(2)
    assert await reason(lambda: callers.identify(bearer(key))) == "INVALID_API_KEY"
