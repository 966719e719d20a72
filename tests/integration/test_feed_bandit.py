"""The bandit of feeds through every part: the holdout is counted apart, segments learn by themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from nearcast.v1 import event_pb2, person_pb2, stats_pb2
from nearcast_config.mastery import Master
from nearcast_config.policy import Exploration, Feed, Policy
from nearcast_config.segmentation import Segments
from nearcast_statskeeper.epochs import next_epoch
from nearcast_statskeeper.verifying import verify_stats
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.policies.protocol import Epoch, Revision
from tests import towns
from tests.acceptance.running import nearcast
from tests.gateways import Gateway, Refusal, eventually, item, recommend

PATIENT_S = 60.0
CENTER = (59.91, 10.75)
FEEDS = {"nearest": Feed(order="nearest", floor=0.1), "newest": Feed(order="newest", floor=0.1)}
# Epochs of half a second, and nothing forgotten.
MASTER = Master(epoch_minutes=0.5 / 60, half_life_days=0.0)
POLICY = msgspec.structs.replace(Policy(), exploration=Exploration(share=0.0), feeds=FEEDS, master=MASTER)


@pytest.fixture(scope="module")
async def working(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[Gateway]:
    """A gateway with a keeper behind it."""
    async with towns.working_gateway(postgres_server, migrated_template, next(_redis_databases)) as gateway:
        yield gateway


class Town(towns.Town):
    """A tenant with one item, whose epochs are short."""

    @property
    def policies(self) -> PostgresPolicyStore:
        return PostgresPolicyStore(self.gateway.pool)

    async def begin(self, **changed: Any) -> Revision:
        policy = msgspec.structs.replace(POLICY, **changed)
        await self.put(item("thing"))
        revision = await self.policies.apply(self.tenant.tenant_id, policy, "tests", "")

        async def ready() -> bool:
            answer = await self.call(recommend(*CENTER))
            is_followed = answer.policy_revision == revision.number
            return bool(is_followed and answer.items and answer.policy_epoch)

        await eventually(ready, PATIENT_S)
        return revision

    async def visit(self, number: int, likes: str, **asked: Any) -> Any:
        """Somebody is shown a feed, and applies when it is the one that pleases; "" for nobody's."""
        person = person_pb2.Person(user_id=f"u-{number}")
        answer = await self.call(recommend(*CENTER, person=person, session_id=f"s-{number}", **asked))
        kinds = ["impression", "apply"] if likes == answer.feed else ["impression"]
        token = answer.items[0].reward_token
        events = [event_pb2.Event(kind=kind, reward_token=token, person=person) for kind in kinds]
        results = (await self.call(event_pb2.RecordEventsRequest(events=events))).results
        assert not [each for each in results if each.outcome.code]
        return answer

    async def feeds(self, trials: int) -> Any:
        """How feeds stand, once so many sessions are counted."""

        async def look() -> Any:
            return await self.call(stats_pb2.GetStatsRequest())

        return await eventually(
            look, PATIENT_S, lambda told: sum(feed.trials for feed in told.feeds) >= trials
        )

    async def counted(self) -> list[FeedCount]:
        return await PostgresCountStore(self.gateway.pool).feed_counts(self.tenant.tenant_id)

    async def next_epochs(self, most: int) -> Epoch:
        """One that was published after all that is counted now."""
        latest = await self.policies.latest_epoch(self.tenant.tenant_id)
        assert latest is not None
        found = await eventually(
            lambda: self.policies.latest_epoch(self.tenant.tenant_id),
            PATIENT_S,
            lambda epoch: epoch is not None and epoch.number >= latest.number + most,
        )
        assert found is not None
        return found


@pytest.fixture
async def town(working: Gateway, request: pytest.FixtureRequest) -> Town:
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:50]
    return Town(working, await working.new_tenant(name))


async def test_who_is_held_out_is_counted_apart_and_moves_no_share(town: Town) -> None:
    master = msgspec.structs.replace(MASTER, holdout_share=0.5, default_feed="nearest")
    revision = await town.begin(master=master)
    answers = [await town.visit(number, likes="holdout") for number in range(60)]
    held = sum(answer.feed == "holdout" for answer in answers)
    assert 10 < held < 50
    assert {answer.feed_propensity for answer in answers if answer.feed == "holdout"} == {0.5}
    told = {feed.feed: feed for feed in (await town.feeds(60)).feeds}
    assert (told["holdout"].trials, told["holdout"].rewards) == (held, held)
    others = [told["nearest"], told["newest"]]
    assert sum(feed.trials for feed in others) == 60 - held
    assert [feed.rewards for feed in others] == [0, 0]
    epoch, counts = await town.next_epochs(2), await town.counted()
    learned = [count for count in counts if count.feed != revision.feeds["holdout"]]
    assert len(learned) < len(counts)
    without = next_epoch(None, revision, learned, epoch.published_at).shares
    assert epoch.shares == {
        market: {eligible: pytest.approx(shares, rel=1e-9) for eligible, shares in told.items()}
        for market, told in without.items()
    }


async def test_segments_learn_by_themselves_and_are_told_apart(town: Town) -> None:
    revision = await town.begin(segments=Segments(names=("new", "old"), parent_strength=5.0))
    tastes = {"new": "nearest", "old": "newest", "unheard-of": ""}
    for number in range(150):
        segment = list(tastes)[number % 3]
        answer = await town.visit(number, likes=tastes[segment], segment=segment)
        assert answer.segment == (segment if segment in revision.segments else "")
    await town.feeds(150)
    epoch, everyone = await town.next_epochs(2), tuple(sorted(revision.feeds[name] for name in FEEDS))
    for segment, feed in (("new", "nearest"), ("old", "newest")):
        shares = epoch.segments[revision.segments[segment]][0][everyone]
        assert shares[revision.feeds[feed]] > 0.8
        stats = await town.call(stats_pb2.GetStatsRequest(segment=segment))
        told = {each.feed: each for each in stats.feeds}
        assert sum(each.trials for each in stats.feeds) == 50
        assert told[feed].rewards == told[feed].trials
        assert told[feed].probability == pytest.approx(shares[revision.feeds[feed]], abs=0.05)
        assert stats.standing.leader == feed
        assert told[feed].best_probability > 0.9
    in_all = (await town.call(stats_pb2.GetStatsRequest())).standing
    assert in_all.value_remaining > stats.standing.value_remaining
    assert {count.segment for count in await town.counted()} == {0, 1, 2}
    assert (await verify_stats(town.gateway.pool, 10, tenant_id=town.tenant.tenant_id)).clean


async def test_a_market_or_segment_that_there_is_none_of_is_refused(town: Town) -> None:
    await town.begin(segments=Segments(names=("new",)))
    for request, reason in (
        (stats_pb2.GetStatsRequest(segment="atlantis"), "SEGMENT_UNKNOWN"),
        (stats_pb2.GetStatsRequest(market="atlantis"), "MARKET_UNKNOWN"),
    ):
        with pytest.raises(Refusal) as refused:
            await town.call(request)
        assert refused.value.reason == reason


async def test_the_command_line_asks_for_segments(town: Town) -> None:
    await town.begin(segments=Segments(names=("new",)))
    options = ("--address", town.gateway.address, "--api-key", town.tenant.keys["operator"])

    async def said(*arguments: str) -> str:
        done = await asyncio.to_thread(nearcast, *arguments, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    known = await said("recommend", "59.91", "10.75", "--segment", "new", "--json")
    assert json.loads(known)["segment"] == "new"
    assert "names no segment nwe" in await said("recommend", "59.91", "10.75", "--segment", "nwe")
    assert "Best so far" in await said("stats", "--segment", "new")
    refused = await asyncio.to_thread(nearcast, "stats", "--segment", "nwe", *options)
    assert refused.returncode != 0
    assert "must be one of new" in refused.stderr


async def test_a_feed_that_needs_many_items_is_given_once_they_are_counted(town: Town) -> None:
    feeds = FEEDS | {"newest": Feed(order="newest", floor=0.8, min_candidates=3)}
    revision = await town.begin(feeds=feeds)
    first = [await town.visit(number, likes="") for number in range(10)]
    assert {(answer.feed, answer.feed_propensity) for answer in first} == {("nearest", 1.0)}
    await town.put(*(item(f"more-{number}") for number in range(3)))

    async def newest() -> bool:
        number = (await town.next_epochs(1)).number
        return (await town.visit(number + 100, likes="")).feed == "newest"

    assert await eventually(newest, PATIENT_S)
    epoch = await town.next_epochs(1)
    assert epoch.items == {0: 4}
    assert revision.feeds["newest"] in next(iter(epoch.shares[0].values())) or len(epoch.shares[0]) == 2
