"""Fits of priors: when one is due, what it rests on, and that they follow what was counted."""

import dataclasses
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level
from nearcast_bandit.newcomer import Incumbent, chance_to_beat
from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.caps import Caps
from nearcast_config.newcomers import Newcomers
from nearcast_config.policy import Exposure, Kind, Policy, Priors, Slate
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_ledger.kinds import APPLY, IMPRESSION, VIEW
from nearcast_statskeeper.jobs.fitting import Fitter, fit_all
from nearcast_statskeeper.priors import is_due, seen_in, seen_together
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import exposing
from nearcast_store.counting.protocol import Changes, CountRow, CountStore
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.markets.memory import MemoryMarketStore
from nearcast_store.markets.protocol import Market
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.priors.memory import MemoryPriorStore
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.geojsons import box

TENANT = 1
OSLO, NOWHERE = 1, 0
LEARNED = msgspec.structs.replace(
    Policy(), priors=Priors(mode="learned"), exposure=Exposure(half_life_hours=0.0)
)


class Counts:
    """Counts of everything, three to a page."""

    def __init__(self) -> None:
        self.rows: list[CountRow] = []
        self.is_away = False

    async def changed_since(
        self, tenant_id: int, horizon: int | None, after: CountRow | None = None, most: int = 3
    ) -> Changes:
        if self.is_away:
            raise StoreUnavailableError("Postgres does not answer")
        left = [row for row in sorted(self.rows) if after is None or row[:7] > after[:7]]
        return Changes(left[:most], 7, complete=True, more=len(left) > most)


class Shop:
    """A keeper's job of fitting over stores in memory."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.markets = MemoryMarketStore()
        self.catalog = MemoryCatalogStore(MemoryChangeFeed(clock), self.markets)
        self.counts = Counts()
        self.policies = MemoryPolicyStore(clock, first=LEARNED)
        self.tenants = MemoryTenantStore(clock)
        self.priors = MemoryPriorStore()
        self.registry = CollectorRegistry()
        self.leads = True
        metrics, counts = Metrics(self.registry, KEEPER_METRICS), cast("CountStore", self.counts)
        fitter = Fitter(
            Standpoint(self.policies), counts, self.catalog, self.priors, metrics, self.clock, self._leads
        )
        self._job = fit_all(fitter, Roster(self.tenants, self.policies, self.clock))

    async def run(self) -> dict[str, object]:
        return await self._job.run()

    async def _leads(self) -> bool:
        return self.leads

    async def item(self, name: str, category: str, *, in_oslo: bool = True, **counted: int) -> int:
        """An item, and what happened to it two days ago."""
        place = Place(59.9, 10.7) if in_oslo else Place(40.0, 0.0)
        item = Item(ItemId(name), (place,), category=category)
        (written,) = await self.catalog.upsert(TENANT, [item], self.clock())
        self.count(written.posting, **counted)
        return written.posting

    def count(self, posting: int, hours_ago: int = 48, **counted: int) -> None:
        hour = int(self.clock() // 3600) - hours_ago
        numbers = {"shown": IMPRESSION, "view": VIEW, "apply": APPLY}
        self.counts.rows += [
            CountRow(posting, 0, numbers[kind], hour, 1, 1, False, count) for kind, count in counted.items()
        ]

    async def fit(self) -> PriorFit:
        fit = await self.priors.latest(TENANT)
        assert fit is not None
        return fit


@pytest.fixture
async def shop(clock: FixedClock) -> Shop:
    """With one tenant, whose one market is Oslo."""
    shop = Shop(clock)
    await shop.tenants.ensure_tenant("one", "")
    area = read_area(box(10.0, 59.0, 11.0, 60.0), MARKET_LIMITS)
    await shop.markets.upsert(TENANT, [Market("oslo", "Oslo", "{}", area)], clock())
    return shop


async def test_priors_follow_what_was_counted_in_each_market_and_category(shop: Shop) -> None:
    for number in range(40):
        await shop.item(f"job-{number}", "jobs", shown=1000, view=300 + number)
        await shop.item(f"sale-{number}", "sales", shown=1000, view=20 + number // 2)
        await shop.item(f"far-{number}", "jobs", in_oslo=False, shown=1000, view=5)
    assert await shop.run() == {"fitted": 1}
    views = (await shop.fit()).priors[VIEW]
    assert set(views) == {
        EVERYWHERE,
        (OSLO, None),
        (OSLO, "jobs"),
        (OSLO, "sales"),
        (NOWHERE, None),
        (NOWHERE, "jobs"),
    }
    assert views[OSLO, "jobs"].prior.mean == pytest.approx(0.32, rel=0.03)
    assert views[OSLO, "sales"].prior.mean == pytest.approx(0.03, rel=0.2)
    assert views[NOWHERE, "jobs"].prior.mean == pytest.approx(0.005, rel=0.2)
    assert 0.03 < views[OSLO, None].prior.mean < 0.32
    assert views[OSLO, "jobs"].level is Level.CATEGORY
    assert views[OSLO, "jobs"].children == 40


async def test_the_last_place_of_an_ended_item_is_still_learned_from(shop: Shop) -> None:
    await shop.item("a", "jobs", shown=1000, view=500)
    await shop.catalog.delete(TENANT, ["a"], shop.clock())
    await shop.run()
    assert (await shop.fit()).priors[VIEW][OSLO, "jobs"].successes == 500


async def test_an_item_too_young_for_its_successes_is_not_taken_for_a_bad_one(shop: Shop) -> None:
    """Applications take six hours on average, views none."""
    await shop.item("old", "jobs", shown=1000, view=100, apply=100)
    young = await shop.item("young", "jobs")
    shop.count(young, hours_ago=2, shown=1000, view=100)
    await shop.run()
    fit = await shop.fit()
    assert fit.priors[VIEW][OSLO, "jobs"].children == 2
    assert fit.priors[APPLY][OSLO, "jobs"].children == 1


async def test_without_any_evidence_the_fit_is_what_is_configured(shop: Shop) -> None:
    await shop.run()
    views, kind = (await shop.fit()).priors[VIEW], LEARNED.kinds["view"]
    assert set(views) == {EVERYWHERE}
    top = views[EVERYWHERE]
    assert (top.prior.mean, top.prior.strength) == (kind.prior_mean, kind.prior_strength)
    assert (top.level, top.kind) == (Level.CONFIGURED, FitKind.TOO_LITTLE)


async def test_strengths_keep_to_their_bounds(shop: Shop) -> None:
    bounded = msgspec.structs.replace(
        LEARNED, priors=Priors(mode="learned", strength_min=30.0, strength_max=40.0)
    )
    await shop.policies.apply(TENANT, bounded, "", "")
    for number in range(20):
        await shop.item(f"same-{number}", "alike", shown=1000, view=100)
        await shop.item(f"other-{number}", "different", shown=1000, view=900 * (number % 2))
    await shop.run()
    views = (await shop.fit()).priors[VIEW]
    assert views[OSLO, "alike"].prior.strength == pytest.approx(40.0)
    assert views[OSLO, "different"].prior.strength == pytest.approx(30.0)


async def test_a_new_item_beats_the_last_place_of_its_market_as_often_as_is_asked(shop: Shop) -> None:
    asked = msgspec.structs.replace(
        LEARNED, newcomers=Newcomers(beats_incumbent=0.05), slate=Slate(default_limit=5)
    )
    for number in range(12):
        await shop.item(f"job-{number}", "jobs", shown=2000, view=100 + 20 * number)
        await shop.item(f"far-{number}", "jobs", in_oslo=False, shown=2000, view=10 + number)
    await shop.run()
    fitted = (await shop.fit()).priors[VIEW]
    await shop.policies.apply(TENANT, asked, "", "")
    await shop.run()
    views = (await shop.fit()).priors[VIEW]
    for market, seen in ((OSLO, 100 + 20 * 7), (NOWHERE, 10 + 7)):
        prior, own = views[market, "jobs"].prior, fitted[market, "jobs"].prior
        a = own.strength * own.mean + seen
        b = own.strength * (1 - own.mean) + 2000 - seen
        mean = a / (a + b)
        incumbent = Incumbent(mean, mean * (1 - mean) / (a + b + 1))
        assert chance_to_beat(prior, incumbent) == pytest.approx(0.05, rel=1e-3)
        assert prior.strength == own.strength
        assert views[market, "jobs"].kind is FitKind.BY_CHANCE


async def test_without_an_incumbent_a_new_item_begins_as_was_fitted(shop: Shop) -> None:
    await shop.policies.apply(
        TENANT, msgspec.structs.replace(LEARNED, newcomers=Newcomers(beats_incumbent=0.05)), "", ""
    )
    await shop.run()
    top, kind = (await shop.fit()).priors[VIEW][EVERYWHERE], LEARNED.kinds["view"]
    assert (top.prior.mean, top.kind) == (kind.prior_mean, FitKind.TOO_LITTLE)


async def test_fixed_priors_are_never_fitted(shop: Shop) -> None:
    await shop.policies.apply(TENANT, Policy(), "", "")
    assert await shop.run() == {}
    assert await shop.priors.latest(TENANT) is None


async def test_a_fit_lasts_its_hours_and_is_followed_by_the_next_number(shop: Shop) -> None:
    assert await shop.run() == {"fitted": 1}
    shop.clock.advance(3600 - 1)
    assert await shop.run() == {}
    shop.clock.advance(2)
    assert await shop.run() == {"fitted": 1}
    assert (await shop.fit()).number == 2
    assert b"nearcast_statskeeper_priors_fitted_total 2.0" in render(shop.registry)


async def test_a_fit_from_the_future_is_not_waited_for(shop: Shop) -> None:
    await shop.run()
    shop.clock.advance(-86_400)
    assert await shop.run() == {"fitted": 1}


@pytest.mark.parametrize(
    ("changed", "is_refitted"),
    [
        ({"kinds": {**LEARNED.kinds, "view": Kind(prior_mean=0.2)}}, True),
        ({"exposure": Exposure(half_life_hours=10.0)}, True),
        ({"priors": Priors(mode="learned", strength_max=99.0)}, True),
        ({"newcomers": Newcomers(beats_incumbent=0.1)}, True),
        ({"caps": Caps(item_per_hour=5000)}, True),
        ({"slate": Slate(default_limit=3)}, False),
        ({"priors": Priors(mode="learned", fit_every_hours=700.0)}, False),
        ({"exploration": msgspec.structs.replace(LEARNED.exploration, share=0.1)}, False),
    ],
)
async def test_a_policy_that_a_fit_rests_on_is_fitted_anew_at_once(
    shop: Shop, changed: dict[str, Any], is_refitted: bool
) -> None:
    await shop.run()
    revision = await shop.policies.apply(TENANT, msgspec.structs.replace(LEARNED, **changed), "", "")
    assert is_due(await shop.fit(), revision, exposing(revision.policy), shop.clock()) is is_refitted


async def test_a_keeper_that_lost_its_lease_meanwhile_publishes_nothing(shop: Shop) -> None:
    shop.leads = False
    assert await shop.run() == {}
    assert await shop.priors.latest(TENANT) is None


async def test_a_tenant_that_cannot_be_fitted_stops_no_other(shop: Shop) -> None:
    other = await shop.tenants.ensure_tenant("other", "")
    await shop.priors.publish(PriorFit(TENANT, 5, b"", shop.clock(), {}))
    stuck = dataclasses.replace(await shop.fit(), number=3)

    async def latest(tenant_id: int) -> PriorFit | None:
        return stuck if tenant_id == TENANT else None

    shop.priors.latest = latest  # type: ignore[method-assign]
    assert await shop.run() == {"fitted": 1}
    assert set(shop.priors._latest) == {TENANT, other}


@pytest.mark.parametrize("caps", [Caps(), Caps(item_per_hour=400), Caps(owner_per_hour=1500)])
async def test_nothing_is_learned_from_what_pauses(shop: Shop, caps: Caps) -> None:
    """Forty items of ten owners; those of two were shown often within the hour, and liked."""
    await shop.policies.apply(TENANT, msgspec.structs.replace(LEARNED, caps=caps), "", "")
    for number in range(40):
        posting = await shop.item(f"item-{number}", "jobs", shown=1000, view=20 + number % 7)
        if number < 8:
            shop.count(posting, hours_ago=0, shown=400, view=300)
        await shop.catalog.upsert(TENANT, [owned(f"item-{number}", f"owner-{number // 4}")], shop.clock())
    await shop.run()
    top = (await shop.fit()).priors[VIEW][EVERYWHERE]
    pauses = caps.are_set
    assert top.children == (32 if pauses else 40)
    assert (top.prior.mean < 0.03) == pauses


def owned(name: str, owner: str) -> Item:
    return Item(ItemId(name), (Place(59.9, 10.7),), category="jobs", owner=owner)


async def test_a_store_that_is_away_is_asked_again_later(shop: Shop) -> None:
    shop.counts.is_away = True
    with pytest.raises(StoreUnavailableError):
        await shop.run()
    shop.counts.is_away = False
    assert await shop.run() == {"fitted": 1}


async def test_evidence_is_the_same_however_it_is_split_into_pages(shop: Shop) -> None:
    for number in range(9):
        posting = await shop.item(f"item-{number}", "jobs", shown=50 + number, view=number, apply=1)
        shop.count(posting, hours_ago=number, shown=10, view=2)
    revision, now = await shop.policies.current(TENANT), shop.clock()
    rows = sorted(shop.counts.rows)
    kept = exposing(revision.policy)
    whole = seen_in(CountColumns.of(rows), revision, kept, now)
    pages = [
        seen_in(CountColumns.of(rows[at : at + 4]), revision, kept, now) for at in range(0, len(rows), 4)
    ]
    together = seen_together(pages, len(revision.policy.kinds))
    assert together.postings.tolist() == whole.postings.tolist()
    for name in ("exposures", "successes", "whole", "before", "current"):
        np.testing.assert_allclose(getattr(together, name), getattr(whole, name), rtol=1e-12)
