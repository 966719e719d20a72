"""How views come about and stay current."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from nearcast_config.policy import Draws, Policy
from nearcast_ledger.event import AcceptedEvent, Durability, Unlearned
from nearcast_ledger.identity import identity_of
from nearcast_server.degrading import degraded
from nearcast_server.errors import UnavailableError
from nearcast_server.following import EPOCHS_KEPT_S, KEYS_READ_EVERY_S
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.refreshing import KEEPER, Refresher
from nearcast_server.tenancy import Tenancies
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch, Changes, CountRow, LedgerRow
from nearcast_store.errors import DataRefusedError, SchemaError, StoreUnavailableError
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.policies.protocol import Epoch, Revision
from nearcast_store.policies.rotation import SIGNS_AFTER_S
from nearcast_store.tenants.memory import MemoryTenantStore
from tests.conftest import FixedClock
from tests.unit.server.scene import NO_EXPLORATION, Scene, make_served


class Counts(MemoryCountStore):
    """Fails when told to, for one tenant or all, and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.only_tenant: int | None = None
        self.error_after_first: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.asked: list[tuple[int | None, CountRow | None]] = []
        self.parts: list[Changes] = []

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 10_000
    ) -> Changes:
        self.asked.append((horizon, after))
        if self.only_tenant in {None, tenant_id}:
            if self.gate is not None:
                await self.gate.wait()
            error = self.error if after is None else self.error_after_first
            if error is not None:
                raise error
        return (
            self.parts.pop(0) if self.parts else await super().changed_since(tenant_id, horizon, after, most)
        )


class Policies(MemoryPolicyStore):
    """May hold a policy that this version cannot read."""

    unreadable = False

    async def current(self, tenant_id: int) -> Revision:
        if self.unreadable:
            raise SchemaError("the policy is of a newer version")
        return await super().current(tenant_id)


class Office:
    """The stores of one gateway, and its refresher."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.tenants = MemoryTenantStore(clock)
        self.policies = Policies(clock, first=msgspec.structs.replace(Policy(), exploration=NO_EXPLORATION))
        self.counts = Counts()
        self.tenancies = Tenancies()
        self.refresher = Refresher(
            self.tenancies, self.tenants, self.policies, self.counts, Noticeboard(), clock
        )

    async def beat(self) -> None:
        await self.tenants.beat(KEEPER, self.clock(), self.clock())

    async def publish(self, number: int, share: float = 1.0) -> Epoch:
        revision = await self.policies.current(1)
        numbers = {revision.feeds[name]: share for name in revision.policy.feeds}
        epoch = Epoch(1, number, 1, {0: {tuple(sorted(numbers)): numbers}}, self.clock())
        await self.policies.publish(epoch)
        return epoch


@pytest.fixture
async def unread(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """An office with a tenant that nobody has looked at yet."""
    # A machine that is busy is no reason to give up on a read.
    monkeypatch.setattr("nearcast_server.refreshing.PATIENCE_S", 30.0)
    made = Office(clock)
    await made.tenants.ensure_tenant("acme", "Acme")
    yield made
    await made.refresher.close()


@pytest.fixture
async def office(unread: Office) -> Office:
    await unread.beat()
    assert await unread.refresher.refresh()
    return unread


async def test_every_tenant_has_a_view_that_says_all_is_well(office: Office) -> None:
    await office.tenants.ensure_tenant("zenith", "Zenith")
    assert await office.refresher.refresh()
    assert [view.tenant_id for view in office.tenancies.known()] == [1, 2]
    for view in office.tenancies.known():
        assert degraded(view, office.clock()) == ()
        assert view.read_at == office.clock()
        assert set(view.orders) == set(view.revision.policy.feeds)


async def test_a_view_is_replaced_and_never_changed(office: Office) -> None:
    before = office.tenancies.view(1)
    office.clock.advance(5)
    await office.refresher.refresh()
    after = office.tenancies.view(1)
    assert after is not before
    assert (before.read_at, after.read_at) == (office.clock() - 5, office.clock())


async def test_a_new_revision_is_followed_at_the_next_look(office: Office) -> None:
    policy = msgspec.structs.replace(
        Policy(), draws=Draws(interval_minutes=30), feeds={"draw": Policy().feeds["draw"]}
    )
    await office.policies.apply(1, policy, "tests", "")
    await office.refresher.refresh()
    view = office.tenancies.view(1)
    assert (view.revision.number, list(view.orders)) == (2, ["draw"])


async def test_only_what_changed_is_asked_for(office: Office) -> None:
    await office.refresher.refresh()
    await office.refresher.refresh()
    horizons = [horizon for horizon, _ in office.counts.asked]
    assert horizons[0] is None
    assert None not in horizons[1:]


async def test_what_comes_in_parts_is_asked_for_part_by_part(office: Office) -> None:
    """The next look begins where the first part's did: what changed meanwhile is seen again."""
    rows = [CountRow(posting, 0, 1, 1, 1, 2, False, 5) for posting in (1, 2, 3)]
    office.counts.asked.clear()
    office.counts.parts = [
        Changes(rows[:1], 70, complete=True, more=True),
        Changes(rows[1:2], 80, complete=True, more=True),
        Changes(rows[2:], 90, complete=True),
    ]
    await office.refresher.refresh()
    assert [after for _, after in office.counts.asked] == [None, rows[0], rows[1]]
    assert set(office.tenancies.view(1).evidence.rows) == {1, 2, 3}
    await office.refresher.refresh()
    assert office.counts.asked[-1] == (70, None)


async def test_a_read_that_failed_between_parts_goes_on_with_the_next(office: Office) -> None:
    row = CountRow(1, 0, 1, 1, 1, 2, False, 5)
    office.counts.parts = [Changes([row], 70, more=True)]
    office.counts.error_after_first = StoreUnavailableError("away")
    assert not await office.refresher.refresh()
    office.counts.error_after_first = None
    office.counts.asked.clear()
    assert await office.refresher.refresh()
    assert [after for _, after in office.counts.asked] == [row]
    await office.refresher.refresh()
    assert office.counts.asked[-1] == (70, None)


async def test_counts_reach_the_evidence(office: Office) -> None:
    scene = Scene(office.tenancies.view(1), now=office.clock())
    scene.put(make_served(5))
    slate = await scene.ask()
    claims = scene.view.tokens.rewards.verify(slate.items[0].token, 1)
    event = AcceptedEvent(1, Unlearned.LEARNED, claims)
    row = LedgerRow(identity_of(1, event), event, False, 0, "g", Durability.MEMORY, True)
    await office.counts.fold(Batch([row]))
    office.clock.advance(3600 * 24)
    await office.refresher.refresh()
    beliefs = office.tenancies.view(1).evidence.beliefs([5, 6])
    assert beliefs.exposures[0, 0] > 0.9
    assert beliefs.exposures[0, 1] == 0


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("away"), DataRefusedError("odd"), KeyError("a fault of ours")]
)
async def test_while_the_store_fails_the_last_view_goes_on_and_says_so(
    office: Office, error: Exception
) -> None:
    read_at = office.tenancies.view(1).read_at
    office.counts.error = error
    office.clock.advance(60)
    assert not await office.refresher.refresh()
    view = office.tenancies.view(1)
    assert view.read_at == read_at
    assert degraded(view, office.clock()) == ("STATS_STALE", "STORE_UNAVAILABLE")
    office.counts.error = None
    await office.beat()
    assert await office.refresher.refresh()
    assert degraded(office.tenancies.view(1), office.clock()) == ()


async def test_a_fault_in_one_tenants_data_stops_no_other(office: Office) -> None:
    await office.tenants.ensure_tenant("zenith", "Zenith")
    await office.refresher.refresh()
    office.counts.error, office.counts.only_tenant = ValueError("counts that cannot be"), 1
    office.clock.advance(1)
    assert not await office.refresher.refresh()
    ours, theirs = office.tenancies.view(1), office.tenancies.view(2)
    assert (ours.store_answers, ours.read_at) == (False, office.clock() - 1)
    assert (theirs.store_answers, theirs.read_at) == (True, office.clock())
    office.counts.error = None
    office.counts.asked.clear()
    assert await office.refresher.refresh()
    assert office.tenancies.view(1).store_answers
    assert (None, None) in office.counts.asked, "what was half learned is learned anew"


async def test_a_tenant_that_takes_long_is_waited_for_by_nobody(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.tenants.ensure_tenant("zenith", "Zenith")
    await office.refresher.refresh()
    office.counts.gate, office.counts.only_tenant = asyncio.Event(), 1
    office.clock.advance(1)
    with monkeypatch.context() as impatient:
        impatient.setattr("nearcast_server.refreshing.PATIENCE_S", 0.2)
        assert not await office.refresher.refresh()
        assert not await office.refresher.refresh()
    assert office.tenancies.view(1).read_at == office.clock() - 1
    assert office.tenancies.view(2).read_at == office.clock()
    office.counts.gate.set()
    assert await office.refresher.refresh()
    assert office.tenancies.view(1).read_at == office.clock()


async def test_a_store_that_does_not_list_tenants_leaves_every_view_as_it_was(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> list[tuple[int, str]]:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(office.tenants, "tenants", away)
    assert not await office.refresher.refresh()
    assert degraded(office.tenancies.view(1), office.clock()) == ("STORE_UNAVAILABLE",)


async def test_a_policy_of_a_newer_version_leaves_the_last_one_in_force(office: Office) -> None:
    office.policies.unreadable = True
    office.clock.advance(1)
    assert await office.refresher.refresh()
    view = office.tenancies.view(1)
    assert (view.revision.number, view.read_at) == (1, office.clock())


async def test_a_tenant_never_read_is_not_served(unread: Office) -> None:
    unread.counts.error = StoreUnavailableError("away")
    tried = [unread.refresher.read_once]
    assert not await unread.refresher.refresh()
    assert [*tried, unread.refresher.read_once] == [False, True]
    with pytest.raises(UnavailableError):
        unread.tenancies.view(1)


async def test_the_first_read_is_over_when_every_tenant_has_been_tried(
    unread: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread.counts.gate = asyncio.Event()
    with monkeypatch.context() as impatient:
        impatient.setattr("nearcast_server.refreshing.PATIENCE_S", 0.1)
        await unread.refresher.refresh()
    tried = [unread.refresher.read_once]
    unread.counts.gate.set()
    await unread.refresher.refresh()
    assert [*tried, unread.refresher.read_once] == [False, True]


async def test_a_keeper_never_heard_of_is_told(unread: Office) -> None:
    await unread.refresher.refresh()
    assert degraded(unread.tenancies.view(1), unread.clock()) == ("KEEPER_DOWN",)


async def test_statistics_are_as_old_as_what_the_keeper_has_not_folded_yet(office: Office) -> None:
    await office.tenants.beat(KEEPER, office.clock(), office.clock() - 60)
    await office.refresher.refresh()
    view = office.tenancies.view(1)
    assert view.stats_at == office.clock() - 60
    assert degraded(view, office.clock()) == ("STATS_STALE",)


async def test_epochs_are_kept_for_as_long_as_sessions_may_hold_on_to_them(office: Office) -> None:
    for number in (1, 2, 3):
        await office.publish(number)
        office.clock.advance(EPOCHS_KEPT_S / 2)
        await office.refresher.refresh()
        latest = office.tenancies.view(1).latest_epoch
        assert latest is not None
        assert latest.number == number
    assert sorted(office.tenancies.view(1).epochs) == [2, 3]
    office.clock.advance(EPOCHS_KEPT_S * 10)
    await office.refresher.refresh()
    assert sorted(office.tenancies.view(1).epochs) == [3]


async def test_a_new_key_verifies_before_it_signs_and_the_old_one_goes_on_verifying(office: Office) -> None:
    old = office.tenancies.view(1).tokens.keyring.signing_key
    office.clock.advance(SIGNS_AFTER_S)
    await office.policies.rotate(1)
    office.clock.advance(KEYS_READ_EVERY_S)
    await office.refresher.refresh()
    soon = office.tenancies.view(1).tokens.keyring
    assert (soon.signing_key, len(soon.keys)) == (old, 2)
    office.clock.advance(SIGNS_AFTER_S)
    await office.refresher.refresh()
    later = office.tenancies.view(1).tokens.keyring
    assert later.signing_key != old
    assert old in later.keys


async def test_whoever_waits_for_news_is_woken(office: Office) -> None:
    async def wait() -> None:
        async with office.refresher.refreshed:
            await office.refresher.refreshed.wait()

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    stop = asyncio.Event()
    running = asyncio.create_task(office.refresher.run(0.01, stop))
    async with asyncio.timeout(20.0):
        await waiting
        stop.set()
        await running
