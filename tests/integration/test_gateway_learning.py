"""From an item to a posterior, through every part: gateway, Postgres, Redis, keeper, and back."""

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from nearcast.v1 import catalog_pb2, event_pb2, person_pb2, recommend_pb2, stats_pb2
from nearcast_config.policy import Exploration, Policy
from nearcast_ledger.requestid import RequestIds
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests import towns
from tests.gateways import (
    Gateway,
    Refusal,
    eventually,
    item,
    make_config,
    nearby,
    recommend,
    running_gateway,
    running_keeper,
)
from tests.services import database_name

SOON_S = 60.0
PATIENT_S = 60.0
CENTER = (59.91, 10.75)


@pytest.fixture(scope="module")
async def working(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[Gateway]:
    """A gateway with a keeper behind it."""
    async with towns.working_gateway(postgres_server, migrated_template, next(_redis_databases)) as gateway:
        yield gateway


@pytest.fixture
async def town(working: Gateway, request: pytest.FixtureRequest) -> "Town":
    """A tenant of the test's own."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:50]
    return Town(working, await working.new_tenant(f"{name}-{secrets.token_hex(3)}"))


class Town(towns.Town):
    """What an app and its backend do."""

    async def shown(self, *at: float, **asked: Any) -> list[str]:
        return [found.item_id for found in (await self.call(nearby(*(at or CENTER), **asked))).items]

    async def shows(self, *item_ids: str, within_s: float = SOON_S) -> None:
        await eventually(self.shown, within_s, lambda shown: sorted(shown) == sorted(item_ids))

    async def slate(self, **asked: Any) -> recommend_pb2.RecommendResponse:
        answer: recommend_pb2.RecommendResponse = await self.call(recommend(*CENTER, **asked))
        return answer

    async def record(self, *events: event_pb2.Event) -> list[event_pb2.EventResult]:
        return list((await self.call(event_pb2.RecordEventsRequest(events=events))).results)

    async def counts(self, item_id: str) -> dict[str, int]:
        stats = await self.call(stats_pb2.GetStatsRequest(item_ids=[item_id]))
        return {kind.kind: kind.count for found in stats.items for kind in found.kinds if kind.count}

    async def counted(self, item_id: str, **expected: int) -> None:
        async def look() -> dict[str, int]:
            return await self.counts(item_id)

        await eventually(look, PATIENT_S, lambda counts: counts == expected)

    async def ledger(self) -> Counter[tuple[int, int]]:
        """Stored events by kind and by why they are not learned from."""
        async with self.gateway.pool.connection() as connection:
            rows = await connection.fetch(
                "select kind, unlearned_reason from events where tenant_id = $1", self.tenant.tenant_id
            )
        return Counter((row["kind"], row["unlearned_reason"]) for row in rows)


def events_of(found: recommend_pb2.RecommendedItem, *kinds: str, **other: Any) -> list[event_pb2.Event]:
    return [event_pb2.Event(kind=kind, reward_token=found.reward_token, **other) for kind in kinds]


def uuid7() -> str:
    return str(RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes).next())


class Backup:
    """A copy of a database, which can take its place: transaction numbers go on meanwhile."""

    def __init__(self, server: str, dsn: str) -> None:
        self._server = server
        self._name = database_name(dsn)

    async def take(self) -> None:
        await self._alone(f'create database "{self._name}_copy" template "{self._name}"')

    async def restore(self) -> None:
        await self._alone(
            f'drop database "{self._name}" with (force)',
            f'alter database "{self._name}_copy" rename to "{self._name}"',
        )

    async def answers(self, gateway: Gateway) -> bool:
        """Whether the gateway has connections again."""
        return (await gateway.http("/readyz")).endswith("ready\n")

    async def _alone(self, *statements: str) -> None:
        """While nobody is connected."""
        connection = await asyncpg.connect(self._server)
        try:
            await connection.execute(f'alter database "{self._name}" allow_connections false')
            await connection.execute(
                "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1", self._name
            )
            for statement in statements:
                await connection.execute(statement)
            await connection.execute(f'alter database "{self._name}" allow_connections true')
        finally:
            await connection.close()


async def test_a_gateway_believes_a_restored_database_though_its_history_went_on(
    database: str, redis_url: str, postgres_server: str
) -> None:
    """What was counted after the backup never was, and no number of the database tells it from a delay."""
    config, backup = make_config(database, redis_url), Backup(postgres_server, database)
    async with running_keeper(config), running_gateway(config) as gateway:
        town = Town(gateway, await gateway.new_tenant("restored"))
        await town.put(item("cafe"))
        await town.shows("cafe", within_s=PATIENT_S)

        async def believed() -> float:
            """How many views the gateway itself counts; none while its stores are away."""
            with suppress(Refusal):
                (found,) = (await town.slate(explain=True)).items
                return sum(kind.success for kind in found.explanation.kinds if kind.kind == "view")
            return -1.0

        async def views(times: int) -> None:
            for _ in range(times):
                (result,) = await town.record(*events_of((await town.slate()).items[0], "view"))
                assert not result.outcome.code

        await views(1)
        await eventually(believed, PATIENT_S, lambda found: 0.9 < found < 1.1)
        await backup.take()
        await eventually(lambda: backup.answers(gateway), PATIENT_S)
        await views(3)
        await eventually(believed, PATIENT_S, lambda found: 3.9 < found < 4.1)
        await backup.restore()
        await eventually(believed, PATIENT_S, lambda found: 0.9 < found < 1.1)


async def test_an_item_is_shown_soon_after_it_is_put_and_gone_soon_after_it_is_deleted(town: Town) -> None:
    await town.put(item("cafe", title="Café"), item("far", 10.0, 10.0))
    await town.shows("cafe")
    await town.put(item("cafe", 59.92, 10.75, title="Moved"))

    async def title_and_place() -> tuple[str, float]:
        found = (await town.call(nearby(*CENTER))).items[0]
        return found.item.title, found.item.locations[0].latitude

    await eventually(title_and_place, SOON_S, lambda told: told == ("Moved", 59.92))
    await town.call(catalog_pb2.DeleteItemsRequest(item_ids=["cafe"]))
    await town.shows()
    assert await town.shown(10.0, 10.0) == ["far"]


async def test_an_expired_item_is_gone_and_leaves_nothing_in_the_index(town: Town) -> None:
    await town.put(item("lasting"))
    await town.shows("lasting")
    ends = item("brief")
    ends.expires_at.FromMilliseconds(int(time.time() * 1000) + 1000)
    await town.put(ends)
    await town.shows("brief", "lasting")
    await town.shows("lasting", within_s=PATIENT_S)
    tag = f"nearcast:{{t{town.tenant.tenant_id}}}"

    async def left() -> int:
        return int(await _redis(town, "HLEN", f"{tag}:items"))

    await eventually(left, PATIENT_S, lambda count: count == 1)
    assert await _redis(town, "ZCARD", f"{tag}:geo") == 1


async def _redis(town: Town, *command: str) -> Any:
    return await town.gateway.redis.execute(*command)


async def test_a_deleted_id_that_is_used_again_begins_a_new_life_without_the_old_counts(town: Town) -> None:
    first = (await town.put(item("again")))[0]
    await town.shows("again")
    await town.record(*events_of((await town.slate()).items[0], "impression", "view"))
    await town.counted("again", impression=1, view=1)
    await town.call(catalog_pb2.DeleteItemsRequest(item_ids=["again"]))
    second = (await town.put(item("again")))[0]
    assert second.created
    assert second.posting != first.posting
    assert await town.counts("again") == {}


@pytest.mark.parametrize("lon", [180.0, -180.0, 179.999, -179.999])
async def test_both_sides_of_the_antimeridian_are_near(town: Town, lon: float) -> None:
    await town.put(item("west", 0.0, 179.99), item("east", 0.0, -179.99), item("on", 0.0, 180.0))

    async def shown() -> list[str]:
        return await town.shown(0.0, lon)

    await eventually(shown, SOON_S, lambda found: sorted(found) == ["east", "on", "west"])


async def test_a_circle_around_a_pole_holds_every_meridian(town: Town) -> None:
    await town.put(
        *(item(f"lon{lon}", 89.99, float(lon)) for lon in (-180, -90, 0, 90)), item("pole", 90.0, 5.0)
    )

    async def shown() -> list[str]:
        return await town.shown(90.0, 0.0)

    found = await eventually(shown, SOON_S, lambda found: len(found) == 5)
    assert found[0] == "pole"


async def test_events_are_counted_exactly_once_however_often_they_are_sent(town: Town) -> None:
    await town.put(*(item(f"item-{number}") for number in range(5)))
    await town.shows(*(f"item-{number}" for number in range(5)))
    slate = await town.slate()
    seen = [event for found in slate.items for event in events_of(found, "impression")]
    acts = events_of(slate.items[0], "view", "apply")
    for _ in range(3):
        results = await town.record(*seen, *acts)
        assert all(result.learned and not result.outcome.code for result in results)
    best = slate.items[0].item_id
    await town.counted(best, impression=1, view=1, apply=1)
    for found in slate.items[1:]:
        assert await town.counts(found.item_id) == {"impression": 1}
    stats = await town.call(stats_pb2.GetStatsRequest())
    assert {total.kind: total.count for total in stats.totals if total.count} == {
        "impression": 5,
        "view": 1,
        "apply": 1,
    }
    assert (await town.ledger()).total() == 7
    assert stats.items[0].kinds[0].kind == "impression"


async def test_an_act_alone_implies_its_impression_and_the_real_one_changes_nothing(town: Town) -> None:
    await town.put(item("only"))
    await town.shows("only")
    found = (await town.slate()).items[0]
    await town.record(*events_of(found, "apply"))
    await town.counted("only", impression=1, apply=1)
    await town.record(*events_of(found, "impression", "save"))
    await town.counted("only", impression=1, apply=1, save=1)


async def test_what_people_do_reaches_the_posterior_of_the_next_answer_soon(town: Town) -> None:
    await town.put(item("loved"), item("ignored"))
    await town.shows("ignored", "loved")

    async def beliefs() -> dict[str, tuple[float, float]]:
        slate = await town.slate(explain=True)
        assert slate.policy_revision >= 1
        return {
            found.item_id: (kind.posterior_a, kind.posterior_b)
            for found in slate.items
            for kind in found.explanation.kinds
            if kind.kind == "view"
        }

    before = await beliefs()
    assert before["loved"] == before["ignored"]
    for _ in range(20):
        slate = await town.slate()
        by_id = {found.item_id: found for found in slate.items}
        await town.record(
            *events_of(by_id["loved"], "impression", "view"), *events_of(by_id["ignored"], "impression")
        )
    await town.counted("loved", impression=20, view=20)

    def moved(now: dict[str, tuple[float, float]]) -> bool:
        return now["loved"][0] > before["loved"][0] + 19 and now["ignored"][1] > before["ignored"][1] + 19

    after = await eventually(beliefs, SOON_S, moved)
    assert after["ignored"][0] == before["ignored"][0]
    stats = await town.call(stats_pb2.GetStatsRequest(item_ids=["loved"]))
    told = next(kind for kind in stats.items[0].kinds if kind.kind == "view")
    assert (told.posterior_a, told.posterior_b) == pytest.approx(after["loved"], rel=1e-3)
    assert told.rate == pytest.approx(told.posterior_a / (told.posterior_a + told.posterior_b))


async def test_what_proves_nothing_is_stored_and_not_counted(town: Town) -> None:
    await town.put(item("quiet"))
    await town.shows("quiet")
    ann = person_pb2.Person(user_id="ann")
    found = (await town.slate(person=ann)).items[0]
    token = found.reward_token
    results = await town.record(
        event_pb2.Event(kind="view", event_id=uuid7(), item_id="quiet"),
        event_pb2.Event(kind="view", event_id=uuid7(), reward_token=token[:-1] + "?"),
        event_pb2.Event(
            kind="view", event_id=uuid7(), reward_token=token, person=person_pb2.Person(user_id="bob")
        ),
    )
    assert [result.learned for result in results] == [False] * 3

    async def stored() -> Counter[tuple[int, int]]:
        return await town.ledger()

    await eventually(stored, PATIENT_S, lambda ledger: ledger == {(2, 1): 1, (2, 2): 1, (2, 4): 1})
    assert await town.counts("quiet") == {}
    await town.record(*events_of(found, "view", person=ann))
    await town.counted("quiet", impression=1, view=1)


async def test_of_events_that_share_an_id_the_first_is_kept(town: Town) -> None:
    """Whether in one call or in several, and whatever else they say."""
    event_id = str(RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes).next())
    first, second, third = (event_pb2.Event(kind="view", event_id=event_id, value=v) for v in (1.0, 2.0, 3.0))
    assert [result.outcome.code for result in await town.record(first, second)] == [0, 0]

    async def kept() -> list[float]:
        async with town.gateway.pool.connection() as connection:
            rows = await connection.fetch(
                "select value from events where tenant_id = $1 order by kind", town.tenant.tenant_id
            )
        return [row["value"] for row in rows]

    await eventually(kept, PATIENT_S, lambda values: values == [1.0])
    assert [result.outcome.code for result in await town.record(third)] == [0]

    async def folded() -> int:
        async with town.gateway.pool.connection() as connection:
            found: int = await connection.fetchval(
                "select coalesce(sum(duplicate_count), 0)::int from log_positions where tenant_id = $1",
                town.tenant.tenant_id,
            )
        return found

    await eventually(folded, PATIENT_S, lambda duplicates: duplicates == 1)
    assert await kept() == [1.0]


async def test_a_token_is_learned_from_after_its_item_is_gone(town: Town) -> None:
    await town.put(item("gone"))
    await town.shows("gone")
    found = (await town.slate()).items[0]
    await town.call(catalog_pb2.DeleteItemsRequest(item_ids=["gone"]))
    assert (await town.record(*events_of(found, "impression", "apply")))[1].learned

    async def stored() -> Counter[tuple[int, int]]:
        return await town.ledger()

    await eventually(stored, PATIENT_S, lambda ledger: ledger == {(1, 0): 1, (4, 0): 1})


async def test_every_decision_is_kept_with_the_event(town: Town) -> None:
    """What the token says ends in the ledger, column by column."""
    await town.put(item("one"), item("two"))
    await town.shows("one", "two")
    slate = await town.slate(session_id="visit", person=person_pb2.Person(anonymous_id="guest"))
    second = slate.items[1]
    other = {"value": 2.5, "item_id": second.item_id, "session_id": "visit", "event_id": uuid7()}
    event = events_of(second, "apply", **other)[0]
    event.properties.update({"plan": "gold", "steps": [1, 2]})
    await town.record(event)
    await town.counted(second.item_id, impression=1, apply=1)
    async with town.gateway.pool.connection() as connection:
        row = await connection.fetchrow(
            "select * from events where tenant_id = $1 and kind = 4", town.tenant.tenant_id
        )
    assert row is not None
    assert row["origin_id"] == UUID(slate.request_id)
    assert row["position"] == 2
    assert row["feed_propensity"] == pytest.approx(slate.feed_propensity)
    assert (row["policy_revision"], row["policy_epoch"]) == (slate.policy_revision, slate.policy_epoch)
    assert row["explore"] == (slate.feed == "explore")
    assert row["value"] == 2.5
    assert row["subject_hash"] not in {None, bytes(8)}


async def test_a_session_keeps_its_feed_and_epoch_and_feeds_are_counted_by_sessions(town: Town) -> None:
    await town.put(item("thing"))
    await town.shows("thing")

    async def epoch() -> int:
        return (await town.slate()).policy_epoch

    assert await eventually(epoch, PATIENT_S) >= 1
    first = await town.slate()
    for _ in range(5):
        again = await town.slate(session_token=first.session_token)
        assert again.session_token == first.session_token
        assert again.policy_epoch == first.policy_epoch
        if "explore" not in {again.feed, first.feed}:
            assert again.feed == first.feed
        await town.record(*events_of(again.items[0], "impression", "apply"))

    async def feeds() -> dict[str, tuple[int, int]]:
        stats = await town.call(stats_pb2.GetStatsRequest())
        return {feed.feed: (feed.trials, feed.rewards) for feed in stats.feeds if feed.trials}

    told = await eventually(feeds, PATIENT_S)
    assert all(counts == (1, 1) for counts in told.values())
    stats = await town.call(stats_pb2.GetStatsRequest())
    shares = {feed.feed: feed.probability for feed in stats.feeds}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-6)


async def test_a_new_policy_is_followed_without_a_restart(town: Town) -> None:
    await town.put(item("thing"))
    await town.shows("thing")
    policy = msgspec.structs.replace(
        Policy(), exploration=Exploration(share=0.0), feeds={"only": Policy().feeds["nearest"]}
    )
    revision = await PostgresPolicyStore(town.gateway.pool).apply(town.tenant.tenant_id, policy, "tests", "")
    slate = await eventually(town.slate, SOON_S, lambda told: told.policy_revision == revision.number)
    assert slate.feed == "only"
    assert slate.items[0].score == -slate.items[0].distance_m


async def test_pages_over_the_wire_repeat_nothing(town: Town) -> None:
    await town.put(*(item(f"item-{number:02}", 59.91 + number / 10_000) for number in range(25)))
    await town.shows(*(f"item-{number:02}" for number in range(20)))
    for query in (nearby, recommend):
        served, token = [], ""
        while True:
            page = await town.call(query(*CENTER, limit=10, page_token=token))
            served += [found.item_id for found in page.items]
            token = page.next_page_token
            if not token:
                break
        assert sorted(served) == [f"item-{number:02}" for number in range(25)]


async def test_a_tenant_never_sees_anothers_items_or_counts(town: Town) -> None:
    other = Town(town.gateway, await town.gateway.new_tenant(f"other-{secrets.token_hex(3)}"))
    await town.put(item("ours"))
    await other.put(item("theirs"))
    await town.shows("ours")
    await other.shows("theirs")
    token = (await town.slate()).items[0].reward_token
    stolen = event_pb2.Event(kind="apply", reward_token=token, event_id=uuid7())
    assert not (await other.record(stolen))[0].learned
    stats = await other.call(stats_pb2.GetStatsRequest(item_ids=["ours", "theirs"]))
    assert [found.item_id for found in stats.items] == ["theirs"]
