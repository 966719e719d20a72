"""A policy that is tried is answered from the replica by its own weights, and made again from its record."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from nearcast.v1 import admin_pb2
from nearcast_bandit.redeciding import differences, redecide
from nearcast_replica.answering import answerer
from nearcast_store.decisions.codec import unpack
from nearcast_store.decisions.postgres import PostgresDecisionStore
from tests.gateways import eventually, item, running_keeper
from tests.replicahouse import House, Scribe, open_house
from tests.services import new_database

# The first of them may have to make machine code.
pytestmark = pytest.mark.timeout(300)
SOON_S = 60.0
DRAWN = '[exploration]\nshare = 0\n[decisions]\nlog_share = 0\n[scenarios.default]\nfeeds = ["draw"]\n'
HEAVY = DRAWN + "[kinds.apply]\nweight = 50\nprior_mean = 0.01\nprior_strength = 100\nmaturity_hours = 6\n"


@pytest.fixture(scope="module")
async def house(
    postgres_server: str,
    migrated_template: str,
    _redis_databases: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A gateway with a replica of thirty items, of which ten were acted on, and a keeper."""
    answerer()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        folder = tmp_path_factory.mktemp("replica")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("nearcast_statskeeper.jobs.archiving.TAKE_INTERVAL_S", 0.1)
        house = await stack.enter_async_context(open_house(dsn, next(_redis_databases), folder))
        await stack.enter_async_context(running_keeper(house.direct))
        await house.gateway.call(house.tenant, admin_pb2.ApplyPolicyRequest(policy_toml=DRAWN))
        await house.upsert(*(item(f"item-{n}", 59.91 + n * 1e-4) for n in range(30)))
        await stack.enter_async_context(Scribe(house.config))
        for found in (await house.from_replica(limit=10)).items:
            await house.act(found.reward_token)
        yield house


async def start(house: House, name: str, mode: Any, text: str = HEAVY) -> int:
    request = admin_pb2.StartExperimentRequest(name=name, mode=mode, policy_toml=text, share=1.0)
    revision: int = (await house.gateway.call(house.tenant, request)).experiment.revision
    return revision


async def stop(house: House, name: str) -> None:
    await house.gateway.call(house.tenant, admin_pb2.StopExperimentRequest(name=name))


async def test_a_contender_draws_by_its_own_weights_and_is_made_again_equal(house: House) -> None:
    revision = await start(house, "heavy", admin_pb2.EXPERIMENT_MODE_SPLIT)

    async def followed() -> bool:
        return bool((await house.ask()).policy_revision == revision)

    await eventually(followed, SOON_S)
    answer = await house.from_replica(explain=True)
    assert answer.policy_revision == revision
    kept = PostgresDecisionStore(house.gateway.pool)
    raw = await eventually(lambda: kept.find(house.tenant.tenant_id, UUID(answer.request_id)), SOON_S)
    record = unpack(raw or b"")
    assert record.circumstances.policy_revision == revision
    assert 50.0 in record.ordering.weights
    assert differences(record.outcome, redecide(record)) == []
    await stop(house, "heavy")


async def test_places_that_only_a_contender_keeps_are_given_from_the_replica(house: House) -> None:
    """Which is read anew for it, as it has to know how often items were shown."""
    keeping = DRAWN + "[newcomers]\nfloor_share = 0.5\ncap_share = 0.9\nuntil_exposures = 1\n"
    revision = await start(house, "keeping", admin_pb2.EXPERIMENT_MODE_SPLIT, keeping)

    async def followed() -> Any:
        answer = await house.from_replica(explain=True)
        return answer if answer.policy_revision == revision else None

    answer = await eventually(followed, SOON_S)
    assert not answer.degraded_reasons
    assert any(each.explanation.drawn_rank for each in answer.items)
    await stop(house, "keeping")


async def test_a_shadow_of_what_a_replica_answered_is_compared_and_told(house: House) -> None:
    """Every request of the share, as the replica needs no waiting."""
    await start(house, "dim", admin_pb2.EXPERIMENT_MODE_SHADOW)

    async def compared() -> bool:
        await house.from_replica()
        report = await house.gateway.call(house.tenant, admin_pb2.GetExperimentRequest(name="dim"))
        return bool(report.shadow.compared >= 3)

    await eventually(compared, SOON_S)
    report = (await house.gateway.call(house.tenant, admin_pb2.GetExperimentRequest(name="dim"))).shadow
    assert 0 < report.overlap <= 1
    assert [(pair.feed, pair.shadow_feed) for pair in report.feeds] == [("draw", "draw")]
    await stop(house, "dim")
