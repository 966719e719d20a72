"""A gateway that prefers its replica, with a scribe beside it where a test begins one."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from nearcast.v1 import catalog_pb2, event_pb2, recommend_pb2
from nearcast_config.process import ProcessConfig, Replica
from nearcast_ledger.requestid import RequestIds
from nearcast_server.placement import files_of
from nearcast_server.scribeapp import run_scribe
from tests.cables import Cable, laid
from tests.crews import clear_away
from tests.gateways import (
    Gateway,
    Tenant,
    eventually,
    make_config,
    nearby,
    recommend,
    running_gateway,
)

SOON_S = 60.0
LAG_S = 1.0
REPLICA_REASONS = {"CANDIDATES_FROM_REDIS", "REPLICA_STALE"}
REASON = recommend_pb2.DegradedReason.Name


def reasons(answer: Any) -> set[str]:
    return {REASON(reason).removeprefix("DEGRADED_REASON_") for reason in answer.degraded_reasons}


@dataclass
class House:
    """A gateway that prefers its replica, and the way to Redis that gateway and scribe share."""

    gateway: Gateway
    tenant: Tenant
    cable: Cable | None
    config: ProcessConfig
    direct: ProcessConfig

    @property
    def redis(self) -> Cable:
        assert self.cable is not None
        return self.cable

    async def upsert(self, *items: Any) -> None:
        await self.gateway.call(self.tenant, catalog_pb2.UpsertItemsRequest(items=items))

    async def act(self, reward_token: str, kind: str = "apply") -> None:
        """Somebody sees the item and applies, or does something else with it."""
        ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
        events = [
            event_pb2.Event(kind=each, event_id=str(ids.next()), reward_token=reward_token)
            for each in ("impression", kind)
        ]
        await self.gateway.call(self.tenant, event_pb2.RecordEventsRequest(events=events))

    async def ask(self, **how: Any) -> Any:
        return await self.gateway.call(self.tenant, recommend(59.91, 10.75, **how))

    async def asked_of(self, source: str) -> float:
        """How many questions this source has answered."""
        line = f'nearcast_server_candidates_total{{source="{source}"}} '
        page = await self.gateway.metrics()
        return sum(float(each.removeprefix(line)) for each in page.splitlines() if each.startswith(line))

    async def from_replica(self, **how: Any) -> Any:
        """An answer, once a fresh replica gives it."""

        async def look() -> Any:
            before = await self.asked_of("replica")
            answer = await self.ask(**how)
            return answer if await self.asked_of("replica") > before else None

        return await eventually(look, SOON_S)


class Scribe:
    """Runs inside; what it wrote is saved when it ends."""

    def __init__(self, config: ProcessConfig) -> None:
        self._config = config
        self._stop = asyncio.Event()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(run_scribe(self._config, self._stop))

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task


class Caller:
    """Lists all that is near, again and again; each answer must be a state that the items were in."""

    def __init__(self, house: House, *item_ids: str) -> None:
        self._house = house
        self._stop = asyncio.Event()
        self.states = {frozenset(item_ids)}
        self.foreign: list[frozenset[str]] = []
        self.said: list[set[str]] = []
        self.last: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._call())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    def may_see(self, *item_ids: str) -> None:
        """From here on this is a state that the items may be in, too."""
        self.states.add(frozenset(item_ids))

    async def sees(self, *item_ids: str) -> None:
        """Return once it is answered with these items."""

        async def seen() -> frozenset[str]:
            assert not self._task.done(), self._task.result()
            return self.last

        await eventually(seen, SOON_S, lambda last: last == frozenset(item_ids))

    async def hears(self, reason: str) -> None:
        """Return once an answer says so."""
        told = len(self.said)

        async def heard() -> bool:
            assert not self._task.done(), self._task.result()
            return any(reason in said for said in self.said[told:])

        await eventually(heard, SOON_S)

    async def _call(self) -> None:
        """An error ends it, and the test."""
        house = self._house
        while not self._stop.is_set():
            answer = await house.gateway.call(house.tenant, nearby(59.91, 10.75, limit=100))
            self.last = frozenset(found.item_id for found in answer.items)
            self.said.append(reasons(answer))
            if self.last not in self.states:
                self.foreign.append(self.last)


@asynccontextmanager
async def open_house(dsn: str, redis_url: str, directory: Path, **replica: Any) -> AsyncIterator[House]:
    """Without a keeper and without a scribe."""
    async with AsyncExitStack() as stack:
        redis, cabled_url = await stack.enter_async_context(laid(redis_url))
        config = make_config(dsn, cabled_url, candidates="auto")
        settings = Replica(directory=str(directory), max_lag_s=LAG_S, shadow_share=1.0)
        config = msgspec.structs.replace(
            config,
            redis=msgspec.structs.replace(config.redis, command_timeout_s=0.5),
            replica=msgspec.structs.replace(settings, **replica),
        )
        direct = make_config(dsn, redis_url)
        gateway = await stack.enter_async_context(running_gateway(config, direct))
        tenant = await gateway.new_tenant("house")
        stack.callback(clear_away, files_of(config)(tenant.tenant_id))
        yield House(gateway, tenant, redis, config, direct)
