"""What each scheduled job does."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.policy import Feed, Policy, Scenario
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_ledger.kinds import VIEW
from nearcast_statskeeper.faults import DeadReason
from nearcast_statskeeper.folding import plan
from nearcast_statskeeper.jobs.compacting import compact_ledger
from nearcast_statskeeper.jobs.curving import CurveFitter, fit_curves
from nearcast_statskeeper.jobs.dismissing import forget_consumers
from nearcast_statskeeper.jobs.fitting import Fitter, fit_all
from nearcast_statskeeper.jobs.forgetting import forget_tombstones
from nearcast_statskeeper.jobs.lapsing import drop_count_changes
from nearcast_statskeeper.jobs.partitioning import plan_partitions
from nearcast_statskeeper.jobs.placing import place_items
from nearcast_statskeeper.jobs.pruning import prune_changes
from nearcast_statskeeper.jobs.publishing import publish_epochs
from nearcast_statskeeper.jobs.reading import read_source
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.jobs.sweeping import sweep_items
from nearcast_statskeeper.jobs.trimming import LONGEST_S, SHORTEST_S, kept_s, trim_log
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.curves.memory import MemoryCurveStore
from nearcast_store.errors import StoreUnavailableError, UnreadablePolicyError
from nearcast_store.markets.memory import MemoryMarketStore
from nearcast_store.markets.protocol import Market
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.policies.protocol import Epoch, Revision
from nearcast_store.priors.memory import MemoryPriorStore
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.labels import DEAD_REASONS, JOBS
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.geojsons import box
from tests.unit.statskeeper.compacted import Ledger, Log
from tests.unit.statskeeper.entries import TENANT, every_kind_rewards, learned, record

OTHER = 2


class Shop:
    """Every store in memory, and the jobs over them."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.feed = MemoryChangeFeed(clock)
        self.markets = MemoryMarketStore()
        self.catalog = MemoryCatalogStore(self.feed, self.markets)
        self.counts = MemoryCountStore()
        self.policies = MemoryPolicyStore(clock)
        self.tenants = MemoryTenantStore(clock)
        self.roster = Roster(self.tenants, self.policies, clock)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, KEEPER_METRICS)
        self.publish = publish_epochs(
            self.policies, self.counts, self.catalog, self.roster, self.metrics, clock
        )

    async def write(self, item_id: str, expires_in_s: float | None = None) -> None:
        expires_at = None if expires_in_s is None else self.clock() + expires_in_s
        item = Item(ItemId(item_id), (Place(59.9, 10.7),), expires_at=expires_at)
        await self.catalog.upsert(TENANT, [item], self.clock())

    async def epoch(self, tenant_id: int = TENANT) -> Epoch | None:
        return await self.policies.latest_epoch(tenant_id)


@pytest.fixture
async def shop(clock: FixedClock) -> Shop:
    """With two tenants."""
    shop = Shop(clock)
    await shop.tenants.ensure_tenant("one", "")
    await shop.tenants.ensure_tenant("two", "")
    return shop


async def test_placing_moves_items_when_borders_have_moved_and_then_rests(shop: Shop) -> None:
    await shop.write("a")
    place = place_items(shop.catalog, shop.metrics)
    assert await place.run() == {}
    area = read_area(box(10.0, 59.0, 11.0, 60.0), MARKET_LIMITS)
    await shop.markets.upsert(TENANT, [Market("oslo", "Oslo", "{}", area)], shop.clock())
    assert await place.run() == {"items": 1}
    stored = await shop.catalog.get(TENANT, "a")
    assert stored is not None
    assert stored.served.market == 1
    assert await place.run() == {}
    assert b"nearcast_statskeeper_items_placed_total 1.0" in render(shop.registry)


async def test_sweeping_ends_expired_items_and_counts_them(shop: Shop) -> None:
    await shop.write("lasting")
    await shop.write("brief", expires_in_s=60)
    sweep = sweep_items(shop.catalog, 5, shop.metrics, shop.clock)
    assert await sweep.run() == {}
    shop.clock.advance(61)
    assert await sweep.run() == {"ended": 1}
    assert await sweep.run() == {}
    assert "nearcast_statskeeper_items_expired_total 1.0" in render(shop.registry).decode()


async def test_tombstones_are_forgotten_after_their_hours(shop: Shop) -> None:
    await shop.write("a")
    await shop.catalog.delete(TENANT, ["a"], shop.clock())
    forget = forget_tombstones(shop.catalog, 168, shop.clock)
    shop.clock.advance(168 * 3600 - 1)
    assert await forget.run() == {}
    shop.clock.advance(2)
    assert await forget.run() == {"forgotten": 1}


async def test_changes_are_pruned_after_their_hours(shop: Shop) -> None:
    await shop.write("a")
    await shop.feed.sequence()
    prune = prune_changes(shop.feed, 24, shop.clock)
    shop.clock.advance(24 * 3600 - 1)
    assert await prune.run() == {}
    shop.clock.advance(2)
    assert await prune.run() == {"pruned": 1}
    assert await shop.feed.oldest_kept(TENANT) == 2


@dataclass
class Upkeep:
    """A log that has used so much of its memory, and what it was asked to keep."""

    used: float | None = 0.1
    kept: list[tuple[Sequence[int], float]] = field(default_factory=list)

    async def memory_share(self) -> float | None:
        return self.used

    async def trim(self, tenant_ids: Sequence[int], keep_s: float) -> int:
        self.kept.append((tenant_ids, keep_s))
        return 7


async def test_the_log_is_trimmed_for_every_tenant_but_for_the_replay_window(shop: Shop) -> None:
    upkeep = Upkeep()
    told = await trim_log(upkeep, shop.roster, 0.7, shop.metrics).run()
    assert told == {"entries": 7, "kept_s": 24 * 3600}
    assert upkeep.kept == [((TENANT, OTHER), 24 * 3600)]


@dataclass
class Told:
    """Counts that tell what changed, and what they were asked to drop."""

    asked: list[float] = field(default_factory=list)

    async def drop_changes(self, older_s: float) -> int:
        self.asked.append(older_s)
        return 3


async def test_what_is_told_of_changed_counts_is_dropped_after_minutes() -> None:
    told = Told()
    assert await drop_count_changes(told).run() == {}
    assert told.asked == [300.0]


@dataclass
class Readership:
    """A log with readers, and what it was asked to forget."""

    asked: list[tuple[Sequence[int], float]] = field(default_factory=list)

    async def forget_consumers(self, tenant_ids: Sequence[int], idle_s: float) -> int:
        self.asked.append((tenant_ids, idle_s))
        return 2 - len(self.asked)


async def test_readers_that_are_gone_for_a_day_are_forgotten(shop: Shop) -> None:
    readership = Readership()
    forget = forget_consumers(readership, shop.roster)
    assert await forget.run() == {"forgotten": 1}
    assert await forget.run() == {}
    assert readership.asked == [((TENANT, OTHER), 24 * 3600)] * 2


async def test_less_of_the_log_is_kept_while_its_memory_runs_out(shop: Shop) -> None:
    upkeep = Upkeep(used=0.69)
    await trim_log(upkeep, shop.roster, 0.7, shop.metrics).run()
    ((_, keep_s),) = upkeep.kept
    assert SHORTEST_S < keep_s < 3600
    assert f"nearcast_statskeeper_log_kept_seconds {keep_s}".encode() in render(shop.registry)


@pytest.mark.parametrize(
    ("used", "kept"),
    [(None, LONGEST_S), (0.0, LONGEST_S), (0.52, LONGEST_S), (0.7, SHORTEST_S), (1.2, SHORTEST_S)],
)
def test_all_is_kept_while_there_is_room_and_never_less_than_the_shortest_window(
    used: float | None, kept: float
) -> None:
    assert kept_s(used, 0.7) == pytest.approx(kept)


async def test_every_tenant_gets_its_first_epoch_at_once(shop: Shop) -> None:
    assert await shop.publish.run() == {"published": 2}
    for tenant_id in (TENANT, OTHER):
        epoch = await shop.epoch(tenant_id)
        assert epoch is not None
        assert (epoch.number, epoch.policy_revision, epoch.published_at) == (1, 1, shop.clock())
    assert await shop.publish.run() == {}


async def test_the_next_epoch_comes_when_the_policy_says_and_knows_what_was_learned(shop: Shop) -> None:
    await shop.publish.run()
    batch = plan([record(*(learned(VIEW, request) for request in range(1, 60)))], every_kind_rewards).batch
    await shop.counts.fold(batch)
    shop.clock.advance(15 * 60)
    assert await shop.publish.run() == {"published": 2}
    revision, epoch, other = (
        await shop.policies.current(TENANT),
        await shop.epoch(TENANT),
        await shop.epoch(OTHER),
    )
    assert epoch is not None
    assert other is not None
    every = tuple(sorted(revision.feeds[name] for name in revision.policy.feeds))
    rewarded = batch.rows[0].event.claims
    assert rewarded is not None
    assert epoch.number == 2
    assert epoch.shares[0][every][rewarded.feed] > 0.6 > other.shares[0][every][rewarded.feed]


async def test_a_new_policy_has_its_epoch_at_the_next_look(shop: Shop) -> None:
    await shop.publish.run()
    policy = replace(Policy(), scenarios={"default": Scenario(), "map": Scenario(feeds=("nearest",))})
    await shop.policies.apply(TENANT, policy, "me", "")
    assert await shop.publish.run() == {"published": 1}
    epoch = await shop.epoch()
    assert epoch is not None
    assert (epoch.number, epoch.policy_revision) == (2, 2)
    assert {len(feeds) for feeds in epoch.shares[0]} == {1, 4}


async def test_a_tenant_whose_epoch_cannot_be_computed_stops_no_other(shop: Shop) -> None:
    """Floors above 1 are refused when a policy is applied; a database may still hold such a one."""
    feeds = {"nearest": Feed("nearest", floor=0.7), "draw": Feed("draw", floor=0.7)}

    class OddPolicies(MemoryPolicyStore):
        async def current(self, tenant_id: int) -> Revision:
            revision = await super().current(tenant_id)
            policy = Policy(feeds=feeds) if tenant_id == TENANT else revision.policy
            return dataclasses.replace(revision, policy=policy)

    policies = OddPolicies(shop.clock)
    publish = publish_epochs(policies, shop.counts, shop.catalog, shop.roster, shop.metrics, shop.clock)
    assert await publish.run() == {"published": 1}
    assert await policies.latest_epoch(TENANT) is None
    assert await policies.latest_epoch(OTHER) is not None


async def test_a_policy_of_a_newer_version_stops_no_other_tenant_and_is_told_once(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    class NewerPolicies(MemoryPolicyStore):
        written = "one"

        async def current(self, tenant_id: int) -> Revision:
            if tenant_id == TENANT:
                raise UnreadablePolicyError(f"revision {self.written} is of another version")
            return await super().current(tenant_id)

    policies = NewerPolicies(shop.clock)
    publish = publish_epochs(policies, shop.counts, shop.catalog, shop.roster, shop.metrics, shop.clock)
    assert await publish.run() == {"published": 1}
    assert await policies.latest_epoch(OTHER) is not None
    for written, told in (("one", 1), ("two", 2), ("two", 2)):
        policies.written = written
        await publish.run()
        assert [record.getMessage() for record in caplog.records] == ["epoch.not_published"] * told


async def test_a_store_that_is_away_puts_the_job_off(shop: Shop) -> None:
    class AwayPolicies(MemoryPolicyStore):
        async def current(self, tenant_id: int) -> Revision:
            raise StoreUnavailableError("Postgres does not answer")

    publish = publish_epochs(
        AwayPolicies(shop.clock), shop.counts, shop.catalog, shop.roster, shop.metrics, shop.clock
    )
    with pytest.raises(StoreUnavailableError):
        await publish.run()


def jobs_of(shop: Shop) -> list[Job]:
    class Reader:
        async def run(self) -> dict[str, object]:
            return {}

    async def ensure() -> None: ...

    async def go_on() -> bool:
        return True

    priors = MemoryPriorStore()
    fitter = Fitter(
        Standpoint(shop.policies), shop.counts, shop.catalog, priors, shop.metrics, shop.clock, go_on
    )
    curver = CurveFitter(shop.policies, shop.counts, MemoryCurveStore(), shop.metrics, shop.clock, go_on)
    return [
        fit_curves(curver, shop.roster),
        sweep_items(shop.catalog, 5, shop.metrics, shop.clock),
        place_items(shop.catalog, shop.metrics),
        forget_tombstones(shop.catalog, 1, shop.clock),
        plan_partitions(ensure),
        prune_changes(shop.feed, 1, shop.clock),
        drop_count_changes(Told()),
        trim_log(Upkeep(), shop.roster, 0.7, shop.metrics),
        forget_consumers(Readership(), shop.roster),
        compact_ledger(Ledger(shop.clock, []), Log(), shop.metrics, shop.clock),
        read_source(Reader(), 5),  # type: ignore[arg-type]
        shop.publish,
        fit_all(fitter, shop.roster),
    ]


async def test_jobs_and_dead_letters_are_counted_by_name(shop: Shop) -> None:
    assert sorted(job.name for job in jobs_of(shop)) == sorted(JOBS)
    assert set(DEAD_REASONS) == {reason.value for reason in DeadReason}
