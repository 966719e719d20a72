"""Priors that are learned, through every part: counts, keeper, gateway, replica, and what is said of them."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.v1 import catalog_pb2, market_pb2, prior_pb2, stats_pb2
from nearcast_config.policy import Exposure, Policy, Priors
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_replica.answering import answerer
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import eventually, item, running_keeper
from tests.geojsons import box
from tests.replicahouse import SOON_S, House, Scribe, open_house

FIXED = msgspec.structs.replace(Policy(), exposure=Exposure(half_life_hours=0.0))
LEARNED = msgspec.structs.replace(FIXED, priors=Priors(mode="learned", fit_every_hours=720.0))
WEST, EAST = 10.74, 10.76
ITEMS = 12
SHOWN = 400


@pytest.fixture(scope="module", autouse=True)
def _machine_code() -> None:
    """Made, or loaded, before anybody waits for it."""
    answerer()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast_statskeeper.jobs.fitting.INTERVAL_S", 0.1)
    monkeypatch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)


class Town:
    """Two markets side by side, in each of which a dozen items were seen alike often."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def call(self, request: Any) -> Any:
        return await self.house.gateway.call(self.house.tenant, request)

    async def apply(self, policy: Policy) -> None:
        store = PostgresPolicyStore(self.house.gateway.pool)
        await store.apply(self.house.tenant.tenant_id, policy, "tests", "")

    async def furnish(self) -> None:
        """Of what is shown in the west a third is looked at, in the east a fiftieth."""
        halves = {"west": box(10.70, 59.8, 10.75, 60.0), "east": box(10.75, 59.8, 10.80, 60.0)}
        markets = [market_pb2.Market(market_id=name, geometry=area) for name, area in halves.items()]
        await self.call(catalog_pb2.UpsertMarketsRequest(markets=markets))
        for lon, seen in ((WEST, SHOWN // 3), (EAST, SHOWN // 50)):
            postings = await self.put(*(f"{lon}-{n}" for n in range(ITEMS)), lon=lon)
            await self.count(postings, IMPRESSION, [SHOWN] * ITEMS)
            await self.count(postings, VIEW, [seen + n for n in range(ITEMS)])

    async def put(self, *item_ids: str, lon: float, category: str = "cafe") -> list[int]:
        items = [item(each, longitude=lon, category=category) for each in item_ids]
        await self.house.upsert(*items)
        rows = await self.fetch(
            "select posting from items where tenant_id = $1 and item_id = any($2::text[]) order by posting",
            list(item_ids),
        )
        return [row["posting"] for row in rows]

    async def count(self, postings: Sequence[int], kind: int, counts: Sequence[int]) -> None:
        await self.fetch(
            "insert into item_counts"
            " (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count)"
            " select $1, posting, 0, $2, $3, 1, 1, false, count"
            " from unnest($4::bigint[], $5::bigint[]) as c (posting, count)",
            kind,
            int(time.time() // 3600) - 48,
            postings,
            counts,
        )

    async def fetch(self, query: str, *arguments: Any) -> Any:
        async with self.house.gateway.pool.connection() as connection:
            return await connection.fetch(query, self.house.tenant.tenant_id, *arguments)

    async def stats(self, item_id: str) -> stats_pb2.KindStats:
        """What GetStats says of the item's views."""
        answer = await self.call(stats_pb2.GetStatsRequest(item_ids=[item_id]))
        return next(kind for kind in answer.items[0].kinds if kind.kind == "view")

    async def explained(self, item_id: str) -> Any:
        """What an answer says of the item's views; None when the item is not in it."""
        answer = await self.house.ask(explain=True, limit=100)
        for found in answer.items:
            if found.item_id == item_id:
                return next(kind for kind in found.explanation.kinds if kind.kind == "view")
        return None

    async def begins_with(self, item_id: str, fit: int, mean: float, within_s: float = SOON_S) -> None:
        """Return once this is the prior of the item, everywhere it is told."""

        def is_so(told: Any) -> bool:
            if told is None:
                return False
            strength = told.posterior_a + told.posterior_b
            # What the replica holds may still be of the fit before while the new one is told already.
            is_begun = strength == pytest.approx(told.prior_strength, rel=1e-5)
            is_mean = told.posterior_a / strength == pytest.approx(mean, rel=0.1)
            return bool(told.prior_origin.fit == fit and is_mean and is_begun)

        for ask in (self.stats, self.explained):
            told = await eventually(partial(ask, item_id), within_s, is_so)
            assert told.prior_mean == pytest.approx(mean, rel=0.1)


@pytest.fixture
async def town(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_house(database, redis_url, tmp_path) as house:
        yield Town(house)


@asynccontextmanager
async def furnished(town: Town, policy: Policy) -> AsyncIterator[None]:
    """With a keeper."""
    async with running_keeper(town.house.direct):
        await town.apply(policy)
        await town.furnish()
        yield


async def test_a_market_with_other_rates_learns_other_priors_and_new_items_begin_there(town: Town) -> None:
    async with Scribe(town.house.config), furnished(town, FIXED):
        await town.put("new-west", lon=WEST)
        await town.put("new-east", lon=EAST)
        await town.house.from_replica()
        await town.begins_with("new-west", 0, 0.1)
        assert (await town.stats("new-west")).prior_origin.level == prior_pb2.PRIOR_LEVEL_CONFIGURED
        await town.apply(LEARNED)
        await town.begins_with("new-west", 1, 0.34)
        await town.begins_with("new-east", 1, 0.034)
        origin = (await town.stats("new-east")).prior_origin
        assert (origin.level, origin.items) == (prior_pb2.PRIOR_LEVEL_CATEGORY, ITEMS)
        assert origin.exposure == pytest.approx(ITEMS * SHOWN)
        assert 0 < origin.own_share < 1
        await town.put("newer-west", lon=WEST, category="bakery")
        await town.begins_with("newer-west", 1, 0.34)
        assert (await town.stats("newer-west")).prior_origin.level == prior_pb2.PRIOR_LEVEL_MARKET
        await town.house.from_replica(explain=True)


async def test_an_item_that_moves_begins_where_it_moved_to(town: Town) -> None:
    async with Scribe(town.house.config), furnished(town, LEARNED):
        await town.put("mover", lon=WEST)
        await town.house.from_replica()
        fits = await eventually(
            lambda: town.fetch("select number from prior_fits where tenant_id = $1"), SOON_S
        )
        fit = len(fits)
        await town.apply(msgspec.structs.replace(LEARNED, exposure=Exposure(half_life_hours=87_600.0)))
        await town.begins_with("mover", fit + 1, 0.34)
        await town.put("mover", lon=EAST)
        await town.begins_with("mover", fit + 1, 0.034)


async def test_what_was_learned_stays_in_force_while_no_keeper_lives(town: Town) -> None:
    """Neither a new policy nor a new item waits for one; the next keeper fits what it finds."""
    async with furnished(town, FIXED):
        await town.apply(LEARNED)
        await town.put("new-west", lon=WEST)
        await town.begins_with("new-west", 1, 0.34)
    changed = msgspec.structs.replace(
        LEARNED, priors=Priors(mode="learned", strength_min=5.0, fit_every_hours=720.0)
    )
    await town.apply(FIXED)
    await town.begins_with("new-west", 0, 0.1)
    await town.apply(changed)
    await town.begins_with("new-west", 1, 0.34)
    async with running_keeper(town.house.direct):
        await town.begins_with("new-west", 2, 0.34)
