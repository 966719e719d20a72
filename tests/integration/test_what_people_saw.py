"""What people saw, from the answer to the ledger and back into the next answer."""

import secrets
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from nearcast.v1 import catalog_pb2, event_pb2, person_pb2, recommend_pb2, stats_pb2
from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast_config.policy import Exploration, Policy, Seen
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.seen import bitmap_of
from nearcast_store import redis_keys
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.cables import Cable, laid
from tests.eventstreams import batch, streaming
from tests.gateways import (
    Gateway,
    Tenant,
    eventually,
    item,
    make_config,
    nearby,
    recommend,
    running_gateway,
    running_keeper,
)
from tests.services import new_database

PATIENT_S = 60.0
CENTER = (59.91, 10.75)
ANN = person_pb2.Person(user_id="ann")
BOB = person_pb2.Person(anonymous_id="bob")
SEEN_UNAVAILABLE = recommend_pb2.DEGRADED_REASON_SEEN_UNAVAILABLE


class House:
    """A gateway and a keeper whose way to the index can be cut; the log has a way of its own."""

    def __init__(self, gateway: Gateway, line: Cable) -> None:
        self.gateway = gateway
        self.line = line


@pytest.fixture(scope="module")
async def house(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        url = next(_redis_databases)
        config = make_config(dsn, url, served_interval_s=0.1)
        line, cabled_url = await stack.enter_async_context(laid(url))
        redis = msgspec.structs.replace(config.redis, geo_url=cabled_url, log_url=url)
        cabled = msgspec.structs.replace(config, redis=redis)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)
        patch.setattr("nearcast_statskeeper.roster.SETTINGS_STALE_S", 0.05)
        await stack.enter_async_context(running_keeper(cabled))
        yield House(await stack.enter_async_context(running_gateway(config)), line)


@pytest.fixture
async def shop(house: House) -> "Shop":
    """A tenant of the test's own, with ten items."""
    shop = Shop(house.gateway, await house.gateway.new_tenant(f"seen-{secrets.token_hex(4)}"))
    await shop.call(catalog_pb2.UpsertItemsRequest(items=[item(f"item-{number}") for number in range(10)]))

    async def shown() -> int:
        return len((await shop.call(nearby(*CENTER))).items)

    await eventually(shown, PATIENT_S, lambda count: count == 10)
    return shop


class Shop:
    """What an app does."""

    def __init__(self, gateway: Gateway, tenant: Tenant) -> None:
        self.gateway = gateway
        self.tenant = tenant

    async def call(self, request: Any) -> Any:
        return await self.gateway.call(self.tenant, request)

    async def slate(self, **asked: Any) -> recommend_pb2.RecommendResponse:
        answer: recommend_pb2.RecommendResponse = await self.call(recommend(*CENTER, **asked))
        return answer

    async def record(self, *events: event_pb2.Event) -> list[event_pb2.EventResult]:
        return list((await self.call(event_pb2.RecordEventsRequest(events=events))).results)

    async def stats(self) -> stats_pb2.GetStatsResponse:
        ids = [f"item-{number}" for number in range(10)]
        answer: stats_pb2.GetStatsResponse = await self.call(stats_pb2.GetStatsRequest(item_ids=ids))
        return answer

    async def impressions(self) -> dict[str, int]:
        told = {one.item_id: one.kinds[0].count for one in (await self.stats()).items}
        return {item_id: count for item_id, count in told.items() if count}

    async def counted(self, expected: dict[str, int]) -> None:
        await eventually(self.impressions, PATIENT_S, lambda counts: counts == expected)

    async def set_policy(self, **changed: Any) -> None:
        policy = msgspec.structs.replace(Policy(exploration=Exploration(share=0.0)), **changed)
        store = PostgresPolicyStore(self.gateway.pool)
        revision = await store.apply(self.tenant.tenant_id, policy, "tests", "")

        async def in_force() -> bool:
            return (await self.slate()).policy_revision == revision.number

        await eventually(in_force, PATIENT_S)

    async def seen_key(self, person: person_pb2.Person) -> str:
        keyring = await PostgresPolicyStore(self.gateway.pool).keyring(self.tenant.tenant_id)
        who = subject_hash(keyring.signing_key.secret, person.user_id, person.anonymous_id)
        return redis_keys.seen(self.tenant.tenant_id, who)

    async def left(self, person: person_pb2.Person, **asked: Any) -> set[str]:
        slate = await self.slate(person=person, exclude_seen=True, **asked)
        assert SEEN_UNAVAILABLE not in slate.degraded_reasons
        return {found.item_id for found in slate.items}


def report(
    slate: recommend_pb2.RecommendResponse, places: Iterable[int], dwell_ms: Iterable[int] = (), **other: Any
) -> event_pb2.Event:
    """What came on screen, in one event."""
    return event_pb2.Event(
        kind="impression",
        slate_token=slate.slate_token,
        seen=bitmap_of(places),
        dwell_ms=dwell_ms,
        **other,
    )


def single(slate: recommend_pb2.RecommendResponse, place: int, **other: Any) -> event_pb2.Event:
    return event_pb2.Event(kind="impression", reward_token=slate.items[place].reward_token, **other)


def reported(slate: recommend_pb2.RecommendResponse, places: Iterable[int]) -> dict[str, int]:
    return {slate.items[place].item_id: 1 for place in places}


async def test_a_slate_reported_at_once_and_item_by_item_counts_once_in_any_order(shop: Shop) -> None:
    first, second = await shop.slate(), await shop.slate()
    for events in (
        [report(first, (0, 2, 3))],
        [single(first, 2), single(first, 4)],
        [report(first, (2, 4, 5)), single(first, 5)],
        [single(second, 0), report(second, (0, 1))],
        [report(second, (0, 1)), event_pb2.Event(kind="view", reward_token=second.items[2].reward_token)],
    ):
        for _ in range(2):
            assert all(result.learned for result in await shop.record(*events))
    expected = reported(first, (0, 2, 3, 4, 5))
    for item_id in reported(second, (0, 1, 2)):
        expected[item_id] = expected.get(item_id, 0) + 1
    await shop.counted(expected)


async def test_the_longest_time_on_screen_stands_whatever_comes_first(shop: Shop) -> None:
    slate = await shop.slate()
    await shop.record(event_pb2.Event(kind="apply", reward_token=slate.items[0].reward_token))
    await shop.counted(reported(slate, (0,)))
    await shop.record(report(slate, (0, 1), (1500, 900)))
    await shop.counted(reported(slate, (0, 1)))
    await shop.record(single(slate, 1, dwell_ms=[4000]), single(slate, 2))
    await shop.record(report(slate, (1, 2), (5, 6)))
    await shop.counted(reported(slate, (0, 1, 2)))

    async def dwells() -> dict[int, int]:
        async with shop.gateway.pool.connection() as connection:
            rows = await connection.fetch(
                "select position, dwell_ms from events where tenant_id = $1 and kind = 1",
                shop.tenant.tenant_id,
            )
        return {row["position"]: row["dwell_ms"] for row in rows}

    await eventually(dwells, PATIENT_S, lambda found: found == {1: 1500, 2: 4000, 3: 6})


async def test_slates_that_prove_nothing_are_told_so_and_the_rest_of_the_call_counts(shop: Shop) -> None:
    slate = await shop.slate(person=ANN)
    other = await shop.gateway.new_tenant(f"seen-{secrets.token_hex(4)}")
    results = await shop.record(
        report(slate, (0,), person=BOB),
        event_pb2.Event(kind="impression", slate_token=slate.slate_token[:-2], seen=b"\1"),
        event_pb2.Event(kind="impression", slate_token=slate.slate_token),
        event_pb2.Event(kind="impression", slate_token=slate.slate_token, seen=b"\0\4"),
        event_pb2.Event(kind="impression", slate_token=slate.slate_token, seen=b"\1" * 200),
        report(slate, (0, 1), (1,)),
        report(slate, (0, 9), person=ANN),
    )
    names = [reason_of(result) for result in results]
    assert names == ["TOKEN_SUBJECT", "TOKEN_INVALID", *["SEEN_INVALID"] * 3, "DWELL_INVALID", "UNSPECIFIED"]
    assert [result.learned for result in results] == [False] * 6 + [True]
    await shop.counted(reported(slate, (0, 9)))
    foreign = await shop.gateway.call(other, event_pb2.RecordEventsRequest(events=[report(slate, (0,))]))
    assert reason_of(foreign.results[0]) == "TOKEN_INVALID"


def reason_of(result: event_pb2.EventResult) -> str:
    return ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_")


async def test_a_stream_takes_slates_and_acknowledges_each_as_one_event(shop: Shop) -> None:
    slate = await shop.slate()
    empty = event_pb2.Event(kind="impression", slate_token=slate.slate_token)
    async with streaming(shop.gateway.channel, shop.tenant.keys["client"]) as sender:
        await sender.hello()
        await sender.send(batch(1, report(slate, (0, 1)), empty, single(slate, 1)))
        ack = await sender.ack()
        await sender.send(batch(2, report(slate, (1, 2))))
        assert (await sender.ack()).accepted == 1
        await sender.done()
        await sender.rest()
    assert (ack.accepted, ack.learned) == (2, 2)
    told = {result.index: ErrorReason.Name(result.outcome.reason) for result in ack.results}
    assert told == {1: "ERROR_REASON_SEEN_INVALID", 2: "ERROR_REASON_DUPLICATE_IN_BATCH"}
    await shop.counted(reported(slate, (0, 1, 2)))


async def test_every_page_reports_its_own_items(shop: Shop) -> None:
    first = await shop.slate(limit=4)
    second = await shop.slate(limit=4, page_token=first.next_page_token)
    await shop.record(report(first, (3,)), report(second, (0, 3)))
    await shop.counted(reported(first, (3,)) | reported(second, (0, 3)))
    assert not (await shop.slate(radius_m=1.0, filter=recommend_pb2.Filter(tags_any=["none"]))).slate_token


async def test_what_a_person_saw_is_left_out_for_that_person_alone(shop: Shop) -> None:
    slate = await shop.slate(person=ANN)
    await shop.record(report(slate, (0, 1, 2)))
    seen = set(reported(slate, (0, 1, 2)))
    everything = {found.item_id for found in slate.items}

    async def left() -> set[str]:
        return await shop.left(ANN)

    await eventually(left, PATIENT_S, lambda found: found == everything - seen)
    assert await shop.left(BOB) == everything
    assert len((await shop.slate(person=ANN)).items) == 10
    page = await shop.slate(person=ANN, exclude_seen=True, limit=4)
    rest = await shop.slate(person=ANN, exclude_seen=True, limit=4, page_token=page.next_page_token)
    assert {found.item_id for found in (*page.items, *rest.items)} == everything - seen


async def test_what_a_person_reports_is_left_out_of_the_very_next_answer(shop: Shop) -> None:
    """Before it is counted: whoever took the report remembers it."""
    everything = await shop.left(ANN)
    slate = await shop.slate(person=ANN)
    await shop.record(report(slate, (0, 1), person=ANN))
    assert await shop.left(ANN) == everything - {slate.items[0].item_id, slate.items[1].item_id}
    assert await shop.left(BOB) == everything


async def test_what_is_remembered_is_bounded_by_the_policy(shop: Shop) -> None:
    await shop.set_policy(seen=Seen(most=3, keep_hours=2.0))
    for _ in range(3):
        slate = await shop.slate(person=BOB)
        await shop.record(report(slate, range(10)))
    await shop.counted(dict.fromkeys((f"item-{number}" for number in range(10)), 3))
    key = await shop.seen_key(BOB)

    async def size() -> int:
        return int(await shop.gateway.redis.execute("ZCARD", key))

    await eventually(size, PATIENT_S, lambda count: count == 3)
    assert 0 < await shop.gateway.redis.execute("PTTL", key) <= 2 * 3_600_000
    assert len(await shop.left(BOB)) == 7


async def test_a_set_that_cannot_be_read_leaves_nothing_out_and_is_told(shop: Shop) -> None:
    await shop.gateway.redis.execute("SET", await shop.seen_key(ANN), "no set")
    slate = await shop.slate(person=ANN, exclude_seen=True)
    assert len(slate.items) == 10
    assert SEEN_UNAVAILABLE in slate.degraded_reasons
    await shop.record(report(slate, (0,)))
    await shop.counted(reported(slate, (0,)))


async def test_a_keeper_that_cannot_remember_counts_all_the_same(shop: Shop, house: House) -> None:
    slate = await shop.slate(person=ANN)
    await house.line.cut()
    try:
        await shop.record(report(slate, (0, 1)))
        await shop.counted(reported(slate, (0, 1)))
    finally:
        await house.line.mend()

    async def remembered() -> int:
        await shop.record(report(slate, (2,)))
        return 10 - len(await shop.left(ANN))

    await eventually(remembered, PATIENT_S, lambda count: count >= 1)


async def test_what_was_served_is_told_item_by_item(shop: Shop) -> None:
    slates = [await shop.slate(limit=4) for _ in range(3)]
    expected: dict[str, int] = {}
    for slate in slates:
        for found in slate.items:
            expected[found.item_id] = expected.get(found.item_id, 0) + 1

    async def served() -> dict[str, int]:
        return {one.item_id: one.served for one in (await shop.stats()).items if one.served}

    await eventually(served, PATIENT_S, lambda found: found == expected)
    async with shop.gateway.pool.connection() as connection:
        rows = await connection.fetch(
            "select position_bucket, sum(count)::int as count from served_counts"
            " where tenant_id = $1 group by position_bucket",
            shop.tenant.tenant_id,
        )
    assert {row["position_bucket"]: row["count"] for row in rows} == dict.fromkeys(range(1, 5), 3)
    asked = stats_pb2.GetStatsRequest(item_ids=list(expected), positions=True)
    told = [(one.served, at) for one in (await shop.call(asked)).items for at in one.positions]
    assert sum(at.served for _, at in told) == 12
    assert {(at.first, at.last) for _, at in told} == {(place, place) for place in range(1, 5)}
    assert not [one for one in (await shop.stats()).items if one.positions]
    assert await shop.impressions() == {}


async def test_a_gateway_that_stops_writes_what_it_served(shop: Shop, house: House) -> None:
    config = msgspec.structs.replace(
        house.gateway.config,
        gateway=msgspec.structs.replace(house.gateway.config.gateway, served_interval_s=600.0),
    )
    async with running_gateway(config) as gateway:
        other = Shop(gateway, shop.tenant)

        async def ready() -> bool:
            return await gateway.reason_of(shop.tenant, nearby(*CENTER)) == ""

        await eventually(ready, PATIENT_S)
        slate = await other.slate(limit=2)
    told = {one.item_id: one.served for one in (await shop.stats()).items if one.served}
    assert told == {found.item_id: 1 for found in slate.items}
