"""A decision is made by one policy and one fit, whole: what is stamped, explained, logged and drawn agree."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pytest

from nearcast.v1 import stats_pb2
from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_config.policy import Decisions, Exposure, Policy, Priors
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import answerer
from nearcast_store.decisions.codec import unpack
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.priors.postgres import PostgresPriorStore
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from tests.gateways import eventually, item, running_keeper
from tests.replicahouse import SOON_S, House, Scribe, open_house, reasons

# The first of them may have to make machine code.
pytestmark = pytest.mark.timeout(300)
ITEMS = 24
SEEN = 10
SHOWN = 64
WEAK, STRONG = 8.0, 4096.0
LEARNED = Priors(mode="learned", fit_every_hours=720.0)
# Posteriors are held in 32 bits, and counts of two days ago ripen still, a little.
CLOSE = 1e-3


def believing(strength: float, mean: float = 0.25, **other: Any) -> Policy:
    """Of every kind, and what is counted stays."""
    policy = Policy(exposure=Exposure(half_life_hours=0.0), decisions=Decisions(log_share=1.0))
    kinds = {
        name: msgspec.structs.replace(kind, prior_mean=mean, prior_strength=strength, maturity_hours=0.0)
        for name, kind in policy.kinds.items()
    }
    return msgspec.structs.replace(policy, kinds=kinds, **other)


class Town:
    """Items of which some were seen, and what is believed by each revision that was applied."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.strengths: dict[int, float] = {}
        self.answers: list[Any] = []

    async def apply(self, policy: Policy) -> int:
        store, tenant_id = PostgresPolicyStore(self.house.gateway.pool), self.house.tenant.tenant_id
        revision = (await store.apply(tenant_id, policy, "tests", "")).number
        self.strengths[revision] = next(iter(policy.kinds.values())).prior_strength
        return revision

    async def fit(self, number: int, strength: float) -> None:
        """Published as a keeper would."""
        store = PostgresPriorStore(self.house.gateway.pool)
        prior = LevelPrior(Prior(0.25, strength), Level.ALL, FitKind.FITTED, 100, 1.0, 1.0, 1.0)
        kinds = range(1, 10)
        fit = PriorFit(
            self.house.tenant.tenant_id,
            number,
            b"",
            time.time(),
            {kind: {EVERYWHERE: prior} for kind in kinds},
        )
        await store.publish(fit)

    async def furnish(self) -> None:
        await self.house.upsert(*(item(f"item-{n}", 59.91 + n * 1e-5) for n in range(ITEMS)))
        async with self.house.gateway.pool.connection() as connection:
            await connection.execute(
                "insert into item_counts"
                " (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count)"
                " select tenant_id, posting, 0, $2, $3, 1, 1, false, $4 from items"
                " where tenant_id = $1 order by posting limit $5",
                self.house.tenant.tenant_id,
                IMPRESSION,
                int(time.time() // 3600) - 48,
                SHOWN,
                SEEN,
            )

    async def followed(self, revision: int) -> Any:
        """The first answer by it that comes from the replica."""

        async def look() -> Any:
            answer = await self.house.from_replica(explain=True, limit=ITEMS)
            return answer if answer.policy_revision == revision else None

        return await eventually(look, SOON_S)

    async def says(self, reason: str, revision: int) -> Any:
        """The first answer by that revision that says so."""

        async def look() -> Any:
            answer = await self.house.ask(explain=True, limit=ITEMS)
            return answer if answer.policy_revision == revision and reason in reasons(answer) else None

        return await eventually(look, SOON_S)

    @asynccontextmanager
    async def asking(self, askers: int = 2) -> AsyncIterator[None]:
        """All the time; an error ends it, and the test."""
        stop = asyncio.Event()

        async def ask() -> None:
            while not stop.is_set():
                self.answers.append(await self.house.ask(explain=True, limit=ITEMS))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(askers):
                tasks.create_task(ask())
            yield
            stop.set()


def disagreeing(answer: Any) -> list[tuple[str, str, float, float]]:
    """Where A and B are not what prior and exposure of the same answer come to."""
    return [
        (found.item_id, kind.kind, kind.posterior_a + kind.posterior_b, kind.prior_strength + kind.exposure)
        for found in answer.items
        for kind in found.explanation.kinds
        if kind.posterior_a + kind.posterior_b
        != pytest.approx(kind.prior_strength + kind.exposure, rel=CLOSE)
    ]


def foreign(answers: Sequence[Any], strengths: Mapping[int, float]) -> list[tuple[int, float]]:
    """Strengths of priors that are not those of the revision that is stamped."""
    told = {
        (answer.policy_revision, kind.prior_strength)
        for answer in answers
        if answer.policy_revision in strengths
        for found in answer.items
        for kind in found.explanation.kinds
    }
    return [each for each in told if each[1] != pytest.approx(strengths[each[0]])]


@pytest.fixture(scope="module", autouse=True)
def _machine_code() -> None:
    answerer()


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast_statskeeper.jobs.archiving.TAKE_INTERVAL_S", 0.1)
    # Fits are published by the tests.
    monkeypatch.setattr("nearcast_statskeeper.jobs.fitting.INTERVAL_S", 3600.0)


@pytest.fixture
async def town(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with open_house(database, redis_url, tmp_path) as house, running_keeper(house.direct):
        town = Town(house)
        await town.apply(believing(WEAK))
        await town.furnish()
        yield town


async def test_no_decision_mixes_two_policies(town: Town) -> None:
    async with Scribe(town.house.config):
        await town.house.from_replica()
        async with town.asking():
            for turn in range(4):
                await town.followed(await town.apply(believing((STRONG, WEAK)[turn % 2])))
    assert {answer.policy_revision for answer in town.answers} >= set(sorted(town.strengths)[-3:])
    assert [disagreeing(answer) for answer in town.answers if disagreeing(answer)] == []
    assert foreign(town.answers, town.strengths) == []
    await logged_alike(town)


async def logged_alike(town: Town) -> None:
    """All that competed is believed in by the revision that is logged, seen or not."""
    kept, tenant_id = PostgresDecisionStore(town.house.gateway.pool), town.house.tenant.tenant_id
    last = UUID(town.answers[-1].request_id)
    await eventually(lambda: kept.find(tenant_id, last), SOON_S)
    looked_at = set()
    for answer in town.answers:
        raw = await kept.find(tenant_id, UUID(answer.request_id))
        if raw is None:  # the queue was full
            continue
        record = unpack(raw)
        assert record.pool is not None
        revision = record.circumstances.policy_revision
        sums = (record.pool.a + record.pool.b) - town.strengths[revision]
        counted = np.where(sums > SHOWN / 2, SHOWN, 0)
        np.testing.assert_allclose(sums, counted, atol=CLOSE * STRONG)
        looked_at.add(revision)
    assert len(looked_at) >= 3


async def test_no_answer_mixes_two_fits(town: Town) -> None:
    await town.fit(1, WEAK)
    async with Scribe(town.house.config):
        revision = await town.apply(believing(WEAK, priors=LEARNED))
        await town.followed(revision)
        async with town.asking():
            for number, strength in ((2, STRONG), (3, WEAK), (4, STRONG)):
                await town.fit(number, strength)

                async def told() -> bool:
                    kinds = town.answers[-1].items[0].explanation.kinds if town.answers else []
                    return {kind.prior_origin.fit for kind in kinds} == {number}  # noqa: B023 - asked at once

                await eventually(told, SOON_S)
    assert [disagreeing(answer) for answer in town.answers if disagreeing(answer)] == []


async def test_weights_act_at_once_without_another_generation(town: Town) -> None:
    async with Scribe(town.house.config):
        await town.followed(max(town.strengths))
        before = await generation_of(town.house)
        policy = believing(WEAK)
        kinds = {name: msgspec.structs.replace(kind, weight=7.0) for name, kind in policy.kinds.items()}
        revision = await town.apply(msgspec.structs.replace(policy, kinds=kinds))

        async def followed() -> Any:
            answer = await town.house.ask(explain=True)
            assert not reasons(answer) & {"CANDIDATES_FROM_REDIS"}
            return answer if answer.policy_revision == revision else None

        answer = await eventually(followed, SOON_S)
        assert {kind.weight for kind in answer.items[0].explanation.kinds} == {7.0}
        assert await generation_of(town.house) == before


async def generation_of(house: House) -> float:
    line = "nearcast_server_replica_generation "
    page = await house.gateway.metrics()
    return next(float(each.removeprefix(line)) for each in page.splitlines() if each.startswith(line))


async def test_without_a_scribe_a_policy_is_followed_by_the_index(town: Town) -> None:
    async with Scribe(town.house.config):
        await town.followed(max(town.strengths))
    revision = await town.apply(believing(STRONG))
    assert disagreeing(await town.says("CANDIDATES_FROM_REDIS", revision)) == []


async def test_without_scribe_and_index_the_policy_before_goes_on_deciding(town: Town) -> None:
    """All of it, and it is said."""
    async with Scribe(town.house.config):
        last = max(town.strengths)
        await town.followed(last)
    await town.house.redis.cut()
    await town.apply(believing(STRONG))

    async def believed() -> set[float]:
        """What the gateway follows where no candidates are needed."""
        asked = stats_pb2.GetStatsRequest(item_ids=["item-0"])
        told = await town.house.gateway.call(town.house.tenant, asked)
        return {kind.prior_strength for kind in told.items[0].kinds}

    await eventually(believed, SOON_S, lambda found: STRONG in found)
    answer = await town.says("REPLICA_STALE", last)
    assert len(answer.items) == ITEMS
    assert disagreeing(answer) == []
    await town.house.redis.mend()


async def test_without_the_index_a_policy_is_followed_once_the_scribe_has_told_it(town: Town) -> None:
    """Every question is answered, whole, by the one policy or the other."""
    async with Scribe(town.house.config):
        await town.followed(max(town.strengths))
        await town.house.redis.cut()
        async with town.asking(1):
            revision = await town.apply(believing(STRONG))
            await town.says("REPLICA_STALE", revision)
        await town.house.redis.mend()
    assert all(len(answer.items) == ITEMS for answer in town.answers)
    assert [disagreeing(answer) for answer in town.answers if disagreeing(answer)] == []
    assert foreign(town.answers, town.strengths) == []
