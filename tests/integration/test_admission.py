"""A gateway whose log comes near its limits: it takes less, then nothing, and opens again by itself."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from nearcast.v1.event_pb2 import Event, RecordEventsRequest
from nearcast_config.process import Admission, ProcessConfig
from nearcast_store.redis_client import open_client
from tests.eventstreams import batch, events, streaming
from tests.gateways import (
    PATHS,
    Gateway,
    Refusal,
    Tenant,
    bearer,
    eventually,
    make_config,
    nearby,
    recommend,
    running_gateway,
    running_keeper,
)

SOON_S = 60.0
MIB = 1 << 20
# Seconds instead of hours, and looks that come often.
LOOKS = Admission(interval_s=0.05, narrow_append_s=60.0, close_append_s=120.0)


@dataclass
class House:
    """A gateway, a sender that remembers what was acknowledged, and a keeper to be started."""

    config: ProcessConfig
    gateway: Gateway
    tenant: Tenant
    acknowledged: int = 0
    advised: list[int] = field(default_factory=list)

    async def record(self, *sent: Event) -> Refusal | None:
        """One call; why it was refused."""
        request = RecordEventsRequest(events=sent or events())
        try:
            answer = await self.gateway.call(self.tenant, request, timeout_s=10.0)
        except Refusal as refusal:
            return refusal
        assert {result.outcome.code for result in answer.results} == {0}
        self.acknowledged += len(request.events)
        self.advised.append(answer.advised_events)
        return None

    async def pushed_back(self, *sent: Event) -> Refusal:
        """Sends until it is sent away."""
        found = await eventually(lambda: self.record(*sent), SOON_S)
        assert found is not None
        return found

    async def taken_again(self) -> None:
        """Sends until it is taken."""

        async def taken() -> bool:
            return await self.record() is None

        await eventually(taken, SOON_S)

    async def counted(self) -> int:
        async with self.gateway.pool.connection() as connection:
            found: int = await connection.fetchval(
                "select count(*) from events where tenant_id = $1", self.tenant.tenant_id
            )
        return found

    async def shown(self, name: str) -> float:
        found = re.search(rf"^nearcast_server_{name} (\S+)$", await self.gateway.metrics(), re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    async def still_recommends(self) -> None:
        await self.gateway.call(self.tenant, recommend(59.91, 10.75))
        await self.gateway.call(self.tenant, nearby(59.91, 10.75))

    @asynccontextmanager
    async def keeper(self) -> AsyncIterator[None]:
        """A keeper that works until everything acknowledged is counted."""
        async with running_keeper(self.config):
            yield
            await eventually(self.counted, SOON_S, lambda count: count >= self.acknowledged)
        assert await self.counted() == self.acknowledged


@asynccontextmanager
async def housed(database: str, redis_url: str, admission: Admission, **gateway: Any) -> AsyncIterator[House]:
    config = msgspec.structs.replace(make_config(database, redis_url, **gateway), admission=admission)
    async with running_gateway(config) as started:
        yield House(config, started, await started.new_tenant("pressed"))


async def test_a_backlog_narrows_then_closes_and_a_keeper_opens_again(database: str, redis_url: str) -> None:
    """Nobody folds: batches shrink as what waits grows old, then all is sent away; Recommend answers."""
    admission = msgspec.structs.replace(LOOKS, narrow_backlog_s=0.2, close_backlog_s=3.0)
    async with housed(database, redis_url, admission) as house:
        refusal = await house.pushed_back()
        assert (refusal.code, refusal.reason, refusal.domain) == (
            "UNAVAILABLE",
            "INGEST_OVERLOADED",
            "nearcast",
        )
        assert refusal.metadata == {"cause": "backlog", "advised_events": "50"}
        assert house.advised[0] == 500
        assert house.advised == sorted(house.advised, reverse=True)
        assert len(set(house.advised)) > 5
        await house.still_recommends()
        assert await house.shown("admission_level") == 2.0
        assert await house.shown("admission_backlog_seconds") > 2.5
        told = await house.gateway.http("/readyz")
        assert told.startswith("HTTP/1.1 200")
        assert told.endswith(
            "ready; admission is closed (backlog): events are sent away with INGEST_OVERLOADED\n"
        )
        async with house.keeper():
            await house.taken_again()
        await eventually(lambda: house.shown("admission_level"), SOON_S, lambda level: level == 0.0)
        assert await house.shown("admission_backlog_seconds") == 0.0
        assert (await house.gateway.http("/readyz")).endswith("ready\n")


async def test_who_is_sent_away_is_told_to_wait_longer_as_it_gets_worse(
    database: str, redis_url: str
) -> None:
    admission = msgspec.structs.replace(LOOKS, narrow_backlog_s=0.1, close_backlog_s=2.0)
    async with housed(database, redis_url, admission) as house:
        first = (await house.pushed_back()).retry_s
        assert first is not None
        assert 1.0 <= first < 2.5

        async def told() -> float:
            refusal = await house.record()
            assert refusal is not None
            return refusal.retry_s or 0.0

        await eventually(told, SOON_S, lambda retry_s: retry_s > 3.0)
        waits = {await told() for _ in range(10)}
        assert len(waits) > 5, "all senders would come back at once"


async def test_a_stream_waits_for_the_log_and_loses_nothing(database: str, redis_url: str) -> None:
    """While it waits, its batches are not read; when a keeper has come, they are taken and acknowledged."""
    admission = msgspec.structs.replace(LOOKS, narrow_backlog_s=0.1, close_backlog_s=2.0, patience_s=60.0)
    async with (
        housed(database, redis_url, admission) as house,
        streaming(house.gateway.channel, house.tenant.keys["backend"]) as stream,
    ):
        await stream.hello()
        await stream.send(batch(1, *events(5)))
        assert (await stream.ack()).accepted == 5
        house.acknowledged = 5
        await house.pushed_back()
        entries = (await house.gateway.state(house.tenant))[-1]
        for sequence in range(2, 12):
            await stream.send(batch(sequence, *events(5)))
        ack = asyncio.create_task(stream.ack())
        await asyncio.wait([ack], timeout=0.5)
        assert not ack.done()
        assert (await house.gateway.state(house.tenant))[-1] == entries
        async with house.keeper():
            found = [await ack, *[await stream.ack() for _ in range(9)]]
            house.acknowledged += sum(each.accepted for each in found)
        assert [each.sequence for each in found] == list(range(2, 12))
        assert {each.accepted for each in found} == {5}


async def test_a_stream_that_waited_long_is_sent_away_and_resumes(database: str, redis_url: str) -> None:
    admission = msgspec.structs.replace(LOOKS, narrow_backlog_s=0.1, close_backlog_s=2.0, patience_s=0.2)
    async with housed(database, redis_url, admission) as house:
        await house.pushed_back()
        waiting = [batch(sequence, *events(3)) for sequence in range(1, 6)]
        async with streaming(house.gateway.channel, house.tenant.keys["backend"]) as stream:
            assert (await stream.hello()).advised_events == 50
            await stream.send(*waiting)
            acks, refusal = await stream.refused()
        assert (acks, refusal.code, refusal.reason) == ([], "UNAVAILABLE", "INGEST_OVERLOADED")
        assert refusal.retry_s is not None
        async with house.keeper():
            await house.taken_again()
            async with streaming(house.gateway.channel, house.tenant.keys["backend"]) as stream:
                await stream.hello()
                await stream.send(*waiting)
                await stream.done()
                acks, _ = await stream.rest()
            house.acknowledged += sum(ack.accepted for ack in acks)
        assert [ack.accepted for ack in acks] == [3] * 5


@asynccontextmanager
async def limited(redis: Redis, spare_bytes: int) -> AsyncIterator[int]:
    """A Redis with so much memory left; its limit."""
    limit: int = (await redis.info("memory"))["used_memory"] + spare_bytes
    await redis.config_set("maxmemory", str(limit))
    try:
        yield limit
    finally:
        await redis.config_set("maxmemory", "0")


async def test_a_log_that_fills_up_is_closed_before_it_refuses(database: str, redis_url: str) -> None:
    """What was taken is there, nothing was refused by Redis, and it opens when there is memory again."""
    fat = events(50)
    for each in fat:
        each.properties["text"] = "x" * 8000
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_client(redis_url))
        async with limited(redis, 60 * MIB) as limit:
            used = limit - 60 * MIB
            admission = msgspec.structs.replace(
                LOOKS,
                narrow_memory_share=(used + 10 * MIB) / limit,
                close_memory_share=(used + 30 * MIB) / limit,
            )
            house = await stack.enter_async_context(housed(database, redis_url, admission))

            async def fill() -> Refusal | None:
                again = [Event(kind="view", event_id=one.event_id, properties=each.properties)
                         for one, each in zip(events(50), fat, strict=True)]  # fmt: skip
                return await house.record(*again)

            refusal = await eventually(fill, SOON_S)
            assert refusal is not None
            assert (refusal.reason, refusal.metadata["cause"]) == ("INGEST_OVERLOADED", "memory")
            assert (await redis.info("memory"))["used_memory"] < limit - 10 * MIB
            await redis.set("there-is-room", b"x" * MIB)
            assert house.advised[0] == 500
            assert min(house.advised) < 450
            await house.still_recommends()
        await house.taken_again()
        async with house.keeper():
            pass


async def test_event_calls_leave_places_for_everybody_else(database: str, redis_url: str) -> None:
    """Idle streams hold all places that events may have: further ones are sent away, Recommend is not."""
    async with housed(database, redis_url, LOOKS, max_concurrent_calls=10) as house:
        async with AsyncExitStack() as stack:
            for _ in range(6):
                stream = await stack.enter_async_context(
                    streaming(house.gateway.channel, house.tenant.keys["backend"])
                )
                await stream.hello()
            refusal = await house.record()
            assert refusal is not None
            assert (refusal.reason, refusal.metadata["cause"]) == ("INGEST_OVERLOADED", "calls")
            async with streaming(house.gateway.channel, house.tenant.keys["backend"]) as seventh:
                _, refused = await seventh.refused()
            assert refused.reason == "INGEST_OVERLOADED"
            await house.still_recommends()
        await house.taken_again()


@pytest.mark.parametrize("kind", ["call", "stream"])
async def test_grpc_is_told_too_when_to_come_again(database: str, redis_url: str, kind: str) -> None:
    """For clients that repeat by their service config: `grpc-retry-pushback-ms` says what RetryInfo says."""
    admission = msgspec.structs.replace(LOOKS, narrow_backlog_s=0.05, close_backlog_s=2.0, patience_s=0.0)
    async with housed(database, redis_url, admission) as house:
        await house.pushed_back()
        async with streaming(house.gateway.channel, house.tenant.keys["backend"]) as stream:
            if kind == "stream":
                await stream.hello()
                await stream.send(batch(1))
                _, refusal = await stream.refused()
                trailers = dict(await stream.call.trailing_metadata())
            else:
                record: Any = house.gateway.channel.unary_unary(PATHS["RecordEvents"])
                call = record(b"", metadata=bearer(house.tenant.keys["backend"]))
                trailers = dict(await call.trailing_metadata())
                refusal = (await house.record()) or pytest.fail("taken")
        assert refusal.reason == "INGEST_OVERLOADED"
        assert int(trailers["grpc-retry-pushback-ms"]) >= 1000
