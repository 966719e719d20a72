"""Below any message: bodies that never end, bombs, floods of headers and resets, silent sockets."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from nearcast_server.rpc.endpoint import Deadlines
from tests.frames import CANCEL, DATA, HEADERS, RST_STREAM, Speaker, bomb, frame, message, spoken
from tests.gateways import (
    PATHS,
    SERVICES,
    Gateway,
    Tenant,
    bearer,
    eventually,
    make_config,
    nearby,
    running_gateway,
)
from tests.integration.hostile.faulty import Faulty, faulty_gateway
from tests.integration.hostile.rows import assert_unharmed, assert_well_formed, refusal_of

MIB = 1 << 20
RECORD = PATHS["RecordEvents"]
RESOURCE_EXHAUSTED = b"grpc-status\x018"
WHOLE = message(nearby(1.0, 1.0).SerializeToString())


@pytest.fixture
async def speaker(gateway: Gateway) -> AsyncIterator[Speaker]:
    async with spoken(gateway.addresses.grpc_port) as made:
        yield made


@pytest.mark.parametrize("name", PATHS)
async def test_a_body_above_the_limit_is_told_so_with_the_limit(
    gateway: Gateway, tenant: Tenant, name: str
) -> None:
    before = await gateway.state(tenant)
    refusal = await refusal_of(
        gateway.raw(PATHS[name], b"\0" * (MIB + 1), metadata=bearer(tenant.keys["operator"]))
    )
    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")
    assert refusal.metadata == {"max": str(MIB)}
    assert str(MIB + 1) in refusal.message
    assert_well_formed(gateway, tenant, refusal)
    await assert_unharmed(gateway, tenant, before)


async def test_a_body_of_twice_the_limit_is_refused_unread(gateway: Gateway, tenant: Tenant) -> None:
    """By gRPC itself, so without details."""
    before = await gateway.state(tenant)
    for body in (b"\x0a\x00" * (2 * MIB), b"\0" * (2 * MIB + 1)):
        refusal = await refusal_of(gateway.raw(RECORD, body, metadata=bearer(tenant.keys["operator"])))
        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "")
    await assert_unharmed(gateway, tenant, before)


def peak_bytes(*, anew: bool = False) -> int:
    """The most memory that this process, the server in it, has held."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_a_bomb_is_not_blown_up(gateway: Gateway, tenant: Tenant, speaker: Speaker) -> None:
    """48 KB that would become 48 MiB."""
    before, packed = await gateway.state(tenant), bomb(48 * MIB)
    gc.collect()
    at_first = peak_bytes(anew=True)
    stream = await speaker.call(RECORD, [*bearer(tenant.keys["client"]), ("grpc-encoding", "gzip")])
    await speaker.body(stream, packed)
    assert RESOURCE_EXHAUSTED in await speaker.ended(stream)
    assert peak_bytes() - at_first < 16 * MIB
    await assert_unharmed(gateway, tenant, before)


@pytest.mark.parametrize("encoding", ["brotli", "gzip, gzip", "\x7f"])
async def test_a_compression_that_nobody_knows_is_refused(
    gateway: Gateway, tenant: Tenant, speaker: Speaker, encoding: str
) -> None:
    before = await gateway.state(tenant)
    stream = await speaker.call(RECORD, [*bearer(tenant.keys["client"]), ("grpc-encoding", encoding)])
    await speaker.body(stream, message(b"abc", compressed=True))
    said = await speaker.ended(stream)
    assert b"grpc-status\x010" not in said
    await assert_unharmed(gateway, tenant, before)


@pytest.mark.parametrize(
    ("count", "size", "taken"),
    [(1, 7000, True), (100, 10, True), (1, 17_000, False), (1, 40_000, False), (1000, 10, False)],
    ids=["7 KB", "a hundred", "17 KB", "40 KB", "a thousand"],
)
async def test_metadata_has_a_limit(
    gateway: Gateway, tenant: Tenant, count: int, size: int, taken: bool
) -> None:
    """Of gRPC, and told without details; between 8 and 16 KB it is left to chance."""
    before, body = await gateway.state(tenant), nearby(1.0, 1.0).SerializeToString()
    metadata = [*bearer(tenant.keys["client"]), *((f"x-{number}", "v" * size) for number in range(count))]
    call = gateway.raw(PATHS["Nearby"], body, metadata=metadata)
    if taken:
        await call
    else:
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "")
    await assert_unharmed(gateway, tenant, before)


async def test_headers_in_pieces_harm_nobody(gateway: Gateway, tenant: Tenant, speaker: Speaker) -> None:
    """Half a megabyte as no client library sends it: more than a limit for each frame sees."""
    before = await gateway.state(tenant)
    stream = await speaker.call(PATHS["Nearby"], [*bearer(tenant.keys["client"]), ("x", "v" * 500_000)])
    await speaker.body(stream, WHOLE)
    async with asyncio.timeout(20.0):
        assert await speaker.ended(stream)
    await assert_unharmed(gateway, tenant, before)


async def test_a_flood_of_calls_that_are_reset_at_once_harms_nobody(
    gateway: Gateway, tenant: Tenant, speaker: Speaker
) -> None:
    """Ten thousand on one connection; whoever comes on another is answered meanwhile and after."""
    before = await gateway.state(tenant)
    key = bearer(tenant.keys["client"])

    async def flood() -> None:
        for _ in range(10_000):
            stream = await speaker.call(PATHS["Nearby"], key)
            await speaker.send(frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))

    flooding = asyncio.create_task(flood())
    answered = 0
    while not flooding.done():
        await gateway.call(tenant, nearby(1.0, 1.0))
        answered += 1
    await asyncio.gather(flooding, return_exceptions=True)
    assert answered
    for _ in range(20):
        await gateway.call(tenant, nearby(1.0, 1.0))
    await assert_unharmed(gateway, tenant, before)


async def test_who_connects_and_says_nothing_is_hung_up_on(gateway: Gateway) -> None:
    config = make_config(gateway.config.postgres.dsn, gateway.config.redis.geo_url, handshake_timeout_s=0.5)
    async with running_gateway(config) as hasty:
        reader, writer = await asyncio.open_connection("127.0.0.1", hasty.addresses.grpc_port)
        async with asyncio.timeout(20.0):
            while await reader.read(1024):
                pass
        writer.close()
        tenant = await hasty.new_tenant("hasty")
        await hasty.call(tenant, nearby(1.0, 1.0))


@pytest.fixture
async def faulty() -> AsyncIterator[Faulty]:
    async with faulty_gateway(Deadlines(default_s=0.5, max_s=0.5)) as started:
        yield started


@pytest.mark.parametrize("named", [(), (("grpc-timeout", "300m"),), (("grpc-timeout", "99999999H"),)])
async def test_a_body_that_never_ends_has_a_deadline(
    faulty: Faulty, named: tuple[tuple[str, str], ...]
) -> None:
    """Its first bytes come, then one now and then; also of a sender whose key is remembered."""
    await faulty.raw(PATHS["Nearby"], nearby(1.0, 1.0).SerializeToString())
    async with spoken(faulty.port) as speaker:
        stream = await speaker.call(RECORD, [*bearer(faulty.key), *named])
        await speaker.send(frame(DATA, 0, stream, WHOLE[:7]))

        async def dribble() -> None:
            for byte in WHOLE[7:-1]:
                await speaker.send(frame(DATA, 0, stream, bytes([byte])))
                turn = asyncio.get_running_loop().create_future()
                await asyncio.wait([turn], timeout=0.1)

        dribbling = asyncio.create_task(dribble())
        async with asyncio.timeout(20.0):
            said = await speaker.ended(stream)
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
    assert b"grpc-status\x014" in said
    assert faulty.appended == []
    await faulty.in_flight.ended()


async def test_who_has_no_key_is_answered_before_the_body_is_there(faulty: Faulty) -> None:
    async with spoken(faulty.port) as speaker:
        stream = await speaker.call(RECORD)
        async with asyncio.timeout(20.0):
            assert b"grpc-status\x0216" in await speaker.ended(stream)
    await faulty.in_flight.ended()


async def test_a_call_without_any_body_is_malformed(faulty: Faulty) -> None:
    async with spoken(faulty.port) as speaker:
        stream = await speaker.call(RECORD, bearer(faulty.key))
        await speaker.send(frame(DATA, 1, stream))
        async with asyncio.timeout(20.0):
            said = await speaker.ended(stream)
    assert b"grpc-status\x013" in said
    assert b"the body is no nearcast.v1.RecordEventsRequest" in said


async def test_who_hangs_up_in_the_middle_of_a_body_leaves_nothing_behind(faulty: Faulty) -> None:
    async with spoken(faulty.port) as speaker:
        stream = await speaker.call(RECORD, bearer(faulty.key))
        await speaker.send(frame(DATA, 0, stream, WHOLE[:7]))
        await speaker.send(frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))

    async def incidents() -> float | None:
        await faulty.in_flight.ended()
        return faulty.registry.get_sample_value("nearcast_server_incidents_total")

    assert await eventually(incidents, 10.0, lambda found: found is not None) == 0.0
    assert faulty.appended == []


async def test_frames_that_belong_to_nothing_end_at_most_their_connection(
    gateway: Gateway, tenant: Tenant
) -> None:
    before = await gateway.state(tenant)
    strays = (
        frame(DATA, 0, 99, b"x"),
        frame(HEADERS, 4, 2, b""),
        frame(9, 4, 1, b"x"),
        frame(200, 255, 7, b"unknown"),
        frame(8, 0, 0, b"\0\0\0\0"),
        frame(4, 0, 0, b"\0\x05\xff\xff\xff\xff"),
    )
    for stray in strays:
        async with spoken(gateway.addresses.grpc_port) as speaker:
            await speaker.send(stray)
    await assert_unharmed(gateway, tenant, before)


def _fields(message_type: Descriptor, seen: set[str]) -> Iterator[str]:
    if message_type.full_name in seen:
        return
    seen.add(message_type.full_name)
    yield message_type.full_name
    for field in message_type.fields:
        if field.message_type is not None:
            yield from _fields(field.message_type, seen)


def test_the_contract_has_no_message_that_can_hold_any_other() -> None:
    """Nested ones have taken parsers of JSON down."""
    seen: set[str] = set()
    for service in SERVICES:
        for rpc in service.methods:
            for message_type in (rpc.input_type, rpc.output_type):
                list(_fields(message_type, seen))
    assert "nearcast.v1.Event" in seen
    assert "google.protobuf.Any" not in seen
