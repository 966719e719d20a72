"""Whatever is sent, the gateway answers in time, with a status that says what is wrong, and lives on.

NEARCAST_FUZZ_SEED takes other messages than the usual ones, NEARCAST_FUZZ_EXAMPLES more of them.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from time import perf_counter
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from nearcast.v1 import catalog_pb2, event_pb2
from nearcast_store import redis_keys
from tests.gateways import (
    PATHS,
    RESPONSES,
    SERVICES,
    Gateway,
    Refusal,
    Tenant,
    bearer,
    eventually,
    item,
    nearby,
    recommend,
    running_keeper,
)
from tests.property.hostile_messages import damaged, requests

SEED = int(os.environ.get("NEARCAST_FUZZ_SEED", "1"))
EXAMPLES = int(os.environ.get("NEARCAST_FUZZ_EXAMPLES", "60"))
MOST_S = 20.0
RPCS = {rpc.name: rpc.input_type for service in SERVICES for rpc in service.methods}
STREAMS = {rpc.name for service in SERVICES for rpc in service.methods if rpc.server_streaming}
ANSWERS = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"}
HELLO = event_pb2.StreamEventsRequest(hello=event_pb2.StreamHello()).SerializeToString()
OUTCOMES = {0, 3, 5, 10}
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
async def known(gateway: Gateway, tenant: Tenant) -> AsyncIterator[dict[str, list[str]]]:
    """Texts that mean something to this gateway, so that more than the first check is reached."""
    items = [item(f"item-{number}", title="known") for number in range(4)]
    written = await gateway.call(tenant, catalog_pb2.UpsertItemsRequest(items=items))
    listed = await gateway.call(tenant, catalog_pb2.ListItemsRequest(page_size=1))
    async with running_keeper(gateway.config):

        async def slate() -> Any:
            return await gateway.call(tenant, recommend(59.91, 10.75, limit=2))

        found = await eventually(slate, 10.0, lambda answer: len(answer.items) == 2)
        page = await gateway.call(tenant, nearby(59.91, 10.75, limit=2))
    yield {
        "item_id": ["item-1", "item-2"],
        "item_ids": ["item-1", "item-2"],
        "etag": [result.etag for result in written.results],
        "page_token": [listed.next_page_token, found.next_page_token, page.next_page_token],
        "session_token": [found.session_token],
        "reward_token": [served.reward_token for served in found.items],
        "event_id": [found.request_id, found.request_id.upper()],
        "paths": ["title", "item_id", "locations"],
        "url": ["https://example.org"],
        "time_zone": ["Europe/Oslo", "UTC"],
    }
    await assert_everything_taken_can_be_kept(gateway, tenant)


async def assert_everything_taken_can_be_kept(gateway: Gateway, tenant: Tenant) -> None:
    """A keeper stores every event that was acknowledged and carries every item that was written."""
    async with running_keeper(gateway.config):

        async def waiting() -> int:
            async with gateway.pool.connection() as connection:
                untold = await connection.fetchval("select count(*) from outbox")
            unread = 0
            for shard in range(gateway.config.log.shards):
                key = redis_keys.log(tenant.tenant_id, shard)
                if await gateway.redis.execute("EXISTS", key):
                    for group in await gateway.redis.execute("XINFO", "GROUPS", key):
                        told = dict(zip(group[::2], group[1::2], strict=True))
                        unread += told[b"pending"] + (told.get(b"lag") or 0)
            return int(untold) + unread

        await eventually(waiting, 20.0, lambda count: count == 0)
        async with gateway.pool.connection() as connection:
            dead = await connection.fetch("select reason, detail from dead_letters")
    assert not [tuple(letter) for letter in dead]


async def answer_to(gateway: Gateway, tenant: Tenant, name: str, body: bytes) -> Message | None:
    """The answer, None for a clean refusal; anything else is a failure."""
    started = perf_counter()
    key = bearer(tenant.keys["operator"])
    try:
        if name in STREAMS:
            raw = await first_word(gateway, name, body, key)
        else:
            raw = await gateway.raw(PATHS[name], body, metadata=key, timeout_s=MOST_S)
    except Refusal as refusal:
        told = refusal
    else:
        assert perf_counter() - started < MOST_S
        answer: Message = RESPONSES[name].FromString(raw)
        return answer
    assert told.code in ANSWERS, (told, name, body)
    assert told.reason
    assert told.detail_bytes < 4096
    return None


async def first_word(gateway: Gateway, name: str, body: bytes, key: Any) -> bytes:
    """What a stream says first to a message, empty when it only ends; one of events is greeted before."""
    method: Any = gateway.channel.stream_stream(PATHS[name])
    call = method(metadata=key, timeout=MOST_S)
    try:
        if name == "StreamEvents":
            await call.write(HELLO)
            await call.read()
        with suppress(asyncio.InvalidStateError):  # it has ended already, and the read says how
            await call.write(body)
            await call.done_writing()
        found = await call.read()
    except grpc.aio.AioRpcError as error:
        raise Refusal.of(error) from None
    if found is grpc.aio.EOF and await call.code() is not grpc.StatusCode.OK:
        raise AssertionError(f"{name} ended with {await call.code()} and {body!r}")
    call.cancel()
    return b"" if found is grpc.aio.EOF else bytes(found)


def incidents(page: str) -> str:
    return next(line for line in page.splitlines() if line.startswith("nearcast_server_incidents_total "))


@pytest.mark.parametrize("name", RPCS)
async def test_any_message_is_answered(
    gateway: Gateway, tenant: Tenant, known: dict[str, list[str]], name: str
) -> None:
    print(f"NEARCAST_FUZZ_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    before = incidents(await gateway.metrics())
    for message in examples(requests(RPCS[name], known)):
        answer = await answer_to(gateway, tenant, name, message.SerializeToString())
        for result in getattr(answer, "results", ()):
            assert result.outcome.code in OUTCOMES
            assert result.outcome.message.isprintable()
    assert incidents(await gateway.metrics()) == before


@pytest.mark.parametrize("name", RPCS)
async def test_any_bytes_are_answered(
    gateway: Gateway, tenant: Tenant, known: dict[str, list[str]], name: str
) -> None:
    print(f"NEARCAST_FUZZ_SEED={SEED}")  # noqa: T201 - pytest shows it with a failure
    before = incidents(await gateway.metrics())
    whole = requests(RPCS[name], known).map(lambda message: message.SerializeToString())
    for body in examples(whole.flatmap(damaged)):
        answer = await answer_to(gateway, tenant, name, body)
        if answer is not None:
            try:
                RPCS[name]._concrete_class.FromString(body)
            except DecodeError:
                pytest.fail(f"{body!r} is no message and was taken for one")
    assert incidents(await gateway.metrics()) == before


def examples(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Values of the strategy, from the seed."""
    drawn: list[Any] = []

    @seed(SEED)
    @fuzz
    @given(strategy)
    def collect(value: Any) -> None:
        drawn.append(value)

    collect()
    return drawn
