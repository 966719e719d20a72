"""Why an item is where it is, or is not there: asked with a question, and of a logged decision afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from nearcast.v1 import admin_pb2, recommend_pb2
from nearcast_cli.commands.explain import command
from nearcast_cli.main import run
from nearcast_config.policy import Decisions, Exploration, Policy, Scenario
from nearcast_ledger.requestid import uuid7
from nearcast_replica.answering import answerer
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import Refusal, eventually, item, recommend, running_keeper
from tests.replicahouse import House, Scribe, open_house
from tests.services import new_database

pytestmark = pytest.mark.timeout(300)
SOON_S = 60.0
QUIET = Policy(
    exploration=Exploration(share=0.0),
    decisions=Decisions(log_share=0.0),
    scenarios={
        "default": Scenario(),
        "draw": Scenario(feeds=("draw",)),
        "near": Scenario(feeds=("nearest",)),
    },
)
SHOWN = recommend_pb2.ExplainedItem.STANDING_SHOWN
NOT_CHOSEN = recommend_pb2.ExplainedItem.STANDING_NOT_CHOSEN
LEFT_OUT = recommend_pb2.ExplainedItem.STANDING_LEFT_OUT
NOT_FOUND = recommend_pb2.ExplainedItem.STANDING_NOT_FOUND


@pytest.fixture(scope="module")
async def house(
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """Twenty items near by, one far away, and a keeper that takes records at once."""
    answerer()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        url, folder = next(_redis_databases), tmp_path_factory.mktemp("replica")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("nearcast_statskeeper.jobs.archiving.TAKE_INTERVAL_S", 0.1)
        house = await stack.enter_async_context(open_house(dsn, url, folder))
        await stack.enter_async_context(running_keeper(house.direct))
        revision = await PostgresPolicyStore(house.gateway.pool).apply(house.tenant.tenant_id, QUIET, "t", "")

        async def in_force() -> bool:
            return (await house.ask()).policy_revision == revision.number

        await eventually(in_force, SOON_S)
        await house.upsert(*(item(f"item-{n}", 59.91 + n * 1e-4) for n in range(20)), item("far", 61.0))
        await stack.enter_async_context(Scribe(house.config))
        await house.from_replica(limit=10)
        yield house


def asked(*item_ids: str, **how: object) -> recommend_pb2.RecommendRequest:
    return recommend(59.91, 10.75, scenario="draw", limit=5, explain_item_ids=item_ids, **how)


async def decision(house: House, request_id: str, *item_ids: str) -> admin_pb2.ExplainDecisionResponse:
    """The logged decision, once its record is there."""
    request = admin_pb2.ExplainDecisionRequest(request_id=request_id, item_ids=item_ids)

    async def told() -> admin_pb2.ExplainDecisionResponse | None:
        try:
            answer: admin_pb2.ExplainDecisionResponse = await house.gateway.call(house.tenant, request)
        except Refusal as refusal:
            if refusal.reason != "DECISION_NOT_LOGGED":
                raise
            return None
        return answer

    found = await eventually(told, SOON_S)
    assert found is not None
    return found


async def test_an_answer_says_what_became_of_items_shown_or_not(house: House) -> None:
    ids = ("far", "nobody", *(f"item-{n}" for n in range(18)))
    answer = await house.gateway.call(house.tenant, asked(*ids))
    told = {each.item_id: each for each in answer.explained_items}
    assert tuple(told) == ids
    shown = {each.item_id: each for each in answer.items}
    for item_id in ids[2:]:
        each = told[item_id]
        assert each.standing == (SHOWN if item_id in shown else NOT_CHOSEN)
        assert {kind.kind for kind in each.explanation.kinds} == {"view", "save", "apply"}
        if item_id in shown:
            assert (each.rank, each.score) == (shown[item_id].rank, shown[item_id].score)
        else:
            assert each.score <= answer.items[-1].score
    assert told["far"].standing == LEFT_OUT
    assert [recommend_pb2.ExplainedItem.Cause.Name(cause) for cause in told["far"].causes] == [
        "CAUSE_OUT_OF_REACH"
    ]
    assert told["far"].distance_m == pytest.approx(121_000, rel=0.01)
    assert (told["nobody"].standing, told["nobody"].HasField("explanation")) == (NOT_FOUND, False)


async def test_a_logged_decision_tells_what_was_believed_and_how_probable_each_place_was(
    house: House,
) -> None:
    answer = await house.gateway.call(house.tenant, asked(explain=True))
    found = await decision(house, answer.request_id)
    assert [each.item_id for each in found.items] == [each.item_id for each in answer.items]
    assert found.replay == admin_pb2.ExplainDecisionResponse.REPLAY_EQUAL
    assert (found.feed, found.candidates, found.scenario) == ("draw", 20, "draw")
    for told, shown in zip(found.items, answer.items, strict=True):
        assert (told.rank, told.score, told.standing) == (shown.rank, shown.score, SHOWN)
        kinds = {kind.kind: kind for kind in shown.explanation.kinds}
        for kind in told.kinds:
            assert kind.posterior_a == pytest.approx(kinds[kind.kind].posterior_a, rel=1e-6)
            assert kind.draw == pytest.approx(kinds[kind.kind].draw, rel=1e-6)
            for name in ("exposure", "success", "prior_mean", "prior_strength"):
                explained = getattr(kinds[kind.kind], name)
                assert getattr(kind, name) == pytest.approx(explained, rel=1e-4, abs=1e-3)
            assert kind.prior_origin == kinds[kind.kind].prior_origin
    every = await decision(house, answer.request_id, *(f"item-{n}" for n in range(20)))
    by_place = [sum(each.propensities[place] for each in every.items) for place in range(5)]
    assert by_place == pytest.approx([1.0] * 5, abs=1e-4)
    missing = await decision(house, answer.request_id, "far", "nobody")
    assert [each.standing for each in missing.items] == [LEFT_OUT, NOT_FOUND]
    assert not any(each.propensities for each in missing.items)
    others = [each for each in every.items if each.rank == 0]
    assert len(others) == 15
    for each in others:
        assert list(each.causes) == [recommend_pb2.ExplainedItem.CAUSE_LOWER_SCORE]
        assert 5 < each.drawn_rank <= 20
        assert each.score <= answer.items[-1].score


async def test_the_nearest_is_first_with_certainty(house: House) -> None:
    request = recommend(59.91, 10.75, scenario="near", limit=3, explain=True)
    answer = await house.gateway.call(house.tenant, request)
    found = await decision(house, answer.request_id)
    assert [list(each.propensities) for each in found.items] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


async def test_what_was_not_logged_is_not_found_and_the_cause_is_named(house: House) -> None:
    for request_id, reason in (
        (str(uuid7(1_700_000_000_000, 1)), "DECISION_NOT_LOGGED"),
        ("", "REQUIRED_FIELD"),
        ("home", "REQUEST_ID_FORMAT"),
        ("6f2d3a0e-7c1b-4c3e-9a51-3f6d0c8b2e17", "REQUEST_ID_FORMAT"),
    ):
        with pytest.raises(Refusal) as told:
            await house.gateway.call(house.tenant, admin_pb2.ExplainDecisionRequest(request_id=request_id))
        assert told.value.reason == reason
    assert told.value.violations[0][0] == "request_id"


@pytest.mark.parametrize(
    ("item_ids", "reason"),
    [
        (tuple(f"i{n}" for n in range(21)), "LIST_TOO_LONG"),
        (("a", "a"), "DUPLICATE_ID_IN_BATCH"),
        (("",), "ID_LENGTH"),
        (("a b",), "ID_CHARSET"),
    ],
)
async def test_bad_lists_of_items_are_refused(house: House, item_ids: tuple[str, ...], reason: str) -> None:
    with pytest.raises(Refusal) as told:
        await house.gateway.call(house.tenant, asked(*item_ids))
    assert told.value.reason == reason
    assert told.value.violations[0][0].startswith("explain_item_ids")


async def test_the_command_tells_the_same(house: House) -> None:
    answer = await house.gateway.call(house.tenant, asked(explain=True))
    found = await decision(house, answer.request_id)
    done = await asyncio.to_thread(invoke, house, answer.request_id, "--json")
    document = json.loads(done.stdout)
    assert [each["itemId"] for each in document["items"]] == [each.item_id for each in found.items]
    assert document["replay"] == "REPLAY_EQUAL"
    told = (await asyncio.to_thread(invoke, house, answer.request_id, "--item", "far")).stdout
    assert "no candidate" in told
    assert "Made again: equal" in told
    shown = (await asyncio.to_thread(invoke, house, answer.request_id)).stdout
    assert "0.1 of 20  configured" in shown
    assert f"{found.items[0].item_id} (posting {found.items[0].posting}): #1, score" in shown


async def test_the_command_refuses_slips_and_ends_with_3_where_nothing_is_logged(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await house.gateway.call(house.tenant, asked(explain=True))
    await decision(house, answer.request_id)
    where = ("--tenant", house.tenant.slug, "--postgres-dsn", house.direct.postgres.dsn)
    old = str(uuid7(1_700_000_000_000, 1))
    for asked_for, status, words in (
        (("home",), 2, "must be a request id"),
        ((answer.request_id, "--item", "a b"), 2, "may only have characters of"),
        ((answer.request_id, "--item", "far", "--item", "far"), 2, "far is named twice"),
        ((old,), 3, "REQUEST_ID: there is no record of that decision"),
        ((old, "--json"), 3, '"cause": "TOO_OLD"'),
    ):
        assert await asyncio.to_thread(run, ["explain", *asked_for, *where]) == status
        assert words in capsys.readouterr().err


def invoke(house: House, request_id: str, *more: str) -> Result:
    where = ("--tenant", house.tenant.slug, "--postgres-dsn", house.direct.postgres.dsn)
    done = CliRunner().invoke(command, [str(UUID(request_id)), *where, *more], standalone_mode=False)
    assert done.exception is None, done.exception
    return done
