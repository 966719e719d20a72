"""The relay brings any index to what the catalogue committed."""

from collections.abc import Sequence
from itertools import count

import pytest
from prometheus_client import CollectorRegistry

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_statskeeper.leadership import Leadership
from nearcast_statskeeper.rebuilding import ATTEMPTS, rebuild_redis
from nearcast_statskeeper.relaying import LOOK_EVERY_S, NUMBERED_AT_ONCE, TRIMMED_EVERY, Relay
from nearcast_statskeeper.roster import Roster
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.relay.applying import StaleRelayError
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.unit.statskeeper.indexes import MemoryIndexWriter
from tests.unit.statskeeper.test_leadership import Lock


class Village:
    """One catalogue, one index and the relay between them."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.feed = MemoryChangeFeed(clock)
        self.catalog = MemoryCatalogStore(self.feed)
        self.tenants = MemoryTenantStore(clock)
        self.index = MemoryIndexWriter()
        self.lock = Lock()
        self.registry = CollectorRegistry()
        roster = Roster(self.tenants, MemoryPolicyStore(clock), clock)
        leadership = Leadership(self.lock.take)
        metrics = Metrics(self.registry, KEEPER_METRICS)
        self.relay = Relay(self.feed, self.index, roster, leadership, metrics, clock)

    async def write(self, tenant_id: int, titles: Sequence[str]) -> None:
        items = [Item(ItemId(title), (Place(59.9, 10.7),), title=title) for title in titles]
        await self.catalog.upsert(tenant_id, items, self.clock())

    async def settle(self) -> None:
        """Step until there is nothing more to do, looking even when nothing was written."""
        self.clock.advance(LOOK_EVERY_S)
        while await self.relay.step():
            pass


@pytest.fixture
async def village(clock: FixedClock) -> Village:
    """With the tenants 1 and 2."""
    village = Village(clock)
    await village.tenants.ensure_tenant("one", "")
    await village.tenants.ensure_tenant("two", "")
    return village


async def test_items_reach_the_index_of_their_tenant(village: Village) -> None:
    await village.write(1, ["a", "b"])
    await village.write(2, ["c"])
    await village.settle()
    assert (village.index.titles(1), village.index.titles(2)) == ({"a", "b"}, {"c"})


async def test_deleted_and_expired_items_leave_it(village: Village) -> None:
    await village.write(1, ["a", "b"])
    brief = Item(ItemId("brief"), (Place(59.9, 10.7),), title="brief", expires_at=village.clock() + 60)
    await village.catalog.upsert(1, [brief], village.clock())
    await village.settle()
    assert village.index.titles(1) == {"a", "b", "brief"}
    village.clock.advance(61)
    await village.catalog.delete(1, ["a"], village.clock())
    await village.catalog.sweep(village.clock())
    await village.settle()
    assert village.index.titles(1) == {"b"}


async def test_a_flood_is_carried_in_several_turns(village: Village) -> None:
    await village.settle()
    titles = [f"item-{number}" for number in range(NUMBERED_AT_ONCE + 700)]
    await village.write(1, titles)
    assert await village.relay.step()
    await village.settle()
    assert village.index.titles(1) == set(titles)
    assert village.index.refills == 2  # both tenants' first
    assert {keep for _, keep in village.index.trimmed} == {10_000}
    assert len(village.index.trimmed) == (NUMBERED_AT_ONCE + 700) // TRIMMED_EVERY


async def test_an_emptied_index_is_filled_anew_though_nothing_was_written(village: Village) -> None:
    await village.write(1, ["a"])
    await village.settle()
    village.index.kept.clear()
    village.index.positions.clear()
    await village.settle()
    assert village.index.titles(1) == {"a"}


async def test_an_index_set_back_is_brought_forward_by_what_it_misses(village: Village) -> None:
    await village.write(1, ["a"])
    await village.settle()
    before = dict(village.index.kept[1]), village.index.positions[1]
    await village.write(1, ["b"])
    await village.catalog.delete(1, ["a"], village.clock())
    await village.settle()
    refills = village.index.refills
    village.index.kept[1], village.index.positions[1] = before
    await village.settle()
    assert village.index.titles(1) == {"b"}
    assert village.index.refills == refills


async def test_an_index_behind_what_is_kept_is_filled_anew(village: Village) -> None:
    await village.write(1, ["a"])
    await village.settle()
    before = dict(village.index.kept[1]), village.index.positions[1]
    await village.write(1, ["b"])
    await village.settle()
    village.clock.advance(10)
    await village.feed.prune(village.clock())
    refills = village.index.refills
    village.index.kept[1], village.index.positions[1] = before
    await village.settle()
    assert village.index.titles(1) == {"a", "b"}
    assert village.index.refills == refills + 1


async def test_an_up_to_date_index_is_left_alone_when_all_changes_are_forgotten(village: Village) -> None:
    await village.write(1, ["a"])
    await village.settle()
    village.clock.advance(10)
    await village.feed.prune(village.clock())
    refills = village.index.refills
    await village.settle()
    assert village.index.refills == refills


async def test_an_index_from_elsewhere_is_filled_anew(village: Village) -> None:
    await village.write(1, ["a"])
    await village.settle()
    village.index.positions[1] = 1_000_000
    village.index.kept[1].clear()
    await village.settle()
    assert village.index.titles(1) == {"a"}
    assert village.index.positions[1] == 1


async def test_an_index_that_another_moved_is_read_anew(village: Village) -> None:
    await village.settle()
    await village.write(1, ["a"])
    village.index.moved_by_another = True
    await village.relay.step()
    assert village.index.titles(1) == set()
    await village.relay.step()  # without waiting for the time of the next look
    assert village.index.titles(1) == {"a"}


async def test_who_does_not_lead_carries_nothing(village: Village) -> None:
    await village.lock.take()
    await village.write(1, ["a"])
    await village.settle()
    assert village.index.titles(1) == set()
    village.lock.owner = None
    await village.settle()
    assert village.index.titles(1) == {"a"}


async def test_an_idle_turn_asks_the_index_nothing(village: Village) -> None:
    await village.settle()
    rounds = village.relay.rounds.count
    await village.relay.step()
    assert village.relay.rounds.count == rounds
    village.clock.advance(LOOK_EVERY_S)
    await village.relay.step()
    assert village.relay.rounds.count == rounds + 1


async def test_what_was_carried_is_counted(village: Village) -> None:
    await village.settle()
    await village.write(1, ["a", "b"])
    await village.settle()
    text = render(village.registry).decode()
    assert "nearcast_statskeeper_relay_applied_total 2.0" in text
    assert "nearcast_statskeeper_relay_lag_changes 0.0" in text


async def test_rebuilding_fills_every_tenant_and_tells(village: Village) -> None:
    await village.write(1, ["a"])
    await village.write(2, ["b"])
    told: list[str] = []
    assert await rebuild_redis(village.feed, village.index, village.tenants, told.append) == 2
    assert told == ["one", "two"]
    assert (village.index.titles(1), village.index.titles(2)) == ({"a"}, {"b"})


async def test_rebuilding_begins_again_when_a_relay_moves(village: Village) -> None:
    await village.write(1, ["a"])
    village.index.moved_by_another = True
    await rebuild_redis(village.feed, village.index, village.tenants, lambda slug: None)
    assert village.index.titles(1) == {"a"}


async def test_rebuilding_gives_up_when_a_relay_always_moves(village: Village) -> None:
    attempts = count()

    class Busy(MemoryIndexWriter):
        async def refill(self, *arguments: object) -> None:
            next(attempts)
            raise StaleRelayError("moved")

    with pytest.raises(StaleRelayError):
        await rebuild_redis(village.feed, Busy(), village.tenants, lambda slug: None)
    assert next(attempts) == ATTEMPTS
