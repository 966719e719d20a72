"""Every accepted event is counted once, whatever fails between log and store."""

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from nearcast_config.policy import Kind, Policy
from nearcast_ledger.event import AcceptedEvent
from nearcast_ledger.kinds import IMPRESSION, SAVE, VIEW
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.folding import MOST_DELIVERIES
from nearcast_statskeeper.heartbeat import PROCESS, heartbeat
from nearcast_statskeeper.roster import Roster
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.errors import LogUnavailableError, StoreUnavailableError, UnreadablePolicyError
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.policies.protocol import Revision
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_store.tenants.protocol import Beat
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.unit.statskeeper.entries import TENANT, claims, entry, impression, learned, unattributed, view
from tests.unit.statskeeper.faults import FaultyCountStore, FaultyEventLog

CLAIM_IDLE_S = 30.0


class Office:
    """A log, a store and consumers between them."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.log = FaultyEventLog(clock)
        self.counts = FaultyCountStore()
        self.tenants = MemoryTenantStore(clock)
        self.policies = MemoryPolicyStore(clock)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, KEEPER_METRICS)
        self.consumer = self.new_consumer()
        self.beat = heartbeat(self.tenants, self.consumer, clock)

    def new_consumer(self, batch_events: int = 1000, *, buries_unforeseen: bool = False) -> Consumer:
        """As after a restart, or a second keeper."""
        roster = Roster(self.tenants, self.policies, self.clock)
        appetite = Appetite(batch_events, CLAIM_IDLE_S, buries_unforeseen)
        return Consumer(self.log, self.counts, roster, self.metrics, appetite, self.clock)

    async def append(self, *events: AcceptedEvent) -> None:
        await self.log.append(entry(*events))

    async def heard(self) -> Beat | None:
        """The last sign of life, after the keeper had the chance to give one."""
        await self.beat()
        return await self.tenants.last_beat(PROCESS)

    async def totals(self) -> dict[int, int]:
        return await self.counts.totals(TENANT)

    async def drain(self, consumer: Consumer | None = None) -> None:
        """Until neither taking over nor reading finds anything."""
        idle = 0
        while idle < 2:
            idle = 0 if await (consumer or self.consumer).step() else idle + 1


@pytest.fixture
async def office(clock: FixedClock) -> Office:
    """With one tenant."""
    office = Office(clock)
    assert await office.tenants.ensure_tenant("one", "") == TENANT
    return office


async def test_what_is_appended_is_counted_and_acknowledged(office: Office) -> None:
    await office.append(impression(1), view(1))
    await office.append(view(2), unattributed(3))
    await office.drain()
    assert await office.totals() == {IMPRESSION: 2, VIEW: 2}
    assert office.log.acknowledged == ["1-0", "2-0"]
    assert office.consumer.folds.count == 1


async def test_nothing_is_acknowledged_before_it_is_committed(office: Office) -> None:
    await office.append(view(1))
    office.counts.fails_before_commit = 2
    await office.consumer.step()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await office.consumer.step()
        assert office.log.acknowledged == []
    reads = office.log.reads
    assert await office.consumer.step()
    assert office.log.acknowledged == ["1-0"]
    assert office.log.reads == reads  # the same batch, without reading on
    assert await office.totals() == {IMPRESSION: 1, VIEW: 1}


async def test_while_a_batch_is_folded_the_next_is_read_and_no_more(office: Office) -> None:
    consumer = office.new_consumer(batch_events=1)
    assert not await consumer.step()  # nothing is left to take over
    for number in range(1, 5):
        await office.append(impression(number))
    read = []
    for _ in range(4):
        assert await consumer.step()
        read.append((office.log.reads, len(office.log.acknowledged)))
    assert read == [(2, 1), (3, 2), (4, 3), (5, 4)]
    assert await office.totals() == {IMPRESSION: 4}


async def test_a_keeper_that_never_runs_dry_still_takes_over_what_others_left(office: Office) -> None:
    consumer = office.new_consumer(batch_events=1)
    assert not await consumer.step()
    await office.append(impression(1))
    assert len(await office.log.read([TENANT], 1, 0.0)) == 1  # by a keeper that then dies
    for number in range(2, 50):
        await office.append(impression(number))
    for _ in range(40):
        office.clock.advance(1.0)
        await consumer.step()
    assert "1-0" in office.log.acknowledged
    assert len(office.log.acknowledged) >= 38


async def test_a_commit_of_unknown_outcome_is_counted_once(office: Office) -> None:
    await office.append(impression(1), view(1))
    office.counts.fails_after_commit = 1
    await office.consumer.step()
    with pytest.raises(StoreUnavailableError):
        await office.consumer.step()
    await office.consumer.step()
    assert await office.totals() == {IMPRESSION: 1, VIEW: 1}
    assert office.log.acknowledged == ["1-0"]


async def test_a_failed_acknowledgement_is_made_again_and_counts_nothing_twice(office: Office) -> None:
    await office.append(impression(1))
    office.log.fails_acknowledging = 1
    await office.consumer.step()
    with pytest.raises(LogUnavailableError):
        await office.consumer.step()
    await office.consumer.step()
    assert office.log.acknowledged == ["1-0"]
    assert await office.totals() == {IMPRESSION: 1}


async def test_a_keeper_that_died_between_commit_and_acknowledgement_leaves_no_trace(office: Office) -> None:
    await office.append(impression(1))
    office.log.fails_acknowledging = 1
    await office.consumer.step()
    with pytest.raises(LogUnavailableError):
        await office.consumer.step()
    office.clock.advance(CLAIM_IDLE_S)
    await office.append(impression(2))
    await office.drain(office.new_consumer())
    assert await office.totals() == {IMPRESSION: 2}
    assert office.log.acknowledged == ["1-0", "2-0"]


async def test_entries_of_another_keeper_are_taken_over_only_when_idle(office: Office) -> None:
    await office.append(impression(1))
    assert len(await office.log.read([TENANT], 10, 0)) == 1  # somebody read it, and says no more
    await office.drain()
    assert await office.totals() == {}
    office.clock.advance(CLAIM_IDLE_S)
    await office.drain()
    assert await office.totals() == {IMPRESSION: 1}


async def test_the_same_event_in_many_entries_is_counted_once(office: Office) -> None:
    for _ in range(5):
        await office.append(view(1), view(1))
    await office.drain()
    assert await office.totals() == {IMPRESSION: 1, VIEW: 1}
    text = render(office.registry).decode()
    assert "nearcast_statskeeper_events_counted_total 1.0" in text
    assert "nearcast_statskeeper_events_duplicate_total 9.0" in text
    assert "nearcast_statskeeper_entries_folded_total 5.0" in text


async def test_a_row_that_the_store_refuses_is_found_and_only_its_event_dies(office: Office) -> None:
    office.counts.refuses = lambda row: row.event.item_id == "item-13"
    await office.append(*(impression(number, posting=number) for number in range(1, 30)))
    await office.drain()
    assert await office.totals() == {IMPRESSION: 28}
    assert office.counts.dead_reasons == ["STORE_REFUSED"]
    assert office.log.acknowledged == ["1-0"]
    assert 'events_dead_total{reason="STORE_REFUSED"} 1.0' in render(office.registry).decode()


async def test_an_event_refused_with_its_implied_impression_is_one_dead_letter(office: Office) -> None:
    office.counts.refuses = lambda row: row.event.item_id == "item-13"
    await office.append(view(1, posting=13), view(2, posting=14))
    await office.drain()
    assert await office.totals() == {IMPRESSION: 1, VIEW: 1}
    assert office.counts.dead_reasons == ["STORE_REFUSED"]


async def test_a_store_that_goes_away_while_sifting_loses_nothing(office: Office) -> None:
    office.counts.refuses = lambda row: row.event.item_id == "item-3"
    await office.append(*(impression(number, posting=number) for number in range(1, 9)))
    office.counts.fails_after_commit = 1
    await office.consumer.step()
    with pytest.raises(StoreUnavailableError):
        await office.consumer.step()
    assert office.log.acknowledged == []
    await office.consumer.step()
    assert await office.totals() == {IMPRESSION: 7}
    assert office.counts.dead_reasons == ["STORE_REFUSED"]


async def test_a_store_that_is_away_makes_no_dead_letters(office: Office) -> None:
    await office.append(*(impression(number) for number in range(1, 9)))
    office.counts.fails_before_commit = 1
    await office.consumer.step()
    with pytest.raises(StoreUnavailableError):
        await office.consumer.step()
    await office.consumer.step()
    assert office.counts.dead_reasons == []


async def test_a_log_that_is_away_is_read_again(office: Office) -> None:
    await office.append(impression(1))
    office.log.fails_reading = 1
    await office.consumer.step()
    with pytest.raises(LogUnavailableError):
        await office.consumer.step()
    await office.drain()
    assert await office.totals() == {IMPRESSION: 1}


async def test_a_batch_holds_about_as_many_events_as_it_may(office: Office) -> None:
    consumer = office.new_consumer(batch_events=10)
    for number in range(20):
        await office.append(*(impression(number * 4 + each) for each in range(4)))
    await office.append(*(impression(1000 + each) for each in range(25)))
    await office.drain(consumer)
    assert await office.totals() == {IMPRESSION: 105}
    sizes = [len(batch.rows) for batch in office.counts.batches]
    assert max(sizes) == 25  # an entry is never cut
    assert sorted(sizes)[-2] <= 10


def rewarded(office: Office, kind: int) -> list[bool]:
    """Of every folded row of that kind, in order."""
    return [
        row.rewards_feed for batch in office.counts.batches for row in batch.rows if row.event.kind == kind
    ]


def saved(request: int, revision: int) -> AcceptedEvent:
    """Somebody saved what that policy revision had decided to show."""
    return learned(SAVE, claims=claims(request, policy_revision=revision))


async def apply(office: Office, **kinds: Kind) -> Revision:
    policy = Policy()
    return await office.policies.apply(TENANT, replace(policy, kinds=policy.kinds | kinds), "me", "")


async def test_a_reward_is_judged_by_the_revision_that_decided_whenever_it_is_folded(office: Office) -> None:
    await apply(office)
    await apply(office, save=Kind(weight=1, rewards_feed=False))
    await office.append(saved(1, revision=1), saved(2, revision=2))
    await office.drain()
    await apply(office, save=Kind(weight=2))
    await office.append(saved(3, revision=2), saved(4, revision=1), saved(5, revision=3))
    await office.drain(office.new_consumer())
    assert rewarded(office, SAVE) == [True, False, False, True, True]


async def test_what_a_revision_does_not_say_is_as_built_in(office: Office) -> None:
    revision = await apply(office, visit=Kind(weight=1, rewards_feed=False))
    visit = revision.kinds["visit"]
    decided = [
        claims(request, policy_revision=number) for request, number in enumerate((1, 0, 77, 2**63 - 1), 1)
    ]
    await office.append(*(learned(visit, claims=each) for each in decided))
    await office.drain()
    assert rewarded(office, visit) == [False, True, True, True]


class NewerPolicies(MemoryPolicyStore):
    """Some revisions of one tenant were written by a newer version."""

    unreadable: frozenset[int] = frozenset()
    reads = 0

    async def revision(self, tenant_id: int, number: int) -> Revision | None:
        self.reads += 1
        if tenant_id == TENANT and number in self.unreadable:
            raise UnreadablePolicyError(f"policy revision {number} is of another version")
        return await super().revision(tenant_id, number)


async def test_a_policy_of_a_newer_version_stops_no_fold_and_is_told_once(
    clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    office = Office(clock)
    office.policies = policies = NewerPolicies(clock)
    assert [await office.tenants.ensure_tenant(slug, "") for slug in ("one", "two")] == [TENANT, 2]
    await apply(office, save=Kind(rewards_feed=False))
    policies.unreadable = frozenset({2, 3})
    consumer = office.new_consumer()
    for request in (1, 2):
        await office.append(saved(request, revision=3))
        other = learned(SAVE, claims=claims(request, tenant_id=2))
        await office.log.append(entry(other, tenant_id=2))
        await office.drain(consumer)
    assert (await office.totals())[SAVE] == (await office.counts.totals(2))[SAVE] == 2
    assert [
        row.rewards_feed
        for batch in office.counts.batches
        for row in batch.rows
        if row.event.kind == SAVE and row.identity.tenant_id == TENANT
    ] == [False, False]
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told == ["policy.unreadable"] * 2  # one for each of the two revisions
    assert policies.reads <= 5


class KilledError(BaseException):
    """As if the process had died on the spot."""


async def test_what_only_lies_beside_the_entry_that_keepers_die_of_is_counted(office: Office) -> None:
    def die_of_it(row: LedgerRow) -> bool:
        if row.event.item_id == "item-7":
            raise KilledError
        return False

    office.counts.refuses = die_of_it
    for number in range(1, 13):
        await office.append(impression(number, posting=number), view(number + 100, posting=number))
    deaths = 0
    while len(office.log.acknowledged) < 12:
        try:
            await office.drain(office.new_consumer())
        except KilledError:
            deaths += 1
        office.clock.advance(CLAIM_IDLE_S)
    assert deaths == MOST_DELIVERIES
    assert office.counts.dead_reasons == ["CRASH_POISON"] * 2
    assert await office.totals() == {IMPRESSION: 22, VIEW: 11}


async def test_an_entry_in_hand_at_many_unrelated_ends_is_counted_after_all(office: Office) -> None:
    await office.append(impression(1))
    for _ in range(MOST_DELIVERIES - 1):
        await office.log.claim([TENANT], 10, 0.0) or await office.log.read([TENANT], 10, 0.0)
    office.clock.advance(CLAIM_IDLE_S)
    await office.drain()
    assert await office.totals() == {IMPRESSION: 1}
    assert office.counts.dead_reasons == []


async def test_a_keeper_that_has_not_read_yet_gives_no_sign_of_life(office: Office) -> None:
    assert await office.heard() is None
    await office.consumer.step()  # nothing to take over
    assert await office.heard() is None
    await office.consumer.step()
    assert await office.heard() == Beat(office.clock(), office.clock())


async def test_an_idle_keeper_lives_and_has_dealt_with_everything(office: Office) -> None:
    await office.drain()
    for _ in range(3):
        office.clock.advance(1)
        await office.consumer.step()
        assert await office.heard() == Beat(office.clock(), office.clock())


async def test_a_keeper_whose_folds_fail_falls_silent(office: Office) -> None:
    await office.drain()
    before = await office.heard()
    await office.append(impression(1))
    office.counts.fails_before_commit = 3
    for _ in range(3):
        office.clock.advance(2)
        with pytest.raises(StoreUnavailableError):
            await office.consumer.step()
        assert await office.heard() == before
    await office.drain()
    assert await office.heard() == Beat(office.clock(), office.clock())


@pytest.mark.parametrize("failing", ["fails_reading", "fails_acknowledging"])
async def test_a_keeper_whose_log_fails_falls_silent(office: Office, failing: str) -> None:
    await office.drain()
    before = await office.heard()
    await office.append(impression(1))
    setattr(office.log, failing, 3)
    for _ in range(3):
        office.clock.advance(2)
        with pytest.raises(LogUnavailableError):
            await office.consumer.step()
        assert await office.heard() == before


async def test_while_there_is_more_the_oldest_that_was_read_says_how_fresh_all_is(office: Office) -> None:
    consumer = office.consumer = office.new_consumer(batch_events=2)
    office.beat = heartbeat(office.tenants, consumer, office.clock)
    received = office.clock()
    for number in range(1, 5):
        await office.log.append(entry(impression(number), at_s=received + number))
    office.clock.advance(100)
    await consumer.step()  # nothing to take over
    fresh = []
    for _ in range(3):  # of one entry, two and one
        await consumer.step()
        beat = await office.heard()
        assert beat is not None
        fresh.append(beat.fresh_at - received)
    assert fresh == [1, 2, 4]
    assert await consumer.step() is False
    assert await office.heard() == Beat(office.clock(), office.clock())


async def test_the_age_of_what_waits_is_shown_and_falls_to_zero(office: Office) -> None:
    await office.append(impression(1))
    office.clock.advance(12)
    office.counts.fails_before_commit = 1
    await office.consumer.step()
    with pytest.raises(StoreUnavailableError):
        await office.consumer.step()
    assert "log_oldest_seconds 12.0" in render(office.registry).decode()
    await office.consumer.step()
    assert "log_oldest_seconds 0.0" in render(office.registry).decode()
