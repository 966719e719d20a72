"""Every accepted event is counted once, whatever fails between log and store."""

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from nearcast_config.policy import Kind, Policy
from nearcast_ledger.event import AcceptedEvent
from nearcast_ledger.kinds import IMPRESSION, SAVE, VIEW
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.roster import REVISION_STALE_S, Roster
from nearcast_store.errors import LogUnavailableError, StoreUnavailableError
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.unit.statskeeper.entries import TENANT, entry, impression, learned, unattributed, view
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

    def new_consumer(self, batch_events: int = 1000) -> Consumer:
        """As after a restart, or a second keeper."""
        roster = Roster(self.tenants, self.policies, self.clock)
        appetite = Appetite(batch_events, CLAIM_IDLE_S)
        return Consumer(self.log, self.counts, roster, self.metrics, appetite, self.clock)

    async def append(self, *events: AcceptedEvent) -> None:
        await self.log.append(entry(*events))

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


async def test_a_kind_that_the_policy_has_just_learned_rewards_at_once(office: Office) -> None:
    await office.append(view(1))
    await office.drain()
    policy = Policy()
    kinds = policy.kinds | {"visit": Kind(weight=1)}
    revision = await office.policies.apply(TENANT, replace(policy, kinds=kinds), "me", "")
    await office.append(learned(revision.kinds["visit"], 2))
    await office.drain()
    (row,) = [row for row in office.counts.batches[-1].rows if not row.implied]
    assert row.rewards_feed


async def test_a_kind_that_no_longer_rewards_stops_within_seconds(office: Office) -> None:
    await office.append(learned(SAVE, 1))
    await office.drain()
    policy = Policy()
    kinds = policy.kinds | {"save": Kind(weight=1, rewards_feed=False)}
    await office.policies.apply(TENANT, replace(policy, kinds=kinds), "me", "")
    office.clock.advance(REVISION_STALE_S + 1)
    await office.append(learned(SAVE, 2))
    await office.drain()
    rewarded = [
        row.rewards_feed for batch in office.counts.batches for row in batch.rows if row.event.kind == SAVE
    ]
    assert rewarded == [True, False]


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
