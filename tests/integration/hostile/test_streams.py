"""Streams of events that are no streams of events: what is told, and what was good before still counts."""

import asyncio
import secrets
from contextlib import suppress

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast.v1.event_pb2 import DURABILITY_EVERYSEC, Event, StreamEventsRequest, StreamHello
from tests.eventstreams import Sender, batch, events, streaming
from tests.gateways import Gateway, Refusal, Tenant, make_config, running_gateway
from tests.integration.hostile.rows import assert_well_formed
from tests.integration.hostile.test_wire import MALFORMED, MIB

FAR = 2**63


def named(number: int) -> str:
    return ErrorReason.Name(number).removeprefix("ERROR_REASON_")  # type: ignore[arg-type]


def hello(**fields: object) -> StreamEventsRequest:
    return StreamEventsRequest(hello=StreamHello(**fields))  # type: ignore[arg-type]


FIRST: dict[str, tuple[StreamEventsRequest | bytes, str, str, str]] = {
    "a batch": (batch(1), "INVALID_ARGUMENT", "HELLO_REQUIRED", "hello"),
    "nothing": (b"", "INVALID_ARGUMENT", "HELLO_REQUIRED", "hello"),
    "another field": (b"\x1a\x00", "INVALID_ARGUMENT", "HELLO_REQUIRED", "hello"),
    "another version": (hello(version=2), "FAILED_PRECONDITION", "STREAM_VERSION", ""),
    "the largest version": (hello(version=2**32 - 1), "FAILED_PRECONDITION", "STREAM_VERSION", ""),
    "resume from afar": (hello(resume_after=FAR), "INVALID_ARGUMENT", "SEQUENCE", "hello.resume_after"),
    "a long name": (hello(client_name="x" * 129), "INVALID_ARGUMENT", "ID_LENGTH", "hello.client_name"),
    "NUL in the name": (hello(client_name="a\0"), "INVALID_ARGUMENT", "ID_CHARSET", "hello.client_name"),
    "a line in the name": (hello(client_name="a\nb"), "INVALID_ARGUMENT", "ID_CHARSET", "hello.client_name"),
    "no message": (b"\xff\xff", "INVALID_ARGUMENT", "MALFORMED_MESSAGE", ""),
}


@pytest.mark.parametrize("name", FIRST)
async def test_a_stream_begins_with_a_good_hello(gateway: Gateway, tenant: Tenant, name: str) -> None:
    first, code, told, field = FIRST[name]
    before = await gateway.state(tenant)
    async with streaming(gateway.channel, tenant.keys["backend"]) as stream:
        await stream.send(first)
        acks, refusal = await stream.refused()
    assert (acks, refusal.code, refusal.reason, refusal.domain) == ([], code, told, "nearcast")
    assert not field or refusal.violations[0][0] == field
    assert_well_formed(gateway, tenant, refusal)
    assert await gateway.state(tenant) == before


LATER: dict[str, tuple[StreamEventsRequest | bytes, str]] = {
    "a second hello": (hello(), "HELLO_REQUIRED"),
    "the same sequence": (batch(7), "SEQUENCE"),
    "a lower sequence": (batch(6), "SEQUENCE"),
    "sequence 0": (batch(0), "SEQUENCE"),
    "sequence 2^63": (batch(FAR), "SEQUENCE"),
    "sequence 2^64 - 1": (batch(2**64 - 1), "SEQUENCE"),
    **{how: (damage(batch(8).SerializeToString()), "MALFORMED_MESSAGE") for how, damage in MALFORMED.items()},
    "a lone surrogate": (b"\x12\x0b\x08\x08\x12\x07\x0a\x05\x61\xed\xa0\x80\x61", "MALFORMED_MESSAGE"),
}


@pytest.mark.parametrize("name", LATER)
async def test_a_fault_ends_the_stream_after_the_acks_of_what_was_good(
    gateway: Gateway, tenant: Tenant, name: str
) -> None:
    bad, told = LATER[name]
    entries = (await gateway.state(tenant))[-1]
    async with streaming(gateway.channel, tenant.keys["backend"]) as stream:
        await stream.hello()
        await stream.send(batch(3, *events(2)), batch(7), bad)
        acks, refusal = await stream.refused()
    assert [(ack.sequence, ack.accepted, ack.durability) for ack in acks] == [
        (3, 2, DURABILITY_EVERYSEC),
        (7, 1, DURABILITY_EVERYSEC),
    ]
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", told)
    assert_well_formed(gateway, tenant, refusal)
    assert (await gateway.state(tenant))[-1] == entries + 2


async def test_sequences_may_have_gaps_up_to_the_last_one(gateway: Gateway, tenant: Tenant) -> None:
    numbers = [41, 42, 1000, FAR - 1]
    async with streaming(gateway.channel, tenant.keys["client"]) as stream:
        await stream.hello(resume_after=40)
        await stream.send(*[batch(number) for number in numbers])
        await stream.done()
        assert [ack.sequence for ack in (await stream.rest())[0]] == numbers


async def test_a_batch_of_the_wrong_size_is_refused_and_the_stream_lives(
    gateway: Gateway, tenant: Tenant
) -> None:
    empty = StreamEventsRequest()
    empty.batch.sequence = 2
    async with streaming(gateway.channel, tenant.keys["backend"]) as stream:
        await stream.hello()
        await stream.send(batch(1, *events(500)), empty, batch(3, *[Event(kind="view")] * 501), batch(4))
        await stream.done()
        acks, _ = await stream.rest()
    assert [named(ack.refusal.reason) for ack in acks] == [
        "UNSPECIFIED",
        "EMPTY_BATCH",
        "BATCH_TOO_LARGE",
        "UNSPECIFIED",
    ]
    assert [ack.accepted for ack in acks] == [500, 0, 0, 1]
    assert [ack.durability for ack in acks] == [DURABILITY_EVERYSEC, 0, 0, DURABILITY_EVERYSEC]
    assert "at most 500" in acks[2].refusal.message


async def test_only_what_is_worth_telling_of_an_event_is_told(gateway: Gateway, tenant: Tenant) -> None:
    good, twice = events(2)
    bad = {
        "KIND_UNKNOWN": events(1, "teleport")[0],
        "EVENT_ID_REQUIRED": Event(kind="view"),
        "ID_CHARSET": Event(kind="view", event_id=good.event_id, item_id="a\0b"),
        "EVENT_TOO_LARGE": Event(kind="view", item_id="x" * 20_000),
        "VALUE_OUT_OF_RANGE": Event(kind="view", event_id=good.event_id, value=float("nan")),
        "TOKEN_INVALID": Event(kind="view", event_id=events()[0].event_id, reward_token="AAAA"),
        "DUPLICATE_IN_BATCH": twice,
    }
    async with streaming(gateway.channel, tenant.keys["backend"]) as stream:
        await stream.hello()
        await stream.send(batch(1, good, twice, *bad.values(), *events()))
        ack = await stream.ack()
    told = {result.index: named(result.outcome.reason) for result in ack.results}
    assert told == dict(enumerate(bad, start=2))
    assert (ack.accepted, ack.learned) == (5, 0)
    assert not ack.HasField("refusal")


async def test_an_ack_stays_small_whatever_was_wrong(gateway: Gateway, tenant: Tenant) -> None:
    async with streaming(gateway.channel, tenant.keys["backend"]) as stream:
        await stream.hello()
        await stream.send(batch(1, *[Event(kind="view", value=-1, event_id="x")] * 500))
        ack = await stream.ack()
    assert len(ack.results) == 500
    assert ack.ByteSize() <= 65_536
    assert {named(result.outcome.reason) for result in ack.results} == {"EVENT_ID_FORMAT"}
    assert ack.results[0].outcome.message


@pytest.mark.parametrize(
    ("size", "told"), [(MIB + 1, "MESSAGE_TOO_LARGE"), (2 * MIB + 1, "")], ids=["too large", "far too large"]
)
async def test_a_message_beyond_the_limit_ends_the_stream_and_nothing_else(
    gateway: Gateway, tenant: Tenant, size: int, told: str
) -> None:
    """Far beyond it gRPC itself ends the stream, and tells no reason."""
    async with (
        streaming(gateway.channel, tenant.keys["backend"]) as other,
        streaming(gateway.channel, tenant.keys["backend"]) as stream,
    ):
        await other.hello()
        await stream.hello()
        await stream.send(batch(1))
        acks = [] if told else [await stream.ack()]
        await stream.send(b"\0" * size)
        more, refusal = await stream.refused()
        assert [ack.accepted for ack in (*acks, *more)] == [1]
        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", told)
        assert refusal.metadata == ({"max": str(MIB)} if told else {})
        await other.send(batch(1))
        assert (await other.ack()).accepted == 1


async def test_an_impatient_senders_deadline_ends_the_stream(gateway: Gateway, tenant: Tenant) -> None:
    async with streaming(gateway.channel, tenant.keys["backend"], timeout=0.5) as stream:
        await stream.hello()
        await stream.send(batch(1))
        acks, refusal = await stream.refused()
    assert ([ack.accepted for ack in acks], refusal.code) == ([1], "DEADLINE_EXCEEDED")


async def test_one_key_holds_so_many_streams_and_no_more(gateway: Gateway) -> None:
    config = make_config(gateway.config.postgres.dsn, gateway.config.redis.geo_url, streams_per_key=2)
    async with running_gateway(config) as narrow:
        tenant = await narrow.new_tenant(f"narrow-{secrets.token_hex(4)}")
        backend = tenant.keys["backend"]
        async with streaming(narrow.channel, backend) as first, streaming(narrow.channel, backend) as second:
            await first.hello()
            await second.hello()
            async with streaming(narrow.channel, backend) as third:
                _, refusal = await third.refused()
            assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "STREAM_LIMIT")
            assert refusal.metadata == {"max": "2"}
            assert_well_formed(narrow, tenant, refusal)
            async with streaming(narrow.channel, tenant.keys["client"]) as another_key:
                await another_key.hello()
            await second.done()
            assert await second.rest() == ([], None)
            async with streaming(narrow.channel, backend) as fourth:
                await fourth.hello()
                assert "nearcast_server_streams_open 2.0" in await narrow.metrics()


@pytest.mark.parametrize("how", ["revoked", "suspended"])
async def test_a_key_that_ends_takes_the_stream_with_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What was taken before is acknowledged; what comes after is not taken."""
    monkeypatch.setattr("nearcast_server.callers.FRESH_S", 0.05)
    tenant = await gateway.new_tenant(f"ending-{secrets.token_hex(4)}")
    key, info = await gateway.store.create_key(tenant.tenant_id, "backend", "", None)
    async with streaming(gateway.channel, key) as stream:
        await stream.hello()
        await stream.send(batch(1))
        assert (await stream.ack()).accepted == 1
        if how == "revoked":
            await gateway.store.revoke_key(tenant.tenant_id, info.key_id)
        else:
            async with gateway.pool.connection() as connection:
                await connection.execute(
                    "update tenants set suspended_at = now() where tenant_id = $1", tenant.tenant_id
                )
        taken, refusal = await _sent_until_refused(stream)
    assert (refusal.code, refusal.reason) == ENDED_KEY[how]
    assert (await gateway.state(tenant))[-1] == 1 + taken


ENDED_KEY = {
    "revoked": ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED"),
    "suspended": ("PERMISSION_DENIED", "TENANT_SUSPENDED"),
}


async def _sent_until_refused(stream: Sender) -> tuple[int, Refusal]:
    """How many more batches were taken, one after the other, and why the next one was not."""
    for taken in range(1000):
        await stream.send(batch(2 + taken))
        try:
            assert (await stream.ack()).sequence == 2 + taken
        except Refusal as refusal:
            return taken, refusal
    raise AssertionError("the key is still good")


FAULTS_OF_A_SENDER = {
    ("INVALID_ARGUMENT", "MALFORMED_MESSAGE"),
    ("INVALID_ARGUMENT", "SEQUENCE"),
    ("INVALID_ARGUMENT", "HELLO_REQUIRED"),
    ("INTERNAL", ""),
}
_NOISE = st.binary(max_size=200)
_BATCH = st.integers(min_value=0, max_value=2**64 - 1).map(lambda number: batch(number).SerializeToString())
_BENT = st.tuples(_BATCH, st.integers(0, 60), st.integers(0, 255)).map(
    lambda given: given[0][: given[1]] + bytes([given[2]]) + given[0][given[1] + 1 :]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.one_of(_NOISE, _BATCH, _BENT), max_size=6))
async def test_no_bytes_hang_a_stream_or_are_our_fault(
    gateway: Gateway, tenant: Tenant, messages: list[bytes]
) -> None:
    """Whatever comes after the hello: acks of batches, then the end or an error of the sender's.

    A write that meets the end of its stream makes gRPC's client say INTERNAL, without a reason of ours.
    """
    async with streaming(gateway.channel, tenant.keys["backend"]) as stream:
        await stream.hello()
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await stream.send(*messages)
            await stream.done()
        told = ("", "")
        try:
            acks, goodbye = await stream.rest()
            assert goodbye is None
            assert [ack.sequence for ack in acks] == sorted({ack.sequence for ack in acks})
        except Refusal as refusal:
            told = refusal.code, refusal.reason
    assert told in {("", ""), *FAULTS_OF_A_SENDER}
    assert "nearcast_server_incidents_total 0.0" in await gateway.metrics()
