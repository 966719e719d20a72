"""Exposure through every part: what keepers count and fit is what gateways, replicas and commands tell."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, market_pb2, stats_pb2
from nearcast_cli.commands.policy_curve import curve
from nearcast_config.mastery import Market, MarketKind
from nearcast_config.policy import Exposure, Policy
from nearcast_config.policytext import policy_to_toml
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_ledger.requestid import RequestIds
from nearcast_replica.answering import answerer
from nearcast_statskeeper.verifying import verify_stats
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import eventually, item, running_keeper
from tests.geojsons import box
from tests.replicahouse import SOON_S, House, Scribe, open_house

WEST, EAST = 10.74, 10.76
FITTED = msgspec.structs.replace(
    Policy(),
    exposure=Exposure(mode="pbm", position_curve="fitted", curve_evidence=50, half_life_hours=0.0),
    markets={"west": Market(half_life_hours=24.0, kinds={"view": MarketKind(prior_mean=0.6)})},
)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    answerer()
    monkeypatch.setattr("nearcast_statskeeper.jobs.curving.INTERVAL_S", 0.1)
    monkeypatch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)


class Town:
    """Items in the west, which is a market, and in the east, which is none."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def call(self, request: Any) -> Any:
        return await self.house.gateway.call(self.house.tenant, request)

    async def apply(self, policy: Policy) -> None:
        store = PostgresPolicyStore(self.house.gateway.pool)
        await store.apply(self.house.tenant.tenant_id, policy, "tests", "")

    async def put(self, *item_ids: str, lon: float) -> list[int]:
        await self.house.upsert(*(item(each, longitude=lon) for each in item_ids))
        rows = await self.fetch(
            "select posting from items where tenant_id = $1 and item_id = any($2::text[]) order by posting",
            list(item_ids),
        )
        return [row["posting"] for row in rows]

    async def count(self, posting: int, kind: int, count: int, *, explore: bool, **where: int) -> None:
        place = {"position": 1, "hours_ago": 48} | where
        hour = int(time.time() // 3600) - place["hours_ago"]
        statement = "insert into item_counts values ($1, $2, 0, $3, $4, $5, 1, $6, $7)"
        await self.fetch(statement, posting, kind, hour, place["position"], explore, count)
        statement = "insert into posting_totals values ($1, $2, $3, $4) on conflict do nothing"
        await self.fetch(statement, posting, kind, count)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        async with self.house.gateway.pool.connection() as connection:
            return await connection.fetch(query, self.house.tenant.tenant_id, *arguments)

    async def stats(self, item_id: str) -> stats_pb2.KindStats:
        """What GetStats says of the item's views."""
        answer = await self.call(stats_pb2.GetStatsRequest(item_ids=[item_id]))
        return next(kind for kind in answer.items[0].kinds if kind.kind == "view")

    async def exposure(self, item_id: str) -> float:
        return (await self.stats(item_id)).exposure

    async def explained(self, item_id: str) -> Any:
        """What an answer of the replica says of them; None when the item is not in it."""
        answer = await self.house.ask(explain=True, limit=100)
        found = [each for each in answer.items if each.item_id == item_id]
        kinds = found[0].explanation.kinds if found else []
        return next((kind for kind in kinds if kind.kind == "view"), None)

    async def curve(self) -> dict[str, Any]:
        where = ("--tenant", self.house.tenant.slug, "--postgres-dsn", self.house.direct.postgres.dsn)
        done = await asyncio.to_thread(CliRunner().invoke, curve, [*where, "--json"], standalone_mode=False)
        assert done.exception is None, done.exception
        said: dict[str, Any] = json.loads(done.stdout)
        return said


@pytest.fixture
async def town(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_house(database, redis_url, tmp_path) as house:
        yield Town(house)


async def test_a_fitted_curve_and_a_markets_beliefs_reach_every_part(town: Town) -> None:
    async with Scribe(town.house.config), running_keeper(town.house.direct):
        await town.apply(FITTED)
        area = box(10.70, 59.8, 10.75, 60.0)
        markets = [market_pb2.Market(market_id="west", geometry=area)]
        await town.call(catalog_pb2.UpsertMarketsRequest(markets=markets))
        (seen,) = await town.put("seen", lon=EAST)
        await town.put("new-west", lon=WEST)
        await eventually(town.curve, SOON_S, lambda said: "position 1 has 0 successes" in said["lacking"])
        assert (await town.curve())["fit"] is None
        await town.count(seen, IMPRESSION, 400, explore=False, position=2)
        for position, views in ((1, 500), (2, 200)):
            await town.count(seen, IMPRESSION, 1000, explore=True, position=position)
            await town.count(seen, VIEW, views, explore=True, position=position)
        exposure = msgspec.structs.replace(FITTED.exposure, curve_evidence=60)
        await town.apply(msgspec.structs.replace(FITTED, exposure=exposure))
        told = await eventually(
            lambda: town.stats("seen"), SOON_S, lambda told: told.exposure == pytest.approx(1560)
        )
        said = await town.curve()
        assert said["fit"]["shares"] == pytest.approx([1.0, 0.4])
        assert [each["successes"] for each in said["fit"]["positions"]] == [500, 200]
        assert said["lacking"] == ""
        await town.house.from_replica(explain=True)
        await eventually(
            lambda: town.explained("seen"),
            SOON_S,
            lambda each: each and each.posterior_b == pytest.approx(told.posterior_b, rel=1e-5),
        )
        for ask in (town.stats, town.explained):
            begun = await eventually(
                partial(ask, "new-west"), SOON_S, lambda told: told and told.prior_mean == 0.6
            )
            mean = begun.posterior_a / (begun.posterior_a + begun.posterior_b)
            assert mean == pytest.approx(0.6, rel=1e-5)


async def test_what_lies_below_a_success_is_no_evidence_and_a_recount_agrees(town: Town) -> None:
    exposure = Exposure(mode="cascade", stops_at=("apply",), half_life_hours=0.0)
    async with running_keeper(town.house.direct):
        await town.apply(msgspec.structs.replace(Policy(), exposure=exposure))
        await town.put(*(f"item-{number}" for number in range(4)), lon=EAST)
        revisions = await town.fetch("select max(revision) from policy_revisions where tenant_id = $1")
        answer = await eventually(
            lambda: town.house.ask(limit=4),
            SOON_S,
            lambda answer: len(answer.items) == 4 and answer.policy_revision == revisions[0][0],
        )
        ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
        done = [("impression", place) for place in range(4)] + [("apply", 1), ("view", 3)]
        events = [
            event_pb2.Event(
                kind=kind, event_id=str(ids.next()), reward_token=answer.items[place].reward_token
            )
            for kind, place in done
        ]
        for event in events[::-1]:
            await town.call(event_pb2.RecordEventsRequest(events=[event]))
        for place, exposed in enumerate((1, 1, 0, 0)):
            exposure_of = partial(town.exposure, answer.items[place].item_id)
            await eventually(exposure_of, SOON_S, float(exposed).__eq__)
        verdict = await verify_stats(town.house.gateway.pool, 5)
        assert verdict.clean, verdict.differences


async def test_a_half_life_too_short_for_the_traffic_is_told_when_a_policy_is_checked(town: Town) -> None:
    postings = await town.put(*(f"item-{number}" for number in range(30)), lon=EAST)
    for posting in postings:
        await town.count(posting, IMPRESSION, 50, explore=False, hours_ago=49)
    exposure = Exposure(half_life_hours=8.0)
    text = policy_to_toml(msgspec.structs.replace(Policy(), exposure=exposure))
    answer = await town.call(admin_pb2.ValidatePolicyRequest(policy_toml=text))
    said = [each.message for each in answer.warnings if each.key == "policy.exposure.half_life_hours"]
    assert len(said) == 1
    assert "8 leaves about 12 impressions of evidence per item" in said[0]
    assert "shown 1 times an hour, against priors of apply 100, save 50, view 20" in said[0]
