"""Each reason that an answer gives for being degraded: raised by stopping what it is about, and cleared.

The servers are this file's own, killed or frozen as processes; so are keeper and scribe.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nearcast.v1 import catalog_pb2, person_pb2
from nearcast_cli.embedded import EmbeddedServers
from nearcast_config.mastery import Master
from nearcast_config.policy import Freshness, Policy
from nearcast_config.process import ProcessConfig, Replica
from nearcast_replica.answering import answerer
from nearcast_server.placement import files_of
from nearcast_store.migration import migrate
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.crews import below, clear_away
from tests.faults.child import Child
from tests.gateways import (
    Gateway,
    Tenant,
    eventually,
    item,
    make_config,
    nearby,
    recommend,
    running_gateway,
)
from tests.replicahouse import reasons
from tests.services import POSTGRES_SETTINGS, open_directory

SOON_S = 60.0
LAG_S = 1.0
ITEMS = frozenset(f"bakery-{number}" for number in range(5))
POLICY = msgspec.structs.replace(Policy(), freshness=Freshness(stats_stale_s=2.0))
HASTY = msgspec.structs.replace(POLICY, master=Master(epoch_minutes=0.02))
ANN = person_pb2.Person(user_id="ann")
COMMAND = (sys.executable, "-m", "nearcast_cli")


@dataclass
class House:
    """A gateway with short patience, and everything that it depends on as processes."""

    gateway: Gateway
    tenant: Tenant
    config: ProcessConfig
    servers: EmbeddedServers
    keeper: Child
    scribe: Child
    begin_scribe: Callable[[], Any]

    async def said(self) -> set[str]:
        """What Recommend says of itself; whatever it is, the answer has all items."""
        asked = recommend(59.91, 10.75, person=ANN, exclude_seen=True)
        answer = await self.gateway.call(self.tenant, asked)
        assert {found.item_id for found in answer.items} == ITEMS
        return reasons(answer)

    async def says(self, *expected: str) -> None:
        """Return once one answer gives all these reasons."""
        await eventually(self.said, SOON_S, lambda told: told.issuperset(expected))

    async def is_well(self) -> None:
        """Return once an answer gives none."""
        await eventually(self.said, SOON_S, lambda told: not told)

    async def pid_of(self, server: str) -> int:
        if server == "Redis":
            raw = await self.gateway.redis.execute("INFO", "server")
            return int(raw.partition(b"process_id:")[2].split()[0])
        directory = self.servers.running(server).plan.directory
        return int((directory / "postmaster.pid").read_text().split()[0])

    @contextmanager
    def without(self, server: str, pid: int, how: str) -> Iterator[None]:
        """The server is dead, or does not move, until the end; then it is there again."""
        if how == "killed":
            os.kill(pid, signal.SIGKILL)
            try:
                yield
            finally:
                assert self.servers.revive() == (server,)
            return
        frozen = [pid, *(child for child, _ in below(pid))]
        for each in frozen:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in frozen:
                os.kill(each, signal.SIGCONT)


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[House]:
    answerer()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(open_directory()))
        servers = EmbeddedServers(directory / "state", postgres_settings=POSTGRES_SETTINGS)
        endpoints = stack.enter_context(servers)
        await migrate(endpoints.postgres_dsn)
        config = make_config(endpoints.postgres_dsn, endpoints.redis_url, candidates="auto", seen_cache_s=0.0)
        config = msgspec.structs.replace(
            config,
            postgres=msgspec.structs.replace(config.postgres, command_timeout_s=0.5),
            redis=msgspec.structs.replace(config.redis, command_timeout_s=0.5),
            replica=Replica(directory=str(directory / "replica"), max_lag_s=LAG_S),
        )
        settings = {
            "NEARCAST_POSTGRES__DSN": endpoints.postgres_dsn,
            "NEARCAST_REDIS__GEO_URL": endpoints.redis_url,
            "NEARCAST_REPLICA__DIRECTORY": config.replica.directory,
            "NEARCAST_GATEWAY__REFRESH_INTERVAL_S": "0.1",
            "NEARCAST_KEEPER__METRICS_PORT": "0",
            "NEARCAST_PREFLIGHT__ENFORCE": "false",
        }

        async def begin(name: str) -> Child:
            child = await Child.start(name, (*COMMAND, name), settings, directory / f"{name}.log")
            stack.push_async_callback(child.close)
            return child

        keeper, scribe = await begin("keeper"), await begin("scribe")
        gateway = await stack.enter_async_context(running_gateway(config))
        tenant = await gateway.new_tenant("house")
        stack.callback(clear_away, files_of(config)(tenant.tenant_id))
        await PostgresPolicyStore(gateway.pool).apply(tenant.tenant_id, POLICY, "tests", "")
        items = [item(item_id) for item_id in sorted(ITEMS)]
        await gateway.call(tenant, catalog_pb2.UpsertItemsRequest(items=items))

        async def listed() -> int:
            return len((await gateway.call(tenant, nearby(59.91, 10.75))).items)

        await eventually(listed, SOON_S, lambda count: count == len(ITEMS))
        yield House(gateway, tenant, config, servers, keeper, scribe, lambda: begin("scribe"))


@pytest.fixture(autouse=True)
async def _well_before_and_after(house: House) -> AsyncIterator[None]:
    """What a test raised is cleared by bringing back what it took away, and by nothing else."""
    await house.is_well()
    yield
    await house.is_well()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_postgres_what_is_known_goes_on_being_served(house: House, how: str) -> None:
    with house.without("Postgres", await house.pid_of("Postgres"), how):
        await house.says("STORE_UNAVAILABLE", "STATS_STALE")


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_the_replica_answers_and_nobody_is_remembered(house: House, how: str) -> None:
    with house.without("Redis", await house.pid_of("Redis"), how):
        await house.says("REPLICA_STALE", "SEEN_UNAVAILABLE")
        listing = await house.gateway.call(house.tenant, nearby(59.91, 10.75))
        assert {found.item_id for found in listing.items} == ITEMS
        assert reasons(listing) == {"REPLICA_STALE"}
        assert listing.candidates_age.ToTimedelta().total_seconds() > LAG_S
        assert (await house.gateway.http("/metrics")).count('candidates_total{source="stale_replica"}') == 1


async def test_a_keeper_that_does_not_move_is_told(house: House) -> None:
    policies = PostgresPolicyStore(house.gateway.pool)
    house.keeper.send(signal.SIGSTOP)
    try:
        await house.says("KEEPER_DOWN", "STATS_STALE")
        # Feed probabilities age as fast as the policy says.
        await policies.apply(house.tenant.tenant_id, HASTY, "tests", "")
        await house.says("KEEPER_DOWN", "STATS_STALE", "EPOCH_STALE")
        await policies.apply(house.tenant.tenant_id, POLICY, "tests", "")
    finally:
        house.keeper.send(signal.SIGCONT)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_without_a_scribe_redis_is_asked(house: House, how: signal.Signals) -> None:
    house.scribe.send(how)
    try:
        await house.says("CANDIDATES_FROM_REDIS")
    finally:
        house.scribe.send(signal.SIGCONT)
        if how is signal.SIGKILL:
            house.scribe = await house.begin_scribe()


async def test_without_redis_and_without_a_replica_the_question_is_refused(house: House) -> None:
    """Another installation on the same stores, of which nobody writes a replica."""
    dsn = f"{house.config.postgres.dsn}&application_name=other"
    config = msgspec.structs.replace(
        house.config, postgres=msgspec.structs.replace(house.config.postgres, dsn=dsn)
    )
    async with running_gateway(config) as cold:

        async def said() -> set[str]:
            return reasons(await cold.call(house.tenant, recommend(59.91, 10.75)))

        async def refusal() -> str:
            return await cold.reason_of(house.tenant, recommend(59.91, 10.75))

        await eventually(refusal, SOON_S, lambda reason: not reason)
        await eventually(said, SOON_S, lambda told: told == {"CANDIDATES_FROM_REDIS"})
        with house.without("Redis", await house.pid_of("Redis"), "killed"):
            await eventually(refusal, SOON_S, lambda reason: reason == "CANDIDATES_UNAVAILABLE")
        await eventually(refusal, SOON_S, lambda reason: not reason)
