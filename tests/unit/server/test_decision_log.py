"""Which decisions are noted, that noting costs the request nothing, and that what is given up is counted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from nearcast_bandit.redeciding import differences, redecide
from nearcast_config.mastery import Master
from nearcast_config.policy import Decisions, Exploration, Feed, Scenario
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import uuid7
from nearcast_server import decisionlog
from nearcast_server.deciding import Decider
from nearcast_server.decisionlog import DecisionLog, log_unit
from nearcast_server.recalling import Recall
from nearcast_server.recommending import Recommender, Slate
from nearcast_server.searching import IndexFinder
from nearcast_store.connection import RedisDownError
from nearcast_store.decisions.codec import unpack
from nearcast_store.decisions.stream import Logged
from nearcast_store.policies.protocol import Epoch, Shares
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.unit.server.scene import (
    KEYRING,
    NOW,
    TENANT,
    Scene,
    make_policy,
    make_query,
    make_view,
    town,
    with_epochs,
)

SALT = KEYRING.signing_key.secret


class Outlet:
    """Takes what there is room for, or is away."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.is_away = False
        self.taken: list[Logged] = []

    async def append(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        if self.is_away:
            raise RedisDownError("down")
        taken = logged[: self.room]
        self.room -= len(taken)
        self.taken += taken
        return len(taken)


class Logging:
    """A scene whose decisions are logged."""

    def __init__(self, scene: Scene, outlet: Outlet) -> None:
        self.registry = CollectorRegistry()
        self.scene, self.outlet = scene, outlet
        self.log = DecisionLog(outlet, "1.0 rules ab", Metrics(self.registry, SERVER_METRICS))
        self.recommender = Recommender(
            IndexFinder(scene.index),
            scene.tenancies,
            lambda: scene.now,
            Decider(scene.request_ids, scene.random.randbytes),
            Recall(scene.seen),
            self.log,
        )

    async def ask(self, times: int = 1, **changed: Any) -> Slate:
        for _ in range(times):
            slate = await self.recommender.recommend(TENANT, make_query(**changed))
        return slate

    def count(self, reason: str) -> float:
        return self.registry.get_sample_value("nearcast_server_decisions_total", {"reason": reason}) or 0.0


def logging(outlet: Outlet | None = None, size: int = 12, **policy: object) -> Logging:
    return Logging(town(size, make_view(make_policy(**policy))), outlet or Outlet())


async def sent(house: Logging) -> list[Logged]:
    while house.log.waiting:
        await house.log.send()
    return house.outlet.taken


async def test_what_explains_is_logged_and_made_again() -> None:
    house = logging(decisions=Decisions(log_share=0.0))
    slate = await house.ask(explain=True)
    (logged,) = await sent(house)
    record = unpack(logged.record)
    assert logged.request_id == slate.decision.request_id == record.circumstances.request_id
    assert record.circumstances.reason == "explain"
    assert list(record.outcome.postings) == list(slate.finding.postings)
    assert differences(record.outcome, redecide(record)) == []
    assert house.count("logged") == 1


@pytest.mark.parametrize("exploring", [0.0, 0.4])
@pytest.mark.parametrize("master", [Master(frozen=True), Master(holdout_share=0.5)])
async def test_what_the_bandits_leave_alone_is_made_again(master: Master, exploring: float) -> None:
    view = make_view(make_policy(master=master, exploration=Exploration(share=exploring)))
    revision = replace(view.revision, feeds=dict(view.revision.feeds) | {"holdout": 98})
    house = Logging(town(30, replace(view, revision=revision)), Outlet())
    for number in range(40):
        first = await house.ask(explain=True, person=Person(user_id=f"u-{number}"))
        if first.next_page_token:
            await house.ask(explain=True, page_token=first.next_page_token)
    records = [unpack(logged.record) for logged in await sent(house)]
    for record in records:
        assert differences(record.outcome, redecide(record)) == []
    feeds = {record.outcome.feed for record in records}
    assert feeds == {"draw"} if master.frozen else {"holdout", "draw"} < feeds
    steady = [each for each in records if each.outcome.feed == "holdout" or master.frozen]
    assert {record.ordering.order for record in steady} == {"most"}


async def test_what_was_chosen_among_feeds_with_conditions_for_a_segment_is_made_again() -> None:
    feeds = {
        "draw": Feed(order="draw"),
        "liked": Feed(order="popular", needs=("person",)),
        "many": Feed(order="newest", min_candidates=5),
    }
    view = make_view(make_policy(feeds=feeds))
    revision = replace(view.revision, segments={"new": 3})
    draw, liked, many = (revision.feeds[name] for name in feeds)
    epoch = Epoch(TENANT, 2, 1, {0: {(draw, liked, many): {draw: 0.2, liked: 0.3, many: 0.5}}}, NOW)
    own: dict[int, Shares] = {3: {0: {(draw, many): {draw: 0.25, many: 0.75}}}}
    told = with_epochs(replace(view, revision=revision), replace(epoch, segments=own, items={0: 9}))
    house = Logging(town(12, told), Outlet())
    for number in range(20):
        await house.ask(explain=True, person=Person(user_id="ann"), session_id=f"s-{number}")
        await house.ask(explain=True, segment="new", session_id=f"s-{number}")
    shares: dict[str, set[object]] = {"": set(), "new": set()}
    for logged in await sent(house):
        record = unpack(logged.record)
        assert differences(record.outcome, redecide(record)) == []
        shares[record.circumstances.segment].add(record.choice.shares)
    assert shares == {
        "": {(("draw", 0.2), ("liked", 0.3), ("many", 0.5))},
        "new": {(("draw", 0.25), ("many", 0.75))},
    }


async def test_nothing_else_is_logged_at_a_share_of_0() -> None:
    house = logging(decisions=Decisions(log_share=0.0))
    slate = await house.ask(times=30)
    assert slate.finding.pool is None
    assert await sent(house) == []


async def test_every_exploring_request_is_logged() -> None:
    house = logging(decisions=Decisions(log_share=0.0), exploration=Exploration(share=0.5, pool_size=5))
    await house.ask(times=60)
    records = [unpack(logged.record) for logged in await sent(house)]
    assert 15 <= len(records) <= 45
    for record in records:
        assert (record.circumstances.reason, record.outcome.feed) == ("explore", "explore")
        assert differences(record.outcome, redecide(record)) == []


@pytest.mark.parametrize("exploring", [0.0, 1.0])
async def test_what_scores_were_multiplied_with_is_logged_and_made_again(exploring: float) -> None:
    surface = Scenario(feeds=("draw",), distance_half_m=20.0)
    house = logging(scenarios={"default": surface}, exploration=Exploration(exploring, pool_size=5))
    slate = await house.ask(explain=True)
    record = unpack((await sent(house))[0].record)
    assert record.pool is not None
    assert record.pool.factors is not None
    assert sorted(record.pool.factors.tolist()) == pytest.approx(
        [2.0 ** -(n / 2) for n in range(12, 0, -1)], 1e-3
    )
    assert list(record.outcome.scores) == list(slate.finding.scores)
    assert differences(record.outcome, redecide(record)) == []
    without = redecide(replace(record, pool=replace(record.pool, factors=None)))
    assert differences(record.outcome, without) != []


async def test_the_share_is_of_requests_by_their_id() -> None:
    house = logging(decisions=Decisions(log_share=0.3))
    slates = [await house.ask() for _ in range(100)]
    ids = [slate.decision.request_id for slate in slates]
    chosen = {logged.request_id for logged in await sent(house)}
    assert chosen == {each for each in ids if log_unit(SALT, TENANT, each) < 0.3}


def test_the_share_is_even() -> None:
    """2,000 ids; five standard deviations are 0.05."""
    units = [log_unit(SALT, TENANT, uuid7(1_790_000_000_000, number)) for number in range(2000)]
    assert sum(unit < 0.3 for unit in units) / 2000 == pytest.approx(0.3, abs=0.052)


async def test_no_person_no_place_and_no_secret_is_in_a_record() -> None:
    house = logging()
    await house.ask(explain=True, session_id="a-session-of-ann")
    (logged,) = await sent(house)
    told = msgspec.json.encode(unpack(logged.record).circumstances)
    assert b"ann" not in told
    assert SALT not in logged.record
    assert b"59.91" not in told


async def test_distances_are_in_a_record_only_where_items_are_ordered_by_them() -> None:
    for feed in ("nearest", "newest", "draw"):
        house = logging(scenarios={"default": Scenario(feeds=(feed,))})
        await house.ask(explain=True)
        pool = unpack((await sent(house))[0].record).pool
        assert pool is not None
        assert (pool.distances_m is not None, pool.born_at is not None) == (
            feed == "nearest",
            feed == "newest",
        )


async def test_a_queue_that_is_full_takes_no_more_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisionlog, "MOST_QUEUED", 3)
    house = logging()
    slate = await house.ask(times=5, explain=True)
    assert len(slate.items) == 12
    assert len(await sent(house)) == 3
    assert (house.count("logged"), house.count("queue_full")) == (3, 2)


async def test_what_waits_holds_so_many_candidates_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisionlog, "MOST_QUEUED_CANDIDATES", 30)
    house = logging(size=12)
    await house.ask(times=4, explain=True)
    assert len(await sent(house)) == 2
    assert house.count("queue_full") == 2
    await house.ask(explain=True)
    assert len(await sent(house)) == 3


async def test_what_redis_has_no_room_for_is_given_up_and_counted() -> None:
    house = logging(Outlet(room=2))
    await house.ask(times=5, explain=True)
    assert len(await sent(house)) == 2
    assert (house.count("logged"), house.count("backlog")) == (2, 3)


async def test_while_redis_is_away_records_are_given_up_and_later_ones_go() -> None:
    house = logging()
    house.outlet.is_away = True
    await house.ask(times=3, explain=True)
    assert await sent(house) == []
    assert house.count("redis_away") == 3
    house.outlet.is_away = False
    await house.ask(explain=True)
    assert len(await sent(house)) == 1
