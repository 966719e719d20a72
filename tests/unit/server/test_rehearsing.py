"""Shadow mode: what is decided again, what is kept of it, and what is given up without harm."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from nearcast_config.policy import Policy, Scenario, Slate
from nearcast_server import rehearsing
from nearcast_server.deciding import Decider
from nearcast_server.finding import Finding, Search
from nearcast_server.orders import orders_of
from nearcast_server.recalling import Recall
from nearcast_server.recommending import Recommender
from nearcast_server.rehearsing import Rehearsal, Stage
from nearcast_server.searching import IndexFinder
from nearcast_server.tenancy import Contender
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.experiments.protocol import ShadowDecision
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.unit.server.scene import TENANT, make_policy, make_query, make_revision, make_view, town


class Kept:
    """Where decisions of shadows are kept; may be away."""

    def __init__(self) -> None:
        self.is_away = False
        self.decisions: list[ShadowDecision] = []
        self.some = asyncio.Event()

    async def add(self, decisions: Sequence[ShadowDecision]) -> None:
        if self.is_away:
            raise StoreUnavailableError("Postgres does not answer")
        self.decisions += decisions
        self.some.set()


class Replica:
    """Asked only for what it was told."""

    def __init__(self) -> None:
        self.asked = 0

    def find(self, search: Search) -> Finding | None:
        del search
        self.asked += 1
        return None


class House:
    """A town whose requests are decided again under another policy."""

    def __init__(
        self, policy: Policy, shadow: Policy, share: float = 1.0, *, believes_alike: bool = True
    ) -> None:
        view, revision = make_view(policy), make_revision(shadow, number=2)
        other = replace(
            view,
            revision=revision,
            orders=orders_of(shadow),
            contends=True,
        )
        self.shadow = Contender(5, "dark", share, other, believes_alike)
        self.scene = town(12, replace(view, shadow=self.shadow))
        self.registry, self.kept, self.replica = CollectorRegistry(), Kept(), Replica()
        finder = IndexFinder(self.scene.index)
        metrics = Metrics(self.registry, SERVER_METRICS)
        self.rehearsal = Rehearsal(Stage(finder, self.replica), self.kept, metrics)
        self.recommender = Recommender(
            finder,
            self.scene.tenancies,
            lambda: self.scene.now,
            Decider(self.scene.request_ids, self.scene.random.randbytes),
            Recall(self.scene.seen),
            audience=self.rehearsal,
        )

    async def ask(self, **changed: Any) -> Any:
        return await self.recommender.recommend(TENANT, make_query(**changed))

    def count(self, reason: str) -> float:
        return self.registry.get_sample_value("nearcast_server_rehearsals_total", {"reason": reason}) or 0.0


def by(feed: str, **changed: object) -> Policy:
    return make_policy(scenarios={"default": Scenario(feeds=(feed,))}, **changed)


async def test_the_policy_in_force_is_served_and_the_other_kept() -> None:
    house = House(by("nearest"), by("newest", slate=Slate(default_limit=4)))
    slate = await house.ask(session_id="s")
    await house.rehearsal.rehearse()
    (kept,) = house.kept.decisions
    assert slate.view.revision.number == 1
    assert (kept.tenant_id, kept.experiment, kept.request_id) == (TENANT, 5, slate.decision.request_id)
    assert list(kept.postings) == list(slate.finding.postings) == list(range(1, 13))
    assert list(kept.shadow_postings) == [1, 2, 3, 4]
    assert (kept.common, kept.new_shown, kept.shadow_new_shown) == (4, 12, 4)
    feeds = slate.view.revision.feeds
    assert (kept.feed, kept.shadow_feed) == (feeds["nearest"], feeds["newest"])
    assert house.count("compared") == 1


async def test_the_same_draw_of_the_same_request_comes_out_the_same() -> None:
    house = House(by("draw"), by("draw", slate=Slate(max_limit=50)))
    for number in range(8):
        await house.ask(session_id=f"s-{number}")
    await house.rehearsal.rehearse()
    assert len(house.kept.decisions) == 8
    assert all(each.postings == each.shadow_postings for each in house.kept.decisions)
    assert len({tuple(each.postings) for each in house.kept.decisions}) > 1


async def test_a_share_of_the_requests_and_no_page_is_decided_again() -> None:
    """100 requests at 0.3; four standard deviations are 18."""
    house = House(by("nearest", slate=Slate(default_limit=5)), by("newest"), share=0.3)
    for _ in range(100):
        slate = await house.ask(session_id="s")
        await house.ask(session_id="s", page_token=slate.next_page_token)
    await house.rehearsal.rehearse()
    assert 12 <= len(house.kept.decisions) <= 48
    assert {len(each.postings) for each in house.kept.decisions} == {5}


@pytest.mark.parametrize("believes_alike", [True, False])
async def test_a_replica_is_asked_only_for_what_it_was_told(believes_alike: bool) -> None:
    house = House(by("nearest"), by("newest"), believes_alike=believes_alike)
    await house.ask()
    await house.rehearsal.rehearse()
    assert house.replica.asked == believes_alike
    assert len(house.kept.decisions) == 1


async def test_too_many_are_given_up_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsing, "MOST_WAITING", 3)
    house = House(by("nearest"), by("newest"))
    for _ in range(5):
        assert len((await house.ask()).items) == 12
    await house.rehearsal.rehearse()
    assert (len(house.kept.decisions), house.count("queue_full")) == (3, 2)


async def test_a_store_that_is_away_costs_no_answer_and_is_counted() -> None:
    house = House(by("nearest"), by("newest"))
    house.kept.is_away = True
    await house.ask()
    await house.rehearsal.rehearse()
    assert (house.kept.decisions, house.count("store_away")) == ([], 1)
    house.kept.is_away = False
    await house.ask()
    await house.rehearsal.rehearse()
    assert len(house.kept.decisions) == 1


async def test_a_policy_that_fails_is_counted_and_stops_nothing() -> None:
    house = House(by("nearest"), make_policy(scenarios={"other": Scenario()}))
    await house.ask()
    await house.rehearsal.rehearse()
    assert (house.kept.decisions, house.count("failed")) == ([], 1)


async def test_what_waits_is_written_while_it_runs_and_the_rest_at_the_end() -> None:
    house, stop = House(by("nearest"), by("newest")), asyncio.Event()
    running = asyncio.create_task(house.rehearsal.run(stop))
    await house.ask()
    async with asyncio.timeout(20.0):
        await house.kept.some.wait()
    stop.set()
    await running
    await house.ask()
    await house.rehearsal.write_last()
    assert len(house.kept.decisions) == 2
