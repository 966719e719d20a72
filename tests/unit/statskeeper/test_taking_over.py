"""A log that leaves it to the fold to know how far it is read; keepers that take shards from one another."""

import pytest
from prometheus_client import CollectorRegistry

from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_statskeeper.consumer import Appetite, Consumer
from nearcast_statskeeper.folding import MOST_DELIVERIES
from nearcast_statskeeper.roster import Roster
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.log.sharded import ShardedMemoryLog, ShardReader
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics
from tests.conftest import FixedClock
from tests.unit.statskeeper.entries import TENANT, entry, impression, view
from tests.unit.statskeeper.faults import FaultyCountStore

IDLE_S = 30.0


class House:
    """A log of one shard, a store, and keepers by name."""

    def __init__(self, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("nearcast_statskeeper.consumer.WAIT_S", 0.001)
        self.clock = clock
        self.log = ShardedMemoryLog(1, lambda shards: 0)
        self.counts = FaultyCountStore()
        self.tenants = MemoryTenantStore(clock)

    async def keeper(self, name: str) -> Consumer:
        """As after a start."""
        await self.tenants.ensure_tenant("one", "")
        return Consumer(
            ShardReader(self.log, self.counts, name, self.clock),
            self.counts,
            Roster(self.tenants, MemoryPolicyStore(self.clock), self.clock),
            Metrics(CollectorRegistry(), KEEPER_METRICS),
            Appetite(1000, IDLE_S),
            self.clock,
        )

    async def accepted(self) -> list[int]:
        """Of every batch that was folded, in order."""
        return [step.accepted for batch in self.counts.batches for step in batch.progress]


@pytest.fixture
def house(clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(clock, monkeypatch)


async def drain(keeper: Consumer) -> None:
    idle = 0
    while idle < 2:
        idle = 0 if await keeper.step() else idle + 1


async def test_positions_are_committed_with_the_fold_and_read_again_after_a_start(house: House) -> None:
    await house.log.append(entry(impression(1)))
    await drain(await house.keeper("a"))
    await house.log.append(entry(impression(2)))
    await drain(await house.keeper("a"))
    assert await house.accepted() == [1, 1]
    assert (await house.counts.standings([TENANT]))[0].last_entry_id == "2"


async def test_a_keeper_whose_shards_were_taken_gives_up_what_it_holds_and_goes_on(house: House) -> None:
    await house.log.append(entry(impression(1), view(1)))
    zombie = await house.keeper("a")
    house.counts.fails_before_commit = 1
    await zombie.step()
    with pytest.raises(StoreUnavailableError):
        await zombie.step()
    house.clock.advance(IDLE_S)
    successor = await house.keeper("b")
    await drain(successor)
    await drain(zombie)
    assert await house.counts.totals(TENANT) == {IMPRESSION: 1, VIEW: 1}
    assert await house.accepted() == [2]  # the zombie's batch was refused as a whole
    await house.log.append(entry(impression(2)))
    await drain(zombie)
    await drain(successor)
    assert await house.counts.totals(TENANT) == {IMPRESSION: 2, VIEW: 1}
    assert await house.accepted() == [2, 1]


async def test_not_even_a_batch_that_must_be_sifted_moves_for_a_zombie(house: House) -> None:
    await house.log.append(entry(impression(1, posting=13), impression(2, posting=14)))
    zombie = await house.keeper("a")
    house.counts.fails_before_commit = 1
    await zombie.step()
    with pytest.raises(StoreUnavailableError):
        await zombie.step()
    house.counts.refuses = lambda row: row.event.item_id == "item-13"
    await house.counts.take(TENANT, 0)
    await zombie.step()
    assert house.counts.batches == []


class KilledError(BaseException):
    """As if the process had died on the spot."""


async def test_an_entry_that_keepers_die_of_is_buried_and_those_after_it_are_counted(house: House) -> None:
    def die_of_it(row: LedgerRow) -> bool:
        if row.event.item_id == "item-2":
            raise KilledError
        return False

    house.counts.refuses = die_of_it
    for number in range(1, 5):
        await house.log.append(entry(impression(number, posting=number)))
    deaths = 0
    while await house.counts.totals(TENANT) != {IMPRESSION: 3}:
        try:
            await drain(await house.keeper("a"))
        except KilledError:
            deaths += 1
    assert house.counts.dead_reasons == ["CRASH_POISON"]
    assert MOST_DELIVERIES <= deaths <= 2 * MOST_DELIVERIES
