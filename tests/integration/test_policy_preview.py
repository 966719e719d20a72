"""`nearcast policy preview`: what a policy would do to new items, from real counts."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, market_pb2
from nearcast_cli.commands.policy import command
from nearcast_config.problems import SettingsError
from tests.gateways import (
    Gateway,
    Tenant,
    eventually,
    item,
    make_config,
    recommend,
    running_gateway,
    running_keeper,
)
from tests.geojsons import box
from tests.services import new_database

PATIENT_S = 60.0
HERE = (59.91, 10.75)
QUIET = '[policy.exploration]\nshare = 0\n[policy.scenarios.default]\nfeeds = ["nearest"]\n'
SLATE = "[policy.slate]\ndefault_limit = 3\n"


class Shop:
    """A tenant whose twelve items in Oslo were partly seen, and one item elsewhere that nobody saw."""

    def __init__(self, gateway: Gateway, tenant: Tenant, file: Path) -> None:
        self.gateway = gateway
        self.tenant = tenant
        self.file = file

    async def call(self, request: Any) -> Any:
        return await self.gateway.call(self.tenant, request)

    async def see(self, times: int) -> None:
        """The eight items nearest to the middle, each so often, with a view now and then."""
        for turn in range(times):
            answer = await self.call(recommend(*HERE, session_id=f"s-{turn}", limit=8))
            acts = [
                event_pb2.Event(kind="impression", reward_token=each.reward_token) for each in answer.items
            ]
            acts += [
                event_pb2.Event(kind="view", reward_token=each.reward_token)
                for number, each in enumerate(answer.items)
                if (turn + number) % 10 == 0
            ]
            await self.call(event_pb2.RecordEventsRequest(events=acts))

        async def counted() -> int:
            async with self.gateway.pool.connection() as connection:
                found = await connection.fetchval(
                    "select coalesce(sum(count), 0) from item_counts where tenant_id = $1 and kind = 1",
                    self.tenant.tenant_id,
                )
            return int(found)

        await eventually(counted, PATIENT_S, lambda count: count == 8 * times)

    async def run(self, text: str, *more: str) -> Result:
        self.file.write_text(text, "utf-8")
        dsn = self.gateway.config.postgres.dsn
        arguments = ["preview", str(self.file), "--tenant", self.tenant.slug, "--postgres-dsn", dsn, *more]
        return await asyncio.to_thread(CliRunner().invoke, command, arguments, standalone_mode=False)

    async def told(self, text: str, *more: str) -> dict[str, Any]:
        done = await self.run(text, "--json", *more)
        assert done.exception is None, done.exception
        return {each["market"]: each for each in json.loads(done.stdout)["markets"]}


@pytest.fixture(scope="module")
async def shop(
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shop]:
    async with new_database(postgres_server, migrated_template) as dsn:
        config = make_config(dsn, next(_redis_databases))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)
            async with running_keeper(config), running_gateway(config) as gateway:
                tenant = await gateway.new_tenant("preview")
                shop = Shop(gateway, tenant, tmp_path_factory.mktemp("preview") / "new.toml")
                oslo = market_pb2.Market(market_id="oslo", geometry=box(10.0, 59.0, 11.0, 60.0))
                await shop.call(catalog_pb2.UpsertMarketsRequest(markets=[oslo]))
                items = [item(f"item-{n}", HERE[0] + n / 10_000, HERE[1]) for n in range(12)]
                await shop.call(catalog_pb2.UpsertItemsRequest(items=[*items, item("far", 1.0, 1.0)]))
                applied = await shop.call(admin_pb2.ApplyPolicyRequest(policy_toml=QUIET + SLATE))

                async def ready() -> tuple[int, int]:
                    answer = await shop.call(recommend(*HERE, limit=20))
                    return answer.policy_revision, len(answer.items)

                await eventually(ready, PATIENT_S, lambda found: found == (applied.revision, 12))
                await shop.see(30)
                yield shop


async def test_a_more_hopeful_prior_shows_new_items_more_often(shop: Shop) -> None:
    hopeful = QUIET + SLATE + "[policy.kinds.view]\nprior_mean = 0.3\n"
    found = await shop.told(hopeful)
    oslo, elsewhere = found["oslo"], found[""]
    assert (oslo["items"], oslo["newItems"], oslo["missing"]) == (12, 4, "")
    before, after = oslo["inForce"], oslo["new"]
    assert 0 < before["chanceOfNewItem"] < after["chanceOfNewItem"] - 0.1
    assert before["newItemsShareOfPlaces"] < after["newItemsShareOfPlaces"]
    assert before["meanRankOfNewItem"] > after["meanRankOfNewItem"]
    assert before["exposures"] == pytest.approx(after["exposures"])
    assert elsewhere["missing"].startswith("no item there has been seen")
    again = (await shop.told(hopeful))["oslo"]["new"]
    assert again == pytest.approx(after, rel=1e-3)


async def test_the_same_policy_changes_nothing(shop: Shop) -> None:
    found = (await shop.told(QUIET + SLATE))["oslo"]
    assert found["inForce"] == pytest.approx(found["new"])


async def test_exploring_and_a_longer_slate_are_in_the_figures(shop: Shop) -> None:
    explores = SLATE.replace("3", "6") + "[policy.exploration]\nshare = 0.5\npool_size = 12\n"
    found = (await shop.told(explores))["oslo"]
    assert found["new"]["places"] == 6
    assert found["new"]["chanceOfNewItem"] > found["inForce"]["chanceOfNewItem"]


async def test_learned_priors_are_fitted_to_the_counts_for_the_preview(shop: Shop) -> None:
    """What is set by the chance to beat the incumbent only holds of priors that were fitted."""
    learned = QUIET + SLATE + "[policy.priors]\nmode = 'learned'\n[policy.newcomers]\nbeats_incumbent = "
    chances = [
        (await shop.told(learned + set_to))["oslo"]["new"]["chanceOfNewItem"] for set_to in ("0.02", "0.9")
    ]
    assert chances[0] < chances[1] - 0.04


async def test_a_shorter_half_life_is_told_with_what_it_leaves(shop: Shop) -> None:
    done = await shop.run(QUIET + SLATE + "[policy.exposure]\nhalf_life_hours = 0.01\n")
    assert done.exception is None
    assert "Half-life 720 -> 0.01 hours" in done.stdout
    found = (await shop.told(QUIET + SLATE + "[policy.exposure]\nhalf_life_hours = 0.01\n"))["oslo"]
    assert found["new"]["exposures"] < 0.9 * found["inForce"]["exposures"]


async def test_it_is_told_as_a_table_with_what_is_missing(shop: Shop) -> None:
    done = await shop.run(QUIET + SLATE, "--markets", "5")
    assert "a new item is shown" in done.stdout
    assert "oslo" in done.stdout
    assert "(no market): not told, as no item there has been seen" in done.stdout
    still = QUIET + SLATE + '[policy.feeds.nearest]\norder = "nearest"\n'
    told = (await shop.told(still))["oslo"]
    assert (
        told["missing"] == "the policy new has no feed that draws by a kind with a weight: no prior matters"
    )


async def test_a_policy_that_is_wrong_is_refused_by_key(shop: Shop) -> None:
    done = await shop.run("[policy.slate]\nlimit = 3\n")
    assert isinstance(done.exception, SettingsError)
    assert [problem.key for problem in done.exception.problems] == ["policy.slate.limit"]
