"""Places kept for new items, and what pauses, in answers from the replica and from Redis alike."""

import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest

from nearcast.v1 import event_pb2
from nearcast_config.caps import Caps
from nearcast_config.newcomers import Newcomers
from nearcast_config.policy import Decisions, Exploration, Policy, Scenario
from nearcast_ledger.requestid import RequestIds
from nearcast_replica.answering import answerer
from nearcast_server.following import Following, Regional
from nearcast_server.replaying import replay
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.decisions.codec import unpack
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import Gateway, eventually, item, recommend, running_gateway, running_keeper
from tests.replicahouse import House, Scribe, open_house
from tests.services import new_database

# The first of them may have to make machine code.
pytestmark = pytest.mark.timeout(300)
SOON_S = 60.0
KNOWN, NEW, SHOWN = 20, 30, 3
QUIET = Policy(
    exploration=Exploration(share=0.0),
    decisions=Decisions(log_share=0.0),
    scenarios={"default": Scenario(feeds=("draw",))},
)


@pytest.fixture(scope="module")
async def house(
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """Twenty items that were shown three times, four of each owner, and thirty that never were."""
    answerer()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        url, folder = next(_redis_databases), tmp_path_factory.mktemp("replica")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("nearcast_statskeeper.jobs.archiving.TAKE_INTERVAL_S", 0.1)
        house = await stack.enter_async_context(open_house(dsn, url, folder))
        await stack.enter_async_context(running_keeper(house.direct))
        await apply(house, newcomers=Newcomers(until_exposures=SHOWN))
        await house.upsert(*map(some_item, range(KNOWN)))
        await eventually(lambda: house.ask(limit=50), SOON_S, lambda answer: len(answer.items) == KNOWN)
        for _ in range(SHOWN):
            await see(house, (await house.ask(limit=KNOWN)).items)
        await house.upsert(*map(some_item, range(KNOWN, KNOWN + NEW)))
        await stack.enter_async_context(Scribe(house.config))
        await eventually(lambda: of_replica(house, limit=50, explain=True), SOON_S, is_counted)
        yield house


@pytest.fixture(scope="module")
async def plain(house: House) -> AsyncIterator[Gateway]:
    """A second gateway, which asks Redis alone."""
    async with running_gateway(house.direct) as gateway:
        yield gateway


def some_item(number: int) -> Any:
    return item(f"item-{number:02}", 59.91 + number * 1e-5, owner=f"owner-{number // 4}")


def is_new(found: Any) -> bool:
    return int(found.item_id[5:]) >= KNOWN


def is_counted(answer: Any) -> bool:
    told = {found.item_id: found.explanation.impressions for found in answer.items}
    return len(told) == KNOWN + NEW and all(
        count == (SHOWN if int(item_id[5:]) < KNOWN else 0) for item_id, count in told.items()
    )


async def see(house: House, items: Iterable[Any]) -> None:
    """Somebody sees all of them."""
    ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
    events = [
        event_pb2.Event(kind="impression", event_id=str(ids.next()), reward_token=found.reward_token)
        for found in items
    ]
    await house.gateway.call(house.tenant, event_pb2.RecordEventsRequest(events=events))


async def apply(house: House, **changed: Any) -> int:
    policy = msgspec.structs.replace(QUIET, **changed)
    revision = await PostgresPolicyStore(house.gateway.pool).apply(house.tenant.tenant_id, policy, "t", "")
    await in_force(house, house.gateway, revision.number)
    return revision.number


async def in_force(house: House, gateway: Gateway, revision: int) -> None:
    async def number() -> int:
        answer = await gateway.call(house.tenant, recommend(59.91, 10.75))
        return int(answer.policy_revision)

    await eventually(number, SOON_S, lambda found: found == revision)


async def of_replica(house: House, **how: Any) -> Any:
    return await house.from_replica(**how)


async def asked(house: House, gateway: Gateway, **how: Any) -> Any:
    return await gateway.call(house.tenant, recommend(59.91, 10.75, **how))


async def share_of_new(house: House, gateway: Gateway) -> float:
    """Of 400 places."""
    answers = [await asked(house, gateway, limit=10) for _ in range(40)]
    assert all(len(answer.items) == 10 for answer in answers)
    return sum(is_new(found) for answer in answers for found in answer.items) / 400


async def is_made_again(house: House, answer: Any) -> None:
    store, request_id = PostgresDecisionStore(house.gateway.pool), UUID(answer.request_id)
    raw = await eventually(lambda: store.find(house.tenant.tenant_id, request_id), SOON_S)
    assert raw is not None
    record = unpack(raw)
    assert replay(raw).status == "equal"
    assert record.circumstances.capped == answer.capped_count
    assert list(record.outcome.postings) == [found.explanation.posting for found in answer.items]


async def test_a_flood_of_new_items_takes_no_more_than_its_places(house: House, plain: Gateway) -> None:
    """Of 400 places a share of 0.05 is 20; five standard deviations more are 42."""
    await apply(house, newcomers=Newcomers(until_exposures=SHOWN))
    assert await share_of_new(house, house.gateway) > 0.3
    revision = await apply(house, newcomers=Newcomers(until_exposures=SHOWN, cap_share=0.05))
    await in_force(house, plain, revision)
    # The replica learns how often items were shown; until then Redis is asked, with the same answers.
    assert await share_of_new(house, plain) <= 42 / 400
    await house.from_replica()
    assert await share_of_new(house, house.gateway) <= 42 / 400


async def test_new_items_get_their_floor(house: House, plain: Gateway) -> None:
    """Of 400 places a share of 0.9 is 360; five standard deviations less are 330."""
    newcomers = Newcomers(until_exposures=SHOWN, floor_share=0.9)
    await in_force(house, plain, await apply(house, newcomers=newcomers))
    await house.from_replica()
    for gateway in (house.gateway, plain):
        assert await share_of_new(house, gateway) >= 330 / 400
    page = await house.gateway.metrics()
    assert 'nearcast_server_places_total{kind="new"}' in page


async def test_what_was_decided_with_places_kept_is_made_again(house: House, plain: Gateway) -> None:
    newcomers = Newcomers(until_exposures=SHOWN, floor_share=0.2, cap_share=0.3)
    await in_force(house, plain, await apply(house, newcomers=newcomers))
    await house.from_replica()
    for gateway in (house.gateway, plain):
        first = await asked(house, gateway, limit=8, explain=True)
        second = await asked(house, gateway, limit=8, explain=True, page_token=first.next_page_token)
        for answer in (first, second):
            assert all(found.explanation.is_new == is_new(found) for found in answer.items)
            await is_made_again(house, answer)


async def test_what_was_shown_often_pauses_and_comes_back(house: House, plain: Gateway) -> None:
    """Six times within the hour where four are allowed: also when the hour ends meanwhile."""
    counted = Newcomers(until_exposures=SHOWN)
    await apply(house, newcomers=counted)
    often = {"item-00", "item-01"}
    for _ in range(SHOWN):
        whole = (await house.ask(limit=50)).items
        await see(house, [found for found in whole if found.item_id in often])
    revision = await apply(house, newcomers=counted, caps=Caps(item_per_hour=4))
    await in_force(house, plain, revision)

    async def left(gateway: Gateway) -> set[str]:
        return {found.item_id for found in (await asked(house, gateway, limit=50)).items}

    everything = {f"item-{number:02}" for number in range(KNOWN + NEW)}
    others = everything - often
    for gateway in (house.gateway, plain):
        await eventually(partial(left, gateway), SOON_S, lambda found: found == others)
    await house.from_replica()
    for gateway in (house.gateway, plain):
        answer = await asked(house, gateway, limit=50, explain=True)
        assert answer.capped_count == 2
        await is_made_again(house, answer)
    assert 'nearcast_server_capped_items{reason="item"} 2.0' in await house.gateway.metrics()
    for seconds, number in ((0.0, 2), (7200.0, 0)):
        assert len(await paused_in(house, seconds)) == number
    await apply(house, newcomers=counted)
    await eventually(lambda: left(house.gateway), SOON_S, lambda found: found == everything)


async def paused_in(house: House, seconds: float) -> list[int]:
    """What pauses for a gateway whose clock is ahead."""
    pool, tenant_id = house.gateway.pool, house.tenant.tenant_id
    following = Following(
        tenant_id,
        PostgresPolicyStore(pool),
        PostgresCountStore(pool),
        lambda: time.time() + seconds,
        Regional(owners=PostgresCatalogStore(pool)),
    )
    view = await following.view(None)
    return view.capped.at(time.time() + seconds).tolist()


async def test_an_owner_pauses_with_everything(house: House, plain: Gateway) -> None:
    """Owner 0 has four items with three impressions each at least, and one more that nobody saw."""
    await house.upsert(item("fresh", 59.91, owner="owner-0"))
    revision = await apply(house, caps=Caps(owner_per_hour=15))
    await in_force(house, plain, revision)
    gone = {*(f"item-{number:02}" for number in range(4)), "fresh"}

    async def owners(gateway: Gateway) -> set[str]:
        return {found.item_id for found in (await asked(house, gateway, limit=60)).items}

    others = {f"item-{number:02}" for number in range(4, KNOWN + NEW)}
    for gateway in (house.gateway, plain):
        await eventually(partial(owners, gateway), SOON_S, lambda found: found == others)
    answer = await asked(house, plain, limit=60, explain=True)
    assert answer.capped_count == len(gone)
    await is_made_again(house, answer)
