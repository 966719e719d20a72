"""Answers from this host's replica: equal, quick to follow, and there while the index is away."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.v1 import catalog_pb2, recommend_pb2
from nearcast_cli.embedded import EmbeddedServers, running_instance
from nearcast_config.process import ProcessConfig, Replica
from nearcast_replica.answering import answerer
from nearcast_replica.control import ControlPage
from nearcast_replica.generation import open_generation
from nearcast_server.placement import files_of
from nearcast_server.rpc.items import DISPLAY_FORMAT
from tests.gateways import eventually, item, make_config, nearby, recommend, running_gateway, running_keeper
from tests.geojsons import box
from tests.replicahouse import LAG_S, REPLICA_REASONS, SOON_S, House, Scribe, open_house, reasons
from tests.services import new_database, open_directory


@pytest.fixture(scope="module", autouse=True)
def _machine_code() -> None:
    """Made, or loaded, before anybody is timed: that takes long on a busy machine."""
    answerer()


@pytest.fixture
async def house(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(database, redis_url, tmp_path) as house, running_keeper(house.direct):
        yield house


async def test_recommend_and_nearby_are_answered_from_the_replica(house: House) -> None:
    await house.upsert(*(item(f"bakery-{n}", 59.91 + n * 1e-4, title=f"Bakery {n}") for n in range(30)))
    async with Scribe(house.config):
        answer = await house.from_replica()
        assert not reasons(answer) & REPLICA_REASONS
        assert len(answer.items) == 20
        first = answer.items[0]
        assert (first.item_id, first.item.item_id) == (first.item_id, first.item_id)
        assert first.item.title == f"Bakery {first.item_id.removeprefix('bakery-')}"
        listing = await house.gateway.call(house.tenant, nearby(59.91, 10.75, limit=3))
        assert [found.item_id for found in listing.items] == ["bakery-0", "bakery-1", "bakery-2"]
        again = await house.gateway.call(
            house.tenant, nearby(59.91, 10.75, limit=3, page_token=listing.next_page_token)
        )
        assert [found.item_id for found in again.items] == ["bakery-3", "bakery-4", "bakery-5"]


async def test_changes_are_seen_without_a_new_start(house: House) -> None:
    await house.upsert(item("old"))
    async with Scribe(house.config):
        await house.from_replica()
        await house.upsert(item("new"))

        async def shown() -> set[str]:
            return {found.item_id for found in (await house.ask()).items}

        await eventually(shown, SOON_S, lambda ids: ids == {"old", "new"})
        await house.gateway.call(house.tenant, catalog_pb2.DeleteItemsRequest(item_ids=["old"]))
        await eventually(shown, SOON_S, lambda ids: ids == {"new"})
        assert not reasons(await house.from_replica()) & REPLICA_REASONS


async def test_without_a_replica_the_index_answers_and_it_is_said(house: House) -> None:
    await house.upsert(item("bakery"))

    async def shown() -> Any:
        return await house.ask()

    answer = await eventually(shown, SOON_S, lambda answer: answer.items)
    assert reasons(answer) & REPLICA_REASONS == {"CANDIDATES_FROM_REDIS"}
    listing = await house.gateway.call(house.tenant, nearby(59.91, 10.75))
    assert reasons(listing) == {"CANDIDATES_FROM_REDIS"}
    await house.redis.cut()
    assert await house.gateway.reason_of(house.tenant, recommend(59.91, 10.75)) == "CANDIDATES_UNAVAILABLE"
    await house.redis.mend()


async def test_a_warm_replica_answers_while_the_index_is_away(house: House) -> None:
    await house.upsert(*(item(f"bakery-{n}", 59.91 + n * 1e-4) for n in range(5)))
    async with Scribe(house.config):
        await house.from_replica()
        await house.redis.cut()

        async def stale() -> Any:
            answer = await house.ask()
            assert len(answer.items) == 5
            return answer if "REPLICA_STALE" in reasons(answer) else None

        answer = await eventually(stale, SOON_S)
        assert answer.candidates_age.ToTimedelta().total_seconds() > LAG_S
        listing = await house.gateway.call(house.tenant, nearby(59.91, 10.75))
        assert (len(listing.items), reasons(listing)) == (5, {"REPLICA_STALE"})
        assert listing.candidates_age.ToTimedelta().total_seconds() > LAG_S
        await house.redis.mend()
        await house.upsert(item("bakery-5"))

        async def fresh() -> Any:
            answer = await house.from_replica()
            return len(answer.items) == 6 and not reasons(answer) & REPLICA_REASONS

        await eventually(fresh, SOON_S)


async def test_what_was_saved_answers_again_after_a_new_start(house: House) -> None:
    await house.upsert(item("bakery"))
    async with Scribe(house.config):
        await house.from_replica()
    await house.redis.cut()
    async with Scribe(house.config), running_gateway(house.config, make_config_like(house)) as other:

        async def shown() -> list[str]:
            if await other.reason_of(house.tenant, recommend(59.91, 10.75)):
                return []
            answer = await other.call(house.tenant, recommend(59.91, 10.75))
            return [found.item_id for found in answer.items]

        await eventually(shown, SOON_S, lambda ids: ids == ["bakery"])
    await house.redis.mend()


def make_config_like(house: House) -> ProcessConfig:
    """For the test's own connections, which are not to be cut."""
    return msgspec.structs.replace(house.config, redis=house.gateway.config.redis)


async def test_what_people_do_moves_the_statistics_of_the_replica(house: House) -> None:
    await house.upsert(item("liked"), item("unknown", 59.9101))
    async with Scribe(house.config):
        answer = await house.from_replica()
        token = next(found.reward_token for found in answer.items if found.item_id == "liked")
        await house.act(token)

        async def learned() -> dict[str, float]:
            """What the replica was told beyond the prior."""
            answer = await house.from_replica()
            asked = await house.ask(explain=True)
            assert len(answer.items) == len(asked.items)
            return {
                found.item_id: sum(
                    kind.posterior_a - kind.prior_mean * kind.prior_strength
                    for kind in found.explanation.kinds
                )
                for found in asked.items
            }

        told = await eventually(learned, SOON_S, lambda told: told["liked"] > 0.1)
        assert told["unknown"] == pytest.approx(0.0, abs=1e-6)


@pytest.fixture
async def own_servers(postgres_server: str) -> AsyncIterator[EmbeddedServers]:
    """A Redis of the test's own, which can be stopped."""
    with open_directory() as directory:
        servers = EmbeddedServers(directory / "state", postgres_dsn=postgres_server)
        with servers:
            yield servers


async def test_a_redis_that_is_stopped_is_done_without_and_found_again(
    own_servers: EmbeddedServers, postgres_server: str, migrated_template: str, tmp_path: Path
) -> None:
    instance = running_instance(own_servers.state.path)
    assert instance is not None
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        config = msgspec.structs.replace(
            make_config(dsn, instance.redis_url, candidates="auto"),
            replica=Replica(directory=str(tmp_path), max_lag_s=LAG_S),
        )
        gateway = await stack.enter_async_context(running_gateway(config))
        await stack.enter_async_context(running_keeper(config))
        tenant = await gateway.new_tenant("stopped")
        await stack.enter_async_context(Scribe(config))
        house = House(gateway, tenant, None, config, config)
        kitchen = item("kitchen", 59.99, reach_area=box(10.7, 59.9, 10.8, 59.92))
        far_off = item("far off", 59.911, reach_area=box(11.7, 59.9, 11.8, 59.92))
        await house.upsert(item("bakery"), kitchen, far_off)
        await eventually(house.from_replica, SOON_S, lambda answer: len(answer.items) == 2)
        own_servers.running("Redis").stop(5.0)
        northern = recommend_pb2.Filter(polygon=box(10.0, 59.95, 11.0, 60.5))
        for ask, expected in (
            (recommend(59.91, 10.75), {"bakery", "kitchen"}),
            (nearby(59.91, 10.75), {"bakery", "kitchen"}),
            (recommend(59.91, 10.75, filter=northern), {"kitchen"}),
            (nearby(59.91, 10.75, filter=northern), {"kitchen"}),
        ):

            async def told(ask: Any = ask, expected: set[str] = expected) -> set[str]:
                answer = await gateway.call(tenant, ask)
                assert {found.item_id for found in answer.items} == expected
                return reasons(answer)

            await eventually(told, SOON_S, lambda said: "REPLICA_STALE" in said)
        assert "ready" in await gateway.http("/readyz")
        own_servers.revive()

        async def is_well() -> bool:
            return not reasons(await house.from_replica()) & REPLICA_REASONS

        await eventually(is_well, SOON_S)


async def test_a_replica_that_differs_is_found_out_and_left_aside(house: House) -> None:
    """A planted bug: the columns of an item are changed behind everybody's back."""
    await house.upsert(*(item(f"bakery-{n}", 59.91 + n * 1e-4) for n in range(5)))
    async with Scribe(house.config):
        await eventually(house.from_replica, SOON_S, lambda answer: len(answer.items) == 5)
        files = files_of(house.config)(house.tenant.tenant_id)
        vitals = ControlPage.open(files.control).vitals()
        generation = open_generation(files, vitals.generation, DISPLAY_FORMAT, writable=True)
        generation.segment["row_lat"][0] += 1e-3

        async def told() -> set[str]:
            return reasons(await house.ask())

        await eventually(told, SOON_S, lambda said: "CANDIDATES_FROM_REDIS" in said)
        assert "ready, but: the replica of tenant" in await house.gateway.http("/readyz")
        page = await house.gateway.metrics()
        assert 'nearcast_server_shadow_checks_total{outcome="different"}' in page
        assert "nearcast_server_replica_doubted_tenants 1.0" in page
