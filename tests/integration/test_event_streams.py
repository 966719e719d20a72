"""Streams of events through real gateways, Redis and a keeper: nothing lost, nothing counted twice."""

import asyncio
import gc
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from nearcast.v1.event_pb2 import DURABILITY_EVERYSEC, Event, StreamEventsRequest, StreamHello
from tests.eventdoors import Doors, doors
from tests.eventstreams import Sender, batch, events, reason, streaming
from tests.gateways import (
    Refusal,
    eventually,
    make_config,
    running_gateway,
    running_keeper,
)

SOON_S = 60.0
PAGE_BYTES = 4096


@pytest.fixture
async def house(database: str, redis_url: str) -> AsyncIterator[Doors]:
    async with doors(database, redis_url) as made:
        yield made


async def test_batches_are_acknowledged_in_order_with_what_they_have_survived(house: Doors) -> None:
    async with streaming(house.channel, house.key) as stream:
        welcome = await stream.hello(version=1, client_name="importer-1")
        assert (welcome.window, welcome.advised_events, welcome.idle_after_s) == (8, 500, 60.0)
        await stream.send(*[batch(sequence, *events(5)) for sequence in range(1, 31)])
        await stream.done()
        acks, goodbye = await stream.rest()
    assert [ack.sequence for ack in acks] == list(range(1, 31))
    assert {(ack.durability, ack.accepted, ack.advised_events) for ack in acks} == {
        (DURABILITY_EVERYSEC, 5, 500)
    }
    assert goodbye is None
    page = await house.gateway.metrics()
    assert 'nearcast_server_stream_ends_total{reason="client"} 1.0' in page
    assert "nearcast_server_stream_ack_seconds_count 30.0" in page
    assert 'nearcast_server_events_accepted_total{learned="false"} 150.0' in page


async def test_while_redis_stands_still_no_more_than_the_window_is_taken(house: Doors) -> None:
    """The rest waits in the connection; when Redis goes on, all of it is taken and acknowledged."""
    kilobytes = [Event(kind="view", event_id=one.event_id, item_id="a") for one in events(500)]
    for one in kilobytes:
        one.properties["text"] = "x" * 1000
    async with streaming(house.gateway.channel, house.key) as stream:
        await stream.hello()
        await stream.send(batch(1))
        await stream.ack()
        house.log.hold()
        flood = asyncio.create_task(stream.send(*[batch(2 + number, *kilobytes) for number in range(40)]))
        await house.log.held.wait()
        await asyncio.wait([flood], timeout=1.0)
        assert not flood.done()
        assert (await house.gateway.state(house.tenant))[-1] == 1
        assert "nearcast_server_stream_ack_seconds_count 1.0" in await house.gateway.metrics()
        await house.log.mend()
        assert [(await stream.ack()).sequence for _ in range(40)] == list(range(2, 42))
        await flood


async def test_a_gateway_that_stops_finishes_what_it_took_and_says_where_to_resume(house: Doors) -> None:
    async with streaming(house.channel, house.key) as stream:
        await stream.hello()
        house.log.hold()
        await stream.send(batch(5), batch(6), batch(9))
        await house.log.held.wait()

        async def open_batches() -> bool:
            return "nearcast_server_streams_open 1.0" in await house.gateway.metrics()

        await eventually(open_batches, SOON_S)
        health = HealthStub(house.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
        house.stop.set()
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        health.cancel()
        await house.log.mend()
        acks, goodbye = await stream.rest()
    assert [(ack.sequence, ack.accepted) for ack in acks] == [(5, 1), (6, 1), (9, 1)]
    assert goodbye is not None
    assert (reason(goodbye), goodbye.resume_after) == ("DRAIN", 9)
    assert await stream.call.code() is grpc.StatusCode.OK


async def test_a_stopping_gateway_cuts_a_stream_whose_log_never_answers(
    database: str, redis_url: str
) -> None:
    """Within the grace: the sender learns of it and sends again, to another gateway."""
    async with doors(database, redis_url, stream_max_age_s=60.0) as house:
        async with streaming(house.channel, house.key) as stream:
            await stream.hello()
            house.log.hold()
            await stream.send(batch(1))
            await house.log.held.wait()
            house.stop.set()
            acks, refusal = await stream.refused()
        assert (acks, refusal.code) == ([], "UNAVAILABLE")
        await house.log.cut()


# A client whose room for what it has not read stays as small as it began.
SMALL_ROOM = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]


async def test_who_never_reads_loses_the_stream_and_its_place(database: str, redis_url: str) -> None:
    """Long answers that nobody reads fill the connection; no goodbye would ever pass it."""
    wrong = [Event(kind="no such kind", item_id="a") for _ in range(500)]
    async with (
        doors(database, redis_url, stream_max_age_s=2.0) as house,
        grpc.aio.insecure_channel(house.address, options=SMALL_ROOM) as channel,
        streaming(channel, house.key) as stream,
    ):
        await stream.send(StreamEventsRequest(hello=StreamHello(version=1)))
        await stream.send(*[batch(number, *wrong) for number in range(1, 21)])

        async def ends() -> bool:
            return 'nearcast_server_stream_ends_total{reason="gone"} 1.0' in await house.gateway.metrics()

        await eventually(ends, 60.0)
        assert "nearcast_server_streams_open 0.0" in await house.gateway.metrics()
        async with streaming(channel, house.key) as again:
            await again.hello()


async def _send_all(house: Doors, sent: list[list[Event]], cut_after: set[int]) -> int:
    """Send every batch; the connection is cut after these acks. How many streams it took."""
    acknowledged, streams = 0, 0
    while acknowledged < len(sent):
        streams += 1
        await house.door.mend()
        try:
            async with streaming(house.channel, house.key, wait_for_ready=True) as stream:
                await stream.hello(resume_after=acknowledged)
                acknowledged = await _send_rest(house, stream, sent, acknowledged, cut_after)
        except (Refusal, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            continue
    return streams


async def _send_rest(
    house: Doors, stream: Sender, sent: list[list[Event]], acknowledged: int, cut_after: set[int]
) -> int:
    ahead = acknowledged
    while acknowledged < len(sent):
        while ahead < min(len(sent), acknowledged + 8):
            ahead += 1
            await stream.send(batch(ahead, *sent[ahead - 1]))
        if acknowledged in cut_after:
            cut_after.remove(acknowledged)
            await house.door.cut()
            return acknowledged
        acknowledged = (await stream.ack()).sequence
    return acknowledged


async def test_a_cut_stream_is_resumed_without_loss_and_nothing_counts_twice(house: Doors) -> None:
    """With a full window in flight at each cut, so that appended batches without an ack are sent again."""
    sent = [events(10) for _ in range(60)]
    streams = await _send_all(house, sent, {3, 17, 18, 40})
    assert streams > 4
    async with running_keeper(
        make_config(house.gateway.config.postgres.dsn, house.gateway.config.redis.geo_url)
    ):
        await eventually(house.stored, SOON_S, lambda stored: stored >= 600)
        entries = (await house.gateway.state(house.tenant))[-1]
        assert entries > 60, "no batch was sent twice: nothing was tried"
        await eventually(house.unfolded, SOON_S, lambda pending: pending == 0)
    assert await house.stored() == 600


async def test_another_gateway_takes_over_where_the_first_one_was(house: Doors) -> None:
    sent = [events(3) for _ in range(4)]
    async with streaming(house.channel, house.key) as first:
        await first.hello()
        await first.send(*[batch(number, *sent[number - 1]) for number in (1, 2, 3)])
        assert [(await first.ack()).sequence for _ in range(3)] == [1, 2, 3]
    config = make_config(house.gateway.config.postgres.dsn, house.gateway.config.redis.geo_url)
    async with running_gateway(config) as other, running_keeper(config):
        async with streaming(other.channel, house.key) as second:
            await second.hello(resume_after=1)
            await second.send(*[batch(number, *sent[number - 1]) for number in (2, 3, 4)])
            assert [(await second.ack()).accepted for _ in range(3)] == [3, 3, 3]
        await eventually(house.stored, SOON_S, lambda stored: stored >= 12)
        await eventually(house.unfolded, SOON_S, lambda pending: pending == 0)
    assert await house.stored() == 12


async def test_a_sender_who_vanishes_without_a_word_is_noticed(database: str, redis_url: str) -> None:
    async with doors(database, redis_url, keepalive_s=0.3, keepalive_timeout_s=0.3) as house:
        async with streaming(house.channel, house.key) as stream:
            await stream.hello()
            house.door.hold()

            async def noticed() -> str:
                return await house.gateway.metrics()

            await eventually(noticed, SOON_S, lambda page: "nearcast_server_streams_open 0.0" in page)
        await house.door.cut()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


async def test_memory_stays_flat_over_thousands_of_batches(house: Doors) -> None:
    """This process holds gateway and sender, and others come and go in it.

    What is lost is lost in each stretch of 500 batches, so the stretch that took the least tells.
    """
    raw = events(20)

    async def run(stream: Sender, first: int, count: int) -> tuple[int, int, int]:
        for sequence in range(first, first + count):
            if sequence >= first + 8:
                await stream.ack()
            await stream.send(batch(sequence, *raw))
        for _ in range(8):
            await stream.ack()
        gc.collect()
        return _resident_bytes(), len(gc.get_objects()), len(asyncio.all_tasks())

    async with streaming(house.channel, house.key) as stream:
        await stream.hello()
        levels = [await run(stream, first, 500) for first in range(1, 2501, 500)]
    grown = [
        [later - earlier for later, earlier in zip(*each, strict=True)] for each in pairwise(reversed(levels))
    ]
    memory, objects, tasks = (min(stretches) for stretches in zip(*grown, strict=True))
    assert tasks <= 2
    assert objects < 125
    assert memory < 1024 * 1024
