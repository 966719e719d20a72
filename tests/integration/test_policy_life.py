"""A policy's life over the wire: two gateways and a keeper use each revision soon and as a whole."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from nearcast.v1 import admin_pb2, catalog_pb2, market_pb2, stats_pb2
from nearcast_bandit.curvefitting import PlaceShare
from nearcast_ledger.kinds import IMPRESSION
from nearcast_store.curves.postgres import PostgresCurveStore
from nearcast_store.curves.protocol import CurveFit, Look
from tests.gateways import (
    Gateway,
    Refusal,
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

HERE = (59.91, 10.75)
PATIENT_S = 60.0


class House:
    """Two gateways of one installation, and a tenant with a market and a few items."""

    def __init__(self, gateways: list[Gateway], tenant: Tenant) -> None:
        self.gateways = gateways
        self.tenant = tenant

    async def call(self, request: Any, gateway: int = 0, **how: Any) -> Any:
        return await self.gateways[gateway].call(self.tenant, request, **how)

    async def apply(self, text: str, **asked: Any) -> int:
        request = admin_pb2.ApplyPolicyRequest(policy_toml=text, **asked)
        answer: admin_pb2.ApplyPolicyResponse = await self.call(request)
        return answer.revision

    async def refused(self, request: Any, **how: Any) -> Refusal:
        with pytest.raises(Refusal) as told:
            await self.call(request, **how)
        return told.value

    async def published(self) -> int:
        """The revision that the keeper's last epoch was made for."""
        async with self.gateways[0].pool.connection() as connection:
            found = await connection.fetchval(
                "select policy_revision from policy_epochs where tenant_id = $1 order by epoch desc limit 1",
                self.tenant.tenant_id,
            )
        return int(found or 0)

    async def follow(self, revision: int) -> None:
        """Until both gateways answer under a revision, and the keeper has published for it."""

        async def seen() -> list[int]:
            answers = [await self.call(recommend(*HERE), number) for number in range(2)]
            return [*(answer.policy_revision for answer in answers), await self.published()]

        await eventually(seen, PATIENT_S, lambda found: set(found) == {revision})


@pytest.fixture(scope="module")
async def house(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[House]:
    async with new_database(postgres_server, migrated_template) as dsn:
        config = make_config(dsn, next(_redis_databases))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)
            async with (
                running_keeper(config),
                running_gateway(config) as one,
                running_gateway(config) as two,
            ):
                tenant = await one.new_tenant("house")
                oslo = market_pb2.Market(market_id="oslo", geometry=box(10.0, 59.0, 11.0, 60.0))
                await one.call(tenant, catalog_pb2.UpsertMarketsRequest(markets=[oslo]))
                items = [item(f"item-{n}", HERE[0] + n / 10_000, HERE[1]) for n in range(8)]
                await one.call(tenant, catalog_pb2.UpsertItemsRequest(items=items))
                yield House([one, two], tenant)


async def in_force(house: House) -> int:
    answer: admin_pb2.GetPolicyResponse = await house.call(admin_pb2.GetPolicyRequest())
    return answer.revision


async def test_every_process_follows_a_revision_soon_and_never_half(house: House) -> None:
    """Limit and feed are set by turns: an answer has both of the revision that it names."""
    texts = {
        limit: f'[policy.slate]\ndefault_limit = {limit}\n[policy.scenarios.default]\nfeeds = ["{feed}"]\n'
        "[policy.exploration]\nshare = 0\n"
        for limit, feed in ((3, "nearest"), (5, "newest"))
    }
    said = {await house.apply(text): limit for limit, text in texts.items()}
    feeds = {3: "nearest", 5: "newest"}
    stop = asyncio.Event()
    seen: set[tuple[int, int, str]] = set()

    async def ask(gateway: int) -> None:
        while not stop.is_set():
            answer = await house.call(recommend(*HERE), gateway)
            seen.add((answer.policy_revision, answer.limit_applied, answer.feed))

    askers = [asyncio.create_task(ask(number)) for number in range(2)]
    for turn in range(4):
        limit = (3, 5)[turn % 2]
        revision = await house.apply(texts[limit], note=f"turn {turn}")
        said[revision] = limit
        await house.follow(revision)
    stop.set()
    await asyncio.gather(*askers)
    known = {each for each in seen if each[0] in said}
    assert {revision for revision, _, _ in known} >= set(sorted(said)[-3:])
    assert all(limit == said[revision] and feed == feeds[limit] for revision, limit, feed in known)


async def test_a_revision_is_followed_within_two_seconds(house: House) -> None:
    """The best of three tries, as a busy machine may hold up any of them."""
    took = []
    for metres in (801, 802, 803):
        revision = await house.apply(f"[policy.radius]\ndefault_m = {metres}\n")
        began = time.monotonic()
        await house.follow(revision)
        took.append(time.monotonic() - began)
    assert min(took) < 2.0


async def test_what_was_applied_is_listed_shown_and_rolled_back(house: House) -> None:
    narrow = await house.apply("[policy.radius]\ndefault_m = 700\n", note="narrower")
    wide = await house.apply("[policy.radius]\ndefault_m = 9000\n", note="wider")
    back = await house.call(admin_pb2.RollbackPolicyRequest(revision=narrow))
    assert back.revision == wide + 1
    shown = await house.call(admin_pb2.GetPolicyRequest(revision=back.revision))
    assert "default_m = 700.0" in shown.policy_toml
    first = await house.call(admin_pb2.ListPolicyRevisionsRequest(page_size=2))
    assert [each.revision for each in first.revisions] == [back.revision, wide]
    assert first.revisions[0].note == f"rollback to revision {narrow}"
    assert first.revisions[0].author.startswith("key ")
    token = first.next_page_token
    second = await house.call(admin_pb2.ListPolicyRevisionsRequest(page_size=1, page_token=token), 1)
    assert [(each.revision, each.note) for each in second.revisions] == [(narrow, "narrower")]
    assert second.revisions[0].etag == first.revisions[0].etag
    checked = await house.call(
        admin_pb2.ValidatePolicyRequest(policy_toml="[policy.radius]\ndefault_m = 1\n")
    )
    assert [(change.key, change.before, change.after) for change in checked.changes] == [
        ("policy.radius.default_m", "700.0", "1.0")
    ]
    assert checked.revision_in_force == back.revision


async def test_a_call_sent_again_to_another_gateway_does_nothing_more(house: House) -> None:
    request = admin_pb2.ApplyPolicyRequest(policy_toml="[policy.radius]\ndefault_m = 650\n", request_id="r-1")
    made = (await house.call(request)).revision
    later = await house.apply("[policy.radius]\ndefault_m = 660\n")
    assert (await house.call(request, 1)).revision == made
    assert await in_force(house) == later


async def test_what_is_refused_says_reason_and_field(house: House) -> None:
    number = await in_force(house)
    told = await house.refused(
        admin_pb2.ApplyPolicyRequest(
            policy_toml="[policy.radius]\ndefault_m = -1\n[policy.slate]\nlimit = 3\n"
        )
    )
    assert (told.code, told.reason) == ("INVALID_ARGUMENT", "POLICY_INVALID")
    assert [field for field, _, _ in told.violations] == ["policy.radius.default_m", "policy.slate.limit"]
    told = await house.refused(
        admin_pb2.ApplyPolicyRequest(policy_toml="[policy]", expected_revision=number - 1)
    )
    assert (told.code, told.reason, told.metadata["field"]) == (
        "ABORTED",
        "POLICY_CHANGED",
        "expected_revision",
    )
    told = await house.refused(admin_pb2.RollbackPolicyRequest(revision=10_000))
    assert (told.code, told.reason, told.metadata["field"]) == (
        "NOT_FOUND",
        "POLICY_REVISION_NOT_FOUND",
        "revision",
    )
    for request, reason, field in (
        (admin_pb2.ApplyPolicyRequest(), "REQUIRED_FIELD", "policy_toml"),
        (admin_pb2.ValidatePolicyRequest(), "REQUIRED_FIELD", "policy_toml"),
        (admin_pb2.RollbackPolicyRequest(), "REQUIRED_FIELD", "revision"),
        (admin_pb2.FreezeRequest(market="olso"), "MARKET_UNKNOWN", "market"),
        (admin_pb2.FreezeRequest(request_id="a b"), "ID_CHARSET", "request_id"),
        (admin_pb2.ListPolicyRevisionsRequest(page_size=-1), "PAGE_SIZE_OUT_OF_RANGE", "page_size"),
        (admin_pb2.ListPolicyRevisionsRequest(page_token="x"), "PAGE_TOKEN_INVALID", "page_token"),
    ):
        told = await house.refused(request)
        assert (told.reason, told.violations[0][0]) == (reason, field)
    for role in ("client", "backend"):
        assert (await house.refused(admin_pb2.GetPolicyRequest(), role=role)).reason == "INSUFFICIENT_SCOPE"
    assert await in_force(house) == number


async def test_a_kill_switch_of_a_market_works_within_two_seconds(house: House) -> None:
    """From the call to the last gateway that answers by it; the best of three, as a machine may be busy."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        made = (await house.call(admin_pb2.FreezeRequest(market="oslo"))).revision
        await house.follow(made)
        took.append(time.monotonic() - began)
        assert all([(await house.call(recommend(*HERE), gateway)).frozen for gateway in range(2)])
        await house.follow((await house.call(admin_pb2.UnfreezeRequest(market="oslo"))).revision)
    assert min(took) < 2.0


async def test_a_frozen_market_is_told_in_every_answer_until_it_is_lifted(house: House) -> None:
    before = await house.apply("[policy.exploration]\nshare = 0.5\n")
    await house.follow(before)
    made = (await house.call(admin_pb2.FreezeRequest(market="oslo"))).revision
    await house.follow(made)
    answers = [await house.call(recommend(*HERE, session_id=f"s-{n}"), n % 2) for n in range(30)]
    assert {(answer.frozen, answer.feed, answer.feed_propensity) for answer in answers} == {
        (True, "draw", 1.0)
    }
    assert len({tuple(found.item_id for found in answer.items) for answer in answers}) == 1
    elsewhere = [await house.call(recommend(0.0, 0.0, session_id=f"s-{n}")) for n in range(5)]
    assert not any(answer.frozen for answer in elsewhere)
    lifted = (await house.call(admin_pb2.UnfreezeRequest(market="oslo"))).revision
    await house.follow(lifted)
    assert not (await house.call(recommend(*HERE))).frozen
    first, last = [
        (await house.call(admin_pb2.GetPolicyRequest(revision=number))).policy_toml
        for number in (before, lifted)
    ]
    assert first == last


async def test_every_gateway_believes_by_a_fitted_curve_within_two_seconds(house: House) -> None:
    """The best of three, as a machine may be busy."""
    await house.follow(
        await house.apply(
            '[policy.exposure]\nmode = "pbm"\nposition_curve = "fitted"\nhalf_life_hours = 0\n'
            "[policy.kinds.view]\nweight = 1\nprior_mean = 0.1\nprior_strength = 10\nmaturity_hours = 0\n"
        )
    )
    pool, tenant_id = house.gateways[0].pool, house.tenant.tenant_id
    async with pool.connection() as connection:
        await connection.execute(
            "insert into item_counts"
            " (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count)"
            " select tenant_id, posting, 0, $2, $3, 2, 1, false, 100 from items"
            " where tenant_id = $1 and item_id = 'item-3'",
            tenant_id,
            IMPRESSION,
            int(time.time() // 3600) - 48,
        )
    asked, took = stats_pb2.GetStatsRequest(item_ids=["item-3"]), []

    async def believed() -> list[float]:
        told = [(await house.call(asked, gateway)).items[0] for gateway in range(2)]
        return [next(kind.exposure for kind in each.kinds if kind.kind == "view") for each in told]

    for number, share in ((1, 0.5), (2, 0.25), (3, 0.75)):
        now = time.time()
        places = [PlaceShare(place, 100, 30, told) for place, told in ((1, 1.0), (2, share))]
        fit = CurveFit(tenant_id, number, now, (1.0, share), places)
        began = time.monotonic()
        await PostgresCurveStore(pool).publish(Look(tenant_id, now, b""), fit)
        wanted = [pytest.approx(100 * share, rel=1e-6)] * 2
        await eventually(believed, PATIENT_S, wanted.__eq__)
        took.append(time.monotonic() - began)
    assert min(took) < 2.0
