"""Decisions are logged beside the requests, kept by the keeper, and made again from their records."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from click.testing import CliRunner, Result

from nearcast.v1 import item_pb2
from nearcast_bandit.record import DecisionRecord
from nearcast_cli.commands.replay import command
from nearcast_cli.evaluating.sides import Taker
from nearcast_config.arrangement import Diversity
from nearcast_config.mastery import Master
from nearcast_config.newcomers import Newcomers
from nearcast_config.policy import Decisions, Exploration, Feed, Policy, Scenario
from nearcast_config.surfacing import Boost
from nearcast_ledger.requestid import identity_day, uuid7
from nearcast_replica.answering import answerer
from nearcast_server.decisionlog import log_unit
from nearcast_server.replaying import Replayed, replay
from nearcast_store.decisions.codec import pack, unpack
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.decisions.stream import Logged
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import Gateway, eventually, item, recommend, running_gateway, running_keeper
from tests.replicahouse import House, Scribe, open_house
from tests.services import new_database

# The first of them may have to make machine code.
pytestmark = pytest.mark.timeout(300)
SOON_S = 60.0
FEEDS = ("nearest", "newest", "most_applied", "popular", "draw")
HOME = Scenario(
    feeds=("draw",),
    boosts=(Boost(3.0, category="food"), Boost(0.5, tag="late"), Boost(2.0, owner="anna")),
    distance_half_m=300.0,
    exclude_item_ids=("item-7",),
)
SURFACES = {"default": Scenario(), "home": HOME, **{name: Scenario(feeds=(name,)) for name in FEEDS}}
QUIET = Policy(
    exploration=Exploration(share=0.0),
    decisions=Decisions(log_share=0.0),
    scenarios=SURFACES,
    feeds=Policy().feeds | {"popular": Feed(order="popular")},
)


@pytest.fixture(scope="module")
async def house(
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A gateway with a replica of sixty items, of which some were acted on, and a keeper."""
    answerer()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        url, folder = next(_redis_databases), tmp_path_factory.mktemp("replica")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("nearcast_statskeeper.jobs.archiving.TAKE_INTERVAL_S", 0.1)
        house = await stack.enter_async_context(open_house(dsn, url, folder))
        await stack.enter_async_context(running_keeper(house.direct))
        await set_policy(house)
        await house.upsert(*map(some_item, range(60)))
        await stack.enter_async_context(Scribe(house.config))
        for found in (await house.from_replica(limit=10)).items:
            await house.act(found.reward_token)
        yield house


def some_item(number: int) -> item_pb2.Item:
    return item(
        f"item-{number}",
        59.91 + number * 1e-4,
        category=("food", "jobs")[number % 2],
        tags=[item_pb2.Tag(name="late")] if number % 3 == 0 else [],
        owner="anna" if number % 5 == 0 else "",
    )


async def set_policy(house: House, **changed: Any) -> None:
    policy = msgspec.structs.replace(QUIET, **changed)
    revision = await PostgresPolicyStore(house.gateway.pool).apply(house.tenant.tenant_id, policy, "t", "")

    async def in_force() -> bool:
        return (await house.ask()).policy_revision == revision.number

    await eventually(in_force, SOON_S)


def store(house: House) -> PostgresDecisionStore:
    return PostgresDecisionStore(house.gateway.pool)


async def kept(house: House, answer: Any) -> bytes:
    """The record of the answer, once it is there."""
    return (
        await eventually(lambda: store(house).find(house.tenant.tenant_id, UUID(answer.request_id)), SOON_S)
        or b""
    )


async def replayed(house: House, answer: Any) -> Replayed:
    """Made again, after a look at whether the record is of this answer."""
    found = replay(await kept(house, answer))
    assert found.record is not None
    outcome = found.record.outcome
    assert outcome.feed == answer.feed
    assert list(outcome.scores) == [each.score for each in answer.items]
    return found


@pytest.fixture(scope="module")
async def plain(house: House) -> AsyncIterator[Gateway]:
    """A second gateway, which asks Redis alone."""
    async with running_gateway(house.direct) as gateway:
        yield gateway


@pytest.mark.parametrize("feed", FEEDS)
async def test_an_explained_answer_of_the_replica_is_made_again_equal(house: House, feed: str) -> None:
    found = await replayed(house, await house.from_replica(scenario=feed, explain=True))
    assert (found.status, list(found.differences)) == ("equal", [])
    assert found.record is not None
    assert found.record.pool is not None
    assert (found.record.circumstances.reason, found.record.pool.postings.size) == ("explain", 60)
    assert not found.is_other_build


@pytest.mark.parametrize("feed", FEEDS)
async def test_an_explained_answer_of_redis_is_made_again_equal(
    house: House, plain: Gateway, feed: str
) -> None:
    answer = await plain.call(house.tenant, recommend(59.91, 10.75, scenario=feed, explain=True))
    found = await replayed(house, answer)
    assert (found.status, list(found.differences)) == ("equal", [])


@pytest.mark.parametrize("source", ["replica", "redis"])
async def test_factors_are_explained_and_made_again_equal(house: House, plain: Gateway, source: str) -> None:
    if source == "replica":
        answer = await house.from_replica(scenario="home", explain=True)
    else:
        answer = await plain.call(house.tenant, recommend(59.91, 10.75, scenario="home", explain=True))
    found = await replayed(house, answer)
    assert (found.status, list(found.differences)) == ("equal", [])
    for one in answer.items:
        told, number = one.explanation, int(one.item_id.removeprefix("item-"))
        parts = {(part.rule, part.name): part.factor for part in told.factors}
        rules = {("category", "food"): 2, ("tag", "late"): 3, ("owner", "anna"): 5}
        assert set(parts) == {("distance", "")} | {rule for rule, by in rules.items() if number % by == 0}
        assert told.factor == pytest.approx(math.prod(parts.values()))
        assert parts["distance", ""] == pytest.approx(2.0 ** -(one.distance_m / 300.0))
        believed = sum(kind.weight * kind.draw for kind in told.kinds)
        assert one.score == pytest.approx(told.factor * believed, rel=1e-6)
    assert "item-7" not in {one.item_id for one in answer.items}
    assert found.record is not None
    assert found.record.pool is not None
    assert found.record.pool.postings.size == 59


async def test_what_was_acted_on_is_in_the_record(house: House) -> None:
    answer = await house.from_replica(scenario="draw", explain=True)
    record = unpack(await kept(house, answer))
    assert record.pool is not None
    told = {explained.explanation.posting: explained.explanation.kinds for explained in answer.items}
    column = record.pool.postings.tolist().index(next(iter(told)))
    for row, kind in enumerate(next(iter(told.values()))):
        assert kind.posterior_a == pytest.approx(record.pool.a[row, column], rel=1e-6)
        assert kind.posterior_b == pytest.approx(record.pool.b[row, column], rel=1e-6)


async def test_the_next_page_is_made_again_equal_without_what_was_shown(house: House) -> None:
    first = await house.from_replica(scenario="draw", limit=7, explain=True)
    second = await house.from_replica(
        scenario="draw", limit=7, explain=True, page_token=first.next_page_token
    )
    found = await replayed(house, second)
    assert found.status == "equal"
    assert found.record is not None
    shown = [each.explanation.posting for each in first.items]
    assert list(found.record.excluded) == shown
    assert found.record.choice.resumed
    assert not set(shown) & set(found.record.outcome.postings)


async def test_an_exploring_request_is_logged_and_made_again_equal(house: House) -> None:
    await set_policy(house, exploration=Exploration(share=0.5, pool_size=30))

    async def exploring() -> Any:
        answer = await house.from_replica()
        return answer if answer.feed == "explore" else None

    answer = await eventually(exploring, SOON_S)
    found = await replayed(house, answer)
    assert found.status == "equal"
    assert found.record is not None
    assert found.record.circumstances.reason == "explore"
    assert found.record.outcome.explore
    await set_policy(house)


@pytest.mark.parametrize("master", [Master(frozen=True), Master(holdout_share=0.5)])
async def test_what_the_bandits_leave_alone_is_made_again_equal(
    house: House, plain: Gateway, master: Master
) -> None:
    await set_policy(house, master=master)

    async def steady(ask: Callable[[], Awaitable[Any]]) -> Any:
        answer = await ask()
        return answer if answer.frozen or answer.feed == "holdout" else None

    from_index = recommend(59.91, 10.75, scenario="draw", explain=True)
    for ask in (
        partial(house.from_replica, scenario="draw", explain=True),
        partial(plain.call, house.tenant, from_index),
    ):
        found = await replayed(house, await eventually(partial(steady, ask), SOON_S))
        assert (found.status, list(found.differences)) == ("equal", [])
        assert found.record is not None
        assert found.record.ordering.order == "most"
        assert (found.record.choice.frozen, found.record.choice.held_out) == (
            master.frozen,
            not master.frozen,
        )
    await set_policy(house)


@pytest.mark.parametrize("ruled", ["by nothing else", "diverse", "with places for newcomers"])
async def test_what_is_logged_is_ordered_as_an_evaluation_reads_its_policy(house: House, ruled: str) -> None:
    rules: dict[str, dict[str, Any]] = {
        "by nothing else": {},
        "diverse": {"diversity": Diversity(most_per_category=1)},
        "with places for newcomers": {"newcomers": Newcomers(floor_share=0.3)},
    }
    policies = PostgresPolicyStore(house.gateway.pool)
    exploration = Exploration(share=0.3, pool_size=3)
    await set_policy(house, exploration=exploration, decisions=Decisions(log_share=1.0), **rules[ruled])
    orders = set()
    for feed in (*FEEDS, *FEEDS, *FEEDS):
        record = unpack(await kept(house, await house.from_replica(scenario=feed)))
        revision = await policies.revision(house.tenant.tenant_id, record.circumstances.policy_revision)
        assert record.pool is not None
        assert revision is not None
        assert Taker(record, record.pool, revision).is_as_recorded()
        orders.add(record.ordering.order)
    assert len(orders) > 2
    await set_policy(house)


async def test_a_share_of_the_requests_is_logged(house: House) -> None:
    await set_policy(house, decisions=Decisions(log_share=1.0))
    found = await replayed(house, await house.from_replica())
    assert found.status == "equal"
    assert found.record is not None
    assert found.record.circumstances.reason == "share"
    await set_policy(house)


async def test_the_command_says_equal_and_a_changed_record_shows_what_differs(house: House) -> None:
    answer = await house.from_replica(scenario="draw", explain=True)
    raw, request_id = await kept(house, answer), answer.request_id
    status, document = await said(house, request_id)
    assert (status, document["status"], document["differences"]) == (0, "equal", [])
    assert document["feed"] == "draw"
    await overwrite(house, request_id, tampered(unpack(raw)))
    status, document = await said(house, request_id)
    assert (status, document["status"]) == (1, "different")
    assert {each["field"] for each in document["differences"]} & {"posting at 1", "score at 1"}


async def test_a_record_of_another_build_says_so(house: House) -> None:
    answer = await house.from_replica(scenario="draw", explain=True)
    record = unpack(await kept(house, answer))
    other = msgspec.structs.replace(record.circumstances, build="0.0.1 rules 00000000")
    await overwrite(house, answer.request_id, replace(record, circumstances=other))
    done = await asyncio.to_thread(invoke, house, answer.request_id)
    assert "Another build decided: 0.0.1 rules 00000000" in done.stdout
    assert "Equal" in done.stdout


async def test_what_was_not_logged_is_told_with_the_reason(house: House) -> None:
    keyring = await PostgresPolicyStore(house.gateway.pool).keyring(house.tenant.tenant_id)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    day_ms = 86_400_000
    reasons = {
        "NOT_OF_THE_SHARE": uuid7(now_ms - day_ms, 1),
        "TOO_OLD": uuid7(now_ms - 40 * day_ms, 1),
        "ON_ITS_WAY": uuid7(now_ms, 1),
        "NOT_YET": uuid7(now_ms + day_ms, 1),
    }
    for reason, request_id in reasons.items():
        status, document = await said(house, str(request_id))
        assert (status, document["status"], document["reason"]) == (3, "not_logged", reason)
    await set_policy(house, decisions=Decisions(log_share=0.2))
    salt, tenant_id = keyring.signing_key.secret, house.tenant.tenant_id
    ids = (uuid7(now_ms - day_ms, number) for number in range(1000))
    lost = next(each for each in ids if log_unit(salt, tenant_id, each) < 0.2)
    status, document = await said(house, str(lost))
    assert (status, document["reason"]) == (3, "LOST")
    await set_policy(house)


async def test_a_record_that_was_cut_says_how_many_competed(house: House) -> None:
    answer = await house.from_replica(scenario="draw", explain=True)
    record = unpack(await kept(house, answer))
    await overwrite_raw(house, answer.request_id, pack(record, most_bytes=500))
    status, document = await said(house, answer.request_id)
    assert (status, document["reason"], document["candidates"]) == (4, "CANDIDATES_CUT", 60)
    await overwrite_raw(house, answer.request_id, b"no record")
    status, document = await said(house, answer.request_id)
    assert (status, document["reason"]) == (4, "RECORD_UNREADABLE")


async def test_a_record_that_comes_twice_is_kept_once_and_old_days_are_dropped(house: House) -> None:
    answer = await house.from_replica(scenario="draw", explain=True)
    raw, kept_in = await kept(house, answer), store(house)
    logged = Logged(UUID(answer.request_id), raw)
    assert await kept_in.add(house.tenant.tenant_id, [logged]) == 0
    old = Logged(uuid7(1_700_000_000_000, 1), raw)
    assert await kept_in.add(house.tenant.tenant_id, [old, logged]) == 1
    today = identity_day(logged.request_id)
    assert await kept_in.drop_before(today) == [identity_day(old.request_id)]
    assert await kept_in.find(house.tenant.tenant_id, old.request_id) is None
    assert await kept_in.find(house.tenant.tenant_id, logged.request_id) == raw


async def test_without_redis_answers_go_on_and_what_was_given_up_is_counted(house: House) -> None:
    before = await given_up(house)
    await house.redis.cut()
    try:
        answers = [await house.ask(scenario="draw", explain=True) for _ in range(5)]
        assert all(len(answer.items) == 20 for answer in answers)
        await eventually(lambda: given_up(house), SOON_S, lambda count: count >= before + 5)
    finally:
        await house.redis.mend()
    status, document = await said(house, answers[0].request_id)
    assert (status, document["status"]) == (3, "not_logged")

    asked: list[UUID] = []

    async def logged_again() -> bool:
        asked.append(UUID((await house.ask(scenario="draw", explain=True)).request_id))
        found = [await store(house).find(house.tenant.tenant_id, each) for each in asked]
        return any(found)

    assert await eventually(logged_again, SOON_S)


async def given_up(house: House) -> float:
    line = 'nearcast_server_decisions_total{reason="redis_away"} '
    page = await house.gateway.metrics()
    return sum(float(each.removeprefix(line)) for each in page.splitlines() if each.startswith(line))


def tampered(record: DecisionRecord) -> DecisionRecord:
    """As if the posterior of the best item had been another."""
    pool = record.pool
    assert pool is not None
    a, best = pool.a.copy(), pool.postings == record.outcome.postings[0]
    a[:, best] = a[:, best] * 0.5 + 0.01
    return replace(record, pool=replace(pool, a=a))


async def overwrite(house: House, request_id: str, record: DecisionRecord) -> None:
    await overwrite_raw(house, request_id, pack(record))


async def overwrite_raw(house: House, request_id: str, raw: bytes) -> None:
    async with house.gateway.pool.connection() as connection:
        await connection.execute(
            "update decisions set record = $1 where request_id = $2", raw, UUID(request_id)
        )


async def said(house: House, request_id: str) -> tuple[int, dict[str, Any]]:
    """Exit status and document of the command."""
    done = await asyncio.to_thread(invoke, house, request_id, "--json")
    return done.return_value, json.loads(done.stdout)


def invoke(house: House, request_id: str, *more: str) -> Result:
    where = ("--tenant", house.tenant.slug, "--postgres-dsn", house.direct.postgres.dsn)
    done = CliRunner().invoke(command, [request_id, *where, *more], standalone_mode=False)
    assert done.exception is None, done.exception
    return done
