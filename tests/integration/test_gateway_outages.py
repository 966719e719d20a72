"""What goes on working when a part is away, what is said about it, and that nothing needs a restart."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter

import msgspec
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from nearcast.v1 import catalog_pb2, event_pb2, recommend_pb2, stats_pb2
from nearcast_config.policy import Freshness, Policy
from nearcast_config.process import ProcessConfig
from nearcast_ledger.requestid import RequestIds
from nearcast_server.app import run_gateway
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.cables import Cable, laid
from tests.gateways import (
    Gateway,
    Refusal,
    Tenant,
    eventually,
    item,
    make_config,
    nearby,
    recommend,
    running,
    running_gateway,
    running_keeper,
)
from tests.services import new_database

SOON_S = 60.0
SERVICES = ("CatalogService", "RecommendService", "EventService", "StatsService")
# The keeper says once a second how far it is.
STALE = Freshness(stats_stale_s=2.0)
SERVING = health_pb2.HealthCheckResponse.SERVING
SERVER = recommend_pb2.DegradedReason.Name


@dataclass
class House:
    """A gateway behind cables, a keeper with its own way, and a tenant with one item."""

    gateway: Gateway
    tenant: Tenant
    postgres: Cable
    redis: Cable
    keeper_config: ProcessConfig

    async def reasons(self) -> set[str]:
        """What Recommend says is not as it should be."""
        answer = await self.gateway.call(self.tenant, recommend(59.91, 10.75))
        assert [found.item_id for found in answer.items] == ["bakery"]
        return {SERVER(reason).removeprefix("DEGRADED_REASON_") for reason in answer.degraded_reasons}

    async def refusal(self, request: Message) -> str:
        return await self.gateway.reason_of(self.tenant, request)

    async def serving(self) -> set[str]:
        """The services whose health is good."""
        stub = HealthStub(self.gateway.channel)
        good = set()
        for service in SERVICES:
            asked = health_pb2.HealthCheckRequest(service=f"nearcast.v1.{service}")
            if (await stub.Check(asked)).status == SERVING:
                good.add(service)
        return good


@pytest.fixture(scope="module")
async def house(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(new_database(postgres_server, migrated_template))
        redis_url = next(_redis_databases)
        postgres, cabled_dsn = await stack.enter_async_context(laid(dsn))
        redis, cabled_url = await stack.enter_async_context(laid(redis_url))
        config = make_config(cabled_dsn, cabled_url)
        config = msgspec.structs.replace(
            config,
            postgres=msgspec.structs.replace(config.postgres, command_timeout_s=0.5),
            redis=msgspec.structs.replace(config.redis, command_timeout_s=0.5),
        )
        direct = make_config(dsn, redis_url)
        gateway = await stack.enter_async_context(running_gateway(config, direct))
        tenant = await gateway.new_tenant("house")
        policy = msgspec.structs.replace(Policy(), freshness=STALE)
        await PostgresPolicyStore(gateway.pool).apply(tenant.tenant_id, policy, "tests", "")
        async with running_keeper(direct):
            made = House(gateway, tenant, postgres, redis, direct)
            await gateway.call(tenant, catalog_pb2.UpsertItemsRequest(items=[item("bakery", title="Bakery")]))

            async def is_shown() -> bool:
                return len((await gateway.call(tenant, nearby(59.91, 10.75))).items) == 1

            await eventually(is_shown, SOON_S)
        yield made


@pytest.fixture
async def keeper(house: House) -> AsyncIterator[None]:
    async with running_keeper(house.keeper_config):
        await eventually(house.reasons, SOON_S, lambda reasons: not reasons)
        yield


def events() -> event_pb2.RecordEventsRequest:
    event_id = str(RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes).next())
    return event_pb2.RecordEventsRequest(events=[event_pb2.Event(kind="view", event_id=event_id)])


ALL = set(SERVICES)
NEED_POSTGRES = {"CatalogService", "StatsService"}
WRITE = catalog_pb2.UpsertItemsRequest(items=[item("bakery", title="Bakery")])
READ = catalog_pb2.GetItemRequest(item_id="bakery")


@pytest.mark.usefixtures("keeper")
async def test_all_is_well_when_all_is_there(house: House) -> None:
    assert await house.reasons() == set()
    assert await house.serving() == ALL


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("how", ["cut", "held"])
async def test_without_postgres_people_are_still_served_and_told(house: House, how: str) -> None:
    if how == "cut":
        await house.postgres.cut()
    else:
        house.postgres.hold()
    try:
        await eventually(house.reasons, SOON_S, lambda told: told == {"STORE_UNAVAILABLE", "STATS_STALE"})
        await eventually(house.serving, SOON_S, lambda serving: serving == ALL - NEED_POSTGRES)
        assert (await house.gateway.http("/readyz")).startswith("HTTP/1.1 503")
        assert await house.refusal(nearby(59.91, 10.75)) == ""
        assert await house.refusal(events()) == ""
        for request in (WRITE, READ, catalog_pb2.ListItemsRequest(), stats_pb2.GetStatsRequest()):
            with pytest.raises(Refusal) as raised:
                await house.gateway.call(house.tenant, request)
            assert (raised.value.code, raised.value.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
            assert raised.value.retry_s
        stranger = Tenant(0, "", {"client": "nc_cnever_seen", "operator": "nc_onever_seen"})
        assert await house.gateway.reason_of(stranger, nearby(1.0, 1.0)) == "STORE_UNAVAILABLE"
    finally:
        await house.postgres.mend()
    await eventually(house.reasons, SOON_S, lambda told: not told)
    await eventually(house.serving, SOON_S, lambda serving: serving == ALL)
    assert await house.refusal(WRITE) == ""
    assert await house.gateway.reason_of(stranger, nearby(1.0, 1.0)) == "INVALID_API_KEY"


async def timed_refusal(house: House, request: Message) -> tuple[Refusal, float]:
    started = perf_counter()
    with pytest.raises(Refusal) as raised:
        await house.gateway.call(house.tenant, request)
    return raised.value, perf_counter() - started


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize(("how", "most_s"), [("cut", 1.0), ("held", 2.0)])
async def test_without_redis_the_answer_is_quick_and_says_when_to_come_again(
    house: House, how: str, most_s: float
) -> None:
    if how == "cut":
        await house.redis.cut()
    else:
        house.redis.hold()
    try:
        for request, reason in (
            (recommend(59.91, 10.75), "CANDIDATES_UNAVAILABLE"),
            (nearby(59.91, 10.75), "CANDIDATES_UNAVAILABLE"),
            (events(), "LOG_UNAVAILABLE"),
        ):
            refusals = [await timed_refusal(house, request) for _ in range(3)]
            assert min(seconds for _, seconds in refusals) < most_s
            for refusal, _ in refusals:
                assert (refusal.code, refusal.reason) == ("UNAVAILABLE", reason)
                assert refusal.retry_s
                assert "127.0.0.1" not in repr(refusal)
        assert await house.refusal(WRITE) == ""
        await eventually(house.serving, SOON_S, lambda serving: serving == NEED_POSTGRES)
    finally:
        await house.redis.mend()

    async def answered() -> bool:
        return await house.refusal(recommend(59.91, 10.75)) == await house.refusal(events()) == ""

    await eventually(answered, SOON_S)
    await eventually(house.serving, SOON_S, lambda serving: serving == ALL)


async def test_a_silent_keeper_is_told_and_what_people_do_is_still_taken(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearcast_server.degrading.KEEPER_SILENT_S", 1.4)
    await eventually(house.reasons, SOON_S, lambda told: told == {"KEEPER_DOWN", "STATS_STALE"})
    assert await house.refusal(events()) == ""
    assert await house.serving() == ALL
    async with running_keeper(house.keeper_config):
        await eventually(house.reasons, SOON_S, lambda told: not told)


async def test_a_gateway_that_starts_before_postgres_serves_once_it_is_there(house: House) -> None:
    async with laid(house.keeper_config.postgres.dsn) as (postgres, dsn):
        await postgres.cut()
        config = msgspec.structs.replace(
            house.gateway.config, postgres=msgspec.structs.replace(house.gateway.config.postgres, dsn=dsn)
        )
        async with running_gateway(config, house.keeper_config) as early:
            told = await early.reason_of(house.tenant, recommend(59.91, 10.75))
            assert told == "STORE_UNAVAILABLE"
            assert "503" in await early.http("/readyz")
            await postgres.mend()

            async def told_now() -> str:
                return await early.reason_of(house.tenant, recommend(59.91, 10.75))

            await eventually(told_now, SOON_S, lambda reason: reason == "")


async def test_a_stop_lets_running_calls_end_and_takes_no_more(house: House) -> None:
    stop = asyncio.Event()
    async with laid(house.keeper_config.redis.geo_url) as (redis, url):
        config = msgspec.structs.replace(
            house.keeper_config, redis=msgspec.structs.replace(house.keeper_config.redis, geo_url=url)
        )
        async with running_gateway(config, house.keeper_config, stop) as draining:
            before = [
                found.item_id for found in (await draining.call(house.tenant, nearby(59.91, 10.75))).items
            ]
            redis.hold()
            late = asyncio.create_task(draining.call(house.tenant, nearby(59.91, 10.75)))
            async with asyncio.timeout(SOON_S):
                await redis.held.wait()
            stop.set()

            async def refused() -> str:
                return await draining.reason_of(house.tenant, recommend(59.91, 10.75), timeout_s=0.2)

            await eventually(refused, SOON_S, lambda reason: reason == "UNAVAILABLE")
            assert not late.done()
            await redis.mend()
            assert [found.item_id for found in (await late).items] == before == ["bakery"]


async def test_whoever_watches_health_is_told_of_the_stop_before_it(house: House) -> None:
    stop = asyncio.Event()
    async with running_gateway(house.keeper_config, house.keeper_config, stop) as draining:
        asked = health_pb2.HealthCheckRequest(service="nearcast.v1.RecommendService")
        watch = HealthStub(draining.channel).Watch(asked)
        assert (await watch.read()).status == SERVING
        stop.set()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()


async def test_a_port_in_use_is_told_with_the_setting_to_change(house: House) -> None:
    from nearcast_server.assembly.listening import PortInUseError

    taken = msgspec.structs.replace(house.keeper_config.gateway, grpc_port=house.gateway.addresses.grpc_port)
    config = msgspec.structs.replace(house.keeper_config, gateway=taken)
    with pytest.raises(PortInUseError, match=r"port \d+ on 127.0.0.1 is in use.*gateway.grpc_port"):
        async with running(lambda stop, tell: run_gateway(config, stop, tell)):
            pass
