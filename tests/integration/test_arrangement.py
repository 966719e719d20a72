"""Pins and diversity in answers, from the replica and from Redis alike, and in what is made again of them."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest

from nearcast.v1 import catalog_pb2
from nearcast_bandit.redeciding import redecide
from nearcast_config.arrangement import Diversity, Pin
from nearcast_config.policy import Decisions, Exploration, Policy, Scenario
from nearcast_replica.answering import answerer
from nearcast_server.replaying import replay
from nearcast_store.decisions.codec import unpack
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import Gateway, eventually, item, recommend, running_gateway, running_keeper
from tests.replicahouse import House, Scribe, open_house
from tests.services import new_database

# The first of them may have to make machine code.
pytestmark = pytest.mark.timeout(300)
SOON_S = 60.0
ITEMS = 60
OWNERS = ("ann", "ann", "ann", "bob", "cod")
CATEGORIES = ("food", "jobs", "art")
QUIET = Policy(exploration=Exploration(share=0.0), decisions=Decisions(log_share=0.0))
ONE_IN_THREE = Diversity(most_per_owner=1, most_per_category=2, window=3)


def moment(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def owner_of(item_id: str) -> str:
    return OWNERS[int(item_id[5:]) % len(OWNERS)]


@pytest.fixture(scope="module")
async def house(
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A gateway with a replica of sixty items of three owners, and a keeper."""
    answerer()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        url, folder = next(_redis_databases), tmp_path_factory.mktemp("replica")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("nearcast_statskeeper.jobs.archiving.TAKE_INTERVAL_S", 0.1)
        house = await stack.enter_async_context(open_house(dsn, url, folder))
        await stack.enter_async_context(running_keeper(house.direct))
        await set_policy(house)
        await house.upsert(*map(some_item, range(ITEMS)))
        await stack.enter_async_context(Scribe(house.config))
        await house.from_replica()
        yield house


@pytest.fixture(scope="module")
async def plain(house: House) -> AsyncIterator[Gateway]:
    """A second gateway, which asks Redis alone."""
    async with running_gateway(house.direct) as gateway:
        yield gateway


def some_item(number: int) -> Any:
    item_id = f"item-{number}"
    return item(
        item_id,
        59.91 + number * 1e-4,
        owner=owner_of(item_id),
        category=CATEGORIES[number % len(CATEGORIES)],
        title="x" * 200,
    )


async def set_policy(house: House, pins: Sequence[Pin] = (), **changed: Any) -> None:
    scenarios = {"default": Scenario(feeds=("draw",), pins=tuple(pins))}
    policy = msgspec.structs.replace(QUIET, scenarios=scenarios, **changed)
    revision = await PostgresPolicyStore(house.gateway.pool).apply(house.tenant.tenant_id, policy, "t", "")
    await in_force(house, house.gateway, revision.number)


async def in_force(house: House, gateway: Gateway, revision: int) -> None:
    async def is_in_force() -> bool:
        answer = await gateway.call(house.tenant, recommend(59.91, 10.75))
        return bool(answer.policy_revision == revision)

    await eventually(is_in_force, SOON_S)


async def of_redis(house: House, plain: Gateway, **how: Any) -> Any:
    await in_force(house, plain, (await house.ask()).policy_revision)
    return await plain.call(house.tenant, recommend(59.91, 10.75, **how))


async def is_made_again(house: House, answer: Any) -> bool:
    store, request_id = PostgresDecisionStore(house.gateway.pool), UUID(answer.request_id)
    raw = await eventually(lambda: store.find(house.tenant.tenant_id, request_id), SOON_S)
    assert raw is not None
    outcome = unpack(raw).outcome
    assert list(outcome.postings) == [each.explanation.posting for each in answer.items]
    found = replay(raw)
    assert redecide(unpack(raw)).postings == outcome.postings
    return (found.status, list(found.differences)) == ("equal", [])


def holds(owners: Sequence[str], most: int, window: int) -> bool:
    windows = (owners[begin : begin + window] for begin in range(len(owners)))
    return all(max(Counter(each).values()) <= most for each in windows)


def ids(answer: Any) -> list[str]:
    return [each.item_id for each in answer.items]


async def test_owners_stand_apart_over_pages(house: House, plain: Gateway) -> None:
    """Three of five items are ann's, who stands at every third slot at most, while there are others."""
    await set_policy(house, diversity=Diversity(most_per_owner=1, window=3))
    for ask in (house.from_replica, lambda **how: of_redis(house, plain, **how)):
        shown: list[str] = []
        token = ""
        for _ in range(4):
            answer = await ask(limit=7, explain=True, page_token=token)
            assert [each.rank for each in answer.items] == list(range(len(shown) + 1, len(shown) + 8))
            assert await is_made_again(house, answer)
            shown, token = shown + ids(answer), answer.next_page_token
        assert len(set(shown)) == 28
        assert holds([owner_of(each) for each in shown], 1, 3)


async def test_full_slates_come_before_diversity(house: House) -> None:
    await set_policy(house, diversity=Diversity(most_per_owner=1, window=3))
    answer = await house.from_replica(limit=100, explain=True)
    assert len(answer.items) == ITEMS
    assert await is_made_again(house, answer)
    owners = [owner_of(each) for each in ids(answer)]
    breaks = [
        slot for slot in range(ITEMS) if owners[slot] and owners[slot] in owners[max(slot - 2, 0) : slot]
    ]
    assert breaks, "one owner has more items than any rule has room for"
    for slot in breaks:
        # Nobody who was left would have fitted.
        assert set(owners[slot:]) <= set(owners[slot - 2 : slot])


async def test_an_owner_s_items_keep_the_order_they_were_drawn_in(house: House) -> None:
    await set_policy(house, diversity=Diversity(most_per_owner=2, window=6))
    answer = await house.from_replica(limit=20, explain=True)
    for owner in set(OWNERS):
        own = [each for each in answer.items if owner_of(each.item_id) == owner]
        assert all(one.score >= other.score for one, other in pairwise(own))
        assert all(one.explanation.drawn_rank < other.explanation.drawn_rank for one, other in pairwise(own))
    assert {each.explanation.drawn_rank for each in answer.items} != set(range(1, 21))


async def test_a_pin_stands_at_its_slot_and_is_marked(house: House, plain: Gateway) -> None:
    pins = (
        Pin("item-50", 3),
        Pin("item-7", 9, until=moment(1)),
        Pin("item-8", 1, until=moment(-1)),
        Pin("item-9", 2, moment(1)),
        Pin("item-10", 12),
        Pin("nothing", 4),
    )
    await set_policy(house, pins)
    for ask in (house.from_replica, lambda **how: of_redis(house, plain, **how)):
        first = await ask(limit=10, explain=True)
        bare = await ask(limit=10)
        second = await ask(limit=10, explain=True, page_token=first.next_page_token)
        for answer in (first, bare):
            assert (ids(answer)[2], ids(answer)[8]) == ("item-50", "item-7")
            assert {each.item_id for each in answer.items if each.pinned} == {"item-50", "item-7"}
        assert ids(second)[1] == "item-10"
        assert [each.pinned for each in second.items] == [rank == 12 for rank in range(11, 21)]
        assert len({*ids(first), *ids(second)}) == 20
        assert await is_made_again(house, first)
        assert await is_made_again(house, second)


async def test_a_pinned_answer_says_of_each_item_what_an_explained_one_says(house: House) -> None:
    """The one is written by machine code or in Python, the other as messages."""
    from nearcast_config.policy import Draws

    await set_policy(house, (Pin("item-50", 3),), draws=Draws(interval_minutes=1440))
    plainly = await house.from_replica(limit=10, session_id="s")
    explained = await house.from_replica(limit=10, session_id="s", explain=True)
    for one, other in zip(plainly.items, explained.items, strict=True):
        assert (one.item_id, one.rank, one.pinned, one.item) == (
            other.item_id,
            other.rank,
            other.pinned,
            other.item,
        )


async def test_a_pin_that_may_not_be_shown_is_none(house: House, plain: Gateway) -> None:
    await set_policy(house, (Pin("item-50", 1), Pin("item-51", 2)))
    other = {"filter": {"exclude_item_ids": ["item-50"], "categories": ["food"]}}
    for ask in (house.from_replica, lambda **how: of_redis(house, plain, **how)):
        answer = await ask(limit=5, explain=True, **other)
        assert "item-50" not in ids(answer)
        assert answer.items[1].item_id == "item-51"
        assert [each.pinned for each in answer.items] == [False, True, False, False, False]
        assert await is_made_again(house, answer)


async def test_pins_hold_on_the_exploration_floor_and_diversity_does_not(house: House) -> None:
    exploring = Exploration(share=0.5, pool_size=20)
    await set_policy(house, (Pin("item-50", 2),), exploration=exploring, diversity=ONE_IN_THREE)

    async def explored() -> Any:
        answer = await house.from_replica(limit=15, explain=True)
        return answer if answer.feed == "explore" else None

    answer = await eventually(explored, SOON_S)
    assert answer.items[1].item_id == "item-50"
    assert answer.items[1].pinned
    assert not holds([owner_of(each) for each in ids(answer)], 1, 3)
    assert await is_made_again(house, answer)


async def test_a_deleted_pin_leaves_its_slot(house: House) -> None:
    await set_policy(house, (Pin("item-gone", 1),))
    await house.upsert(item("item-gone", 59.91))

    async def first() -> str:
        return str(ids(await house.from_replica(limit=3))[0])

    await eventually(first, SOON_S, lambda found: found == "item-gone")
    await house.gateway.call(house.tenant, catalog_pb2.DeleteItemsRequest(item_ids=["item-gone"]))
    await eventually(first, SOON_S, lambda found: found != "item-gone")
