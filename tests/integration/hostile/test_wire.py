"""Bytes that are no request, deadlines that are none, and faults of the server itself."""

import asyncio
import secrets
import ssl
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.message import Message

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, stats_pb2
from nearcast_ledger.requestid import RequestIds
from nearcast_server.rpc.endpoint import Deadlines
from nearcast_store.errors import (
    IndexUnavailableError,
    LogUnavailableError,
    SchemaError,
    StoreUnavailableError,
)
from tests.gateways import (
    PATHS,
    Gateway,
    Refusal,
    Tenant,
    bearer,
    make_config,
    nearby,
    recommend,
    running_gateway,
)
from tests.integration.hostile.faulty import Faulty, faulty_gateway, hanging, raising
from tests.integration.hostile.rows import assert_unharmed, assert_well_formed, refusal_of

SECRET = "postgres://nearcast:hunter2@db.internal:5432/town"
MIB = 1 << 20
# A decision of 2023, of which nobody knows.
LONG_AGO = "018bcfe5-6800-7000-8000-000000000001"
GOOD: dict[str, Message] = {
    "UpsertItems": catalog_pb2.UpsertItemsRequest(items=[{"item_id": "a"}]),  # type: ignore[list-item]
    "DeleteItems": catalog_pb2.DeleteItemsRequest(item_ids=["a"], allow_missing=True),
    "GetItem": catalog_pb2.GetItemRequest(item_id="a"),
    "ListItems": catalog_pb2.ListItemsRequest(page_size=1),
    "UpsertMarkets": catalog_pb2.UpsertMarketsRequest(markets=[{"market_id": "a"}]),  # type: ignore[list-item]
    "DeleteMarkets": catalog_pb2.DeleteMarketsRequest(market_ids=["a"], allow_missing=True),
    "ListMarkets": catalog_pb2.ListMarketsRequest(page_size=1),
    "Nearby": nearby(1.0, 1.0),
    "Recommend": recommend(1.0, 1.0),
    "RecordEvents": event_pb2.RecordEventsRequest(events=[event_pb2.Event(kind="view")]),
    "StreamEvents": event_pb2.StreamEventsRequest(hello=event_pb2.StreamHello(version=1)),
    "GetStats": stats_pb2.GetStatsRequest(page_size=1),
    "WatchStats": stats_pb2.WatchStatsRequest(resume_token="none"),
    "ValidatePolicy": admin_pb2.ValidatePolicyRequest(policy_toml="[policy]"),
    "ApplyPolicy": admin_pb2.ApplyPolicyRequest(policy_toml="[policy]"),
    "RollbackPolicy": admin_pb2.RollbackPolicyRequest(revision=1),
    "GetPolicy": admin_pb2.GetPolicyRequest(revision=1),
    "ListPolicyRevisions": admin_pb2.ListPolicyRevisionsRequest(page_size=1),
    "Freeze": admin_pb2.FreezeRequest(market="nowhere"),
    "Unfreeze": admin_pb2.UnfreezeRequest(market="nowhere"),
    "ExplainDecision": admin_pb2.ExplainDecisionRequest(request_id=LONG_AGO),
    "StartExperiment": admin_pb2.StartExperimentRequest(name="good", policy_toml="[policy]", share=0.1),
    "StopExperiment": admin_pb2.StopExperimentRequest(name="nothing"),
    "GetExperiment": admin_pb2.GetExperimentRequest(name="nothing"),
    "ListExperiments": admin_pb2.ListExperimentsRequest(limit=1),
}
# The answer to a message without any field, and to one whose first field has another wire type.
EMPTY = {
    "UpsertItems": ("INVALID_ARGUMENT", "EMPTY_BATCH"),
    "DeleteItems": ("INVALID_ARGUMENT", "EMPTY_BATCH"),
    "UpsertMarkets": ("INVALID_ARGUMENT", "EMPTY_BATCH"),
    "DeleteMarkets": ("INVALID_ARGUMENT", "EMPTY_BATCH"),
    "GetItem": ("INVALID_ARGUMENT", "ID_LENGTH"),
    "Nearby": ("INVALID_ARGUMENT", "LOCATION_REQUIRED"),
    "Recommend": ("INVALID_ARGUMENT", "LOCATION_REQUIRED"),
    "RecordEvents": ("INVALID_ARGUMENT", "EMPTY_BATCH"),
}


async def refused(gateway: Gateway, tenant: Tenant, name: str, body: bytes) -> Refusal:
    before = await gateway.state(tenant)
    refusal = await refusal_of(
        gateway.raw(PATHS[name], body, metadata=bearer(tenant.keys["operator"]), timeout_s=5.0)
    )
    await assert_unharmed(gateway, tenant, before)
    return refusal


MALFORMED = {
    "truncated": lambda good: good[:-1],
    "cut length": lambda good: good + b"\x0a\x7f",
    "endless varint": lambda good: good + b"\x08" + b"\xff" * 11,
    "field number 0": lambda good: good + b"\x00\x01",
    "wire type 7": lambda good: good + b"\x0f",
    "unclosed group": lambda good: good + b"\x0b",
    "noise": lambda good: bytes(range(255, 155, -1)),
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("damage", MALFORMED)
async def test_bytes_that_are_no_message_are_refused(
    gateway: Gateway, tenant: Tenant, name: str, damage: str
) -> None:
    body = MALFORMED[damage](GOOD[name].SerializeToString())
    refusal = await refused(gateway, tenant, name, body)
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")
    assert refusal.message == f"the body is no nearcast.v1.{name}Request"
    assert_well_formed(gateway, tenant, refusal)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Recommend", b"\x2a\x02\xff\xfe"),  # session_id
        ("Nearby", b"\x32\x02\xc3\x28"),  # page_token
        ("Recommend", b"\x22\x05\x0a\x03\xed\xa0\x80"),  # a lone surrogate as user_id
        ("GetItem", b"\x0a\x02\xc0\x80"),  # NUL, spelt too long
        ("RecordEvents", b"\x0a\x04\x0a\x02\xff\xff"),
        ("UpsertItems", b"\x0a\x04\x0a\x02\xff\xff"),
        ("DeleteItems", b"\x0a\x01\xff"),
        ("GetStats", b"\x0a\x01\x80"),
    ],
)
async def test_text_that_is_no_text_is_refused(
    gateway: Gateway, tenant: Tenant, name: str, body: bytes
) -> None:
    refusal = await refused(gateway, tenant, name, body)
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize(
    "body", [b"", b"\x08\x01", b"\x0d\x01\x02\x03\x04"], ids=["empty", "varint", "fixed"]
)
async def test_a_required_field_that_is_missing_or_of_another_type_is_told(
    gateway: Gateway, tenant: Tenant, name: str, body: bytes
) -> None:
    refusal = await refused(gateway, tenant, name, body)
    assert (refusal.code, refusal.reason) == EMPTY[name]
    assert_well_formed(gateway, tenant, refusal)


@pytest.mark.parametrize("name", ["Nearby", "Recommend", "ListItems", "GetStats"])
async def test_fields_of_a_newer_contract_are_passed_over(
    gateway: Gateway, tenant: Tenant, name: str
) -> None:
    newer = GOOD[name].SerializeToString() + b"\xfa\x7f\x03abc" + b"\xf8\x7f\x05"
    await gateway.raw(PATHS[name], newer, metadata=bearer(tenant.keys["operator"]))


@pytest.mark.parametrize("name", ["RecordEvents", "UpsertItems"])
async def test_millions_of_empty_entries_are_counted_before_they_are_looked_at(
    gateway: Gateway, name: str
) -> None:
    config = make_config(gateway.config.postgres.dsn, gateway.config.redis.geo_url, max_message_bytes=8 * MIB)
    async with running_gateway(config) as wide:
        tenant = await wide.new_tenant("wide")
        refusal = await refused(wide, tenant, name, b"\x0a\x00" * (2 * MIB))
    assert (refusal.code, refusal.reason) == ("INVALID_ARGUMENT", "BATCH_TOO_LARGE")
    assert refusal.metadata == {"max": "500"}


@pytest.mark.parametrize(
    "path",
    [
        "/nearcast.v1.RecommendService/Recommended",
        "/nearcast.v1.RecommendService/",
        "/nearcast.v1.TownService/Recommend",
        "/nearcast.v2.RecommendService/Recommend",
        "/Recommend",
        "//",
        "/nearcast.v1.RecommendService/recommend",
    ],
)
async def test_what_is_not_served_is_unimplemented(gateway: Gateway, tenant: Tenant, path: str) -> None:
    refusal = await refusal_of(gateway.raw(path, b"", metadata=bearer(tenant.keys["client"])))
    assert refusal.code == "UNIMPLEMENTED"


def _tls_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        _tls_hello(),
        b"\0" * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    ],
    ids=["HTTP/1.1", "TLS", "zeros", "bad frames"],
)
async def test_another_protocol_on_the_port_is_hung_up_on(
    gateway: Gateway, tenant: Tenant, sent: bytes
) -> None:
    before = await gateway.state(tenant)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.addresses.grpc_port)
    writer.write(sent)
    async with asyncio.timeout(20.0):
        said = await reader.read()
    assert b"nearcast" not in said
    writer.close()
    await assert_unharmed(gateway, tenant, before)


@pytest.fixture
async def faulty() -> AsyncIterator[Faulty]:
    async with faulty_gateway() as started:
        yield started


EVENT_ID = str(RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes).next())
EVENTS = event_pb2.RecordEventsRequest(events=[event_pb2.Event(kind="view", event_id=EVENT_ID)])
RECORD = (PATHS["RecordEvents"], EVENTS.SerializeToString())
RECOMMEND = (PATHS["Recommend"], recommend(59.91, 10.75).SerializeToString())
TEN_YEARS_S = 10 * 365 * 86_400.0


@pytest.mark.parametrize("timeout_s", [None, TEN_YEARS_S], ids=["no deadline", "ten years"])
async def test_a_call_without_an_end_is_given_one(faulty: Faulty, timeout_s: float | None) -> None:
    gate = asyncio.Event()
    faulty.faults.index = hanging(gate)
    refusal = await refusal_of(faulty.raw(*RECOMMEND, timeout_s=timeout_s))
    assert (refusal.code, refusal.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    gate.set()
    assert await faulty.raw(*RECOMMEND)


@pytest.mark.parametrize("timeout_s", [0.05, 0.001, 0.0001])
async def test_a_short_deadline_is_kept(faulty: Faulty, timeout_s: float) -> None:
    gate = asyncio.Event()
    faulty.faults.index = hanging(gate)
    refusal = await refusal_of(faulty.raw(*RECOMMEND, timeout_s=timeout_s))
    assert refusal.code == "DEADLINE_EXCEEDED"
    await faulty.in_flight.ended()
    gate.set()
    assert await faulty.raw(*RECOMMEND)


async def test_nothing_is_appended_for_a_caller_whose_deadline_has_passed(faulty: Faulty) -> None:
    """The deadline ends while the key is looked up: nothing after it is done."""
    gate = asyncio.Event()
    faulty.faults.callers = hanging(gate)
    refusal = await refusal_of(faulty.raw(*RECORD, timeout_s=0.05))
    assert refusal.code == "DEADLINE_EXCEEDED"
    gate.set()
    await faulty.in_flight.ended()
    assert faulty.appended == []
    await faulty.raw(*RECORD)
    assert len(faulty.appended) == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(f"cannot connect: {SECRET}"),
        KeyError(SECRET),
        ValueError(SECRET),
        AssertionError(SECRET),
        RecursionError(SECRET),
        MemoryError(SECRET),
        grpc.RpcError(SECRET),
        ExceptionGroup(SECRET, [RuntimeError(SECRET)]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_fault_of_the_server_is_told_by_an_incident_id_alone(
    faulty: Faulty, error: Exception
) -> None:
    faulty.faults.index = raising(error)
    refusal = await refusal_of(faulty.raw(*RECOMMEND))
    assert (refusal.code, refusal.reason, refusal.domain) == ("INTERNAL", "INTERNAL", "nearcast")
    incident = refusal.metadata["incident"]
    assert refusal.message == f"a fault of the server, incident {incident}"
    assert len(incident) == 16
    assert "hunter2" not in repr(refusal)
    assert faulty.registry.get_sample_value("nearcast_server_incidents_total") == 1.0
    faulty.faults.index = raising(IndexUnavailableError(SECRET))
    assert (await refusal_of(faulty.raw(*RECOMMEND))).code == "UNAVAILABLE"


async def test_a_cancellation_from_within_is_no_silence(faulty: Faulty) -> None:
    faulty.faults.index = raising(asyncio.CancelledError())
    refusal = await refusal_of(faulty.raw(*RECOMMEND))
    assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "SERVER_NOT_READY")
    assert refusal.retry_s


@pytest.mark.parametrize(
    ("part", "error", "reason"),
    [
        ("index", IndexUnavailableError(SECRET), "CANDIDATES_UNAVAILABLE"),
        ("callers", StoreUnavailableError(SECRET), "STORE_UNAVAILABLE"),
        ("callers", SchemaError(SECRET), "STORE_UNAVAILABLE"),
        ("log", LogUnavailableError(SECRET), "LOG_UNAVAILABLE"),
    ],
)
async def test_a_part_that_does_not_answer_is_told_with_when_to_come_again(
    faulty: Faulty, part: str, error: Exception, reason: str
) -> None:
    setattr(faulty.faults, part, raising(error))
    refusal = await refusal_of(faulty.raw(*(RECORD if part == "log" else RECOMMEND)))
    assert (refusal.code, refusal.reason, refusal.retry_s) == ("UNAVAILABLE", reason, 1.0)
    assert "hunter2" not in repr(refusal)
    assert faulty.registry.get_sample_value("nearcast_server_incidents_total") == 0.0


async def test_a_caller_who_hangs_up_ends_the_work_done_for_it() -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        begun.set()
        await gate.wait()

    async with faulty_gateway(Deadlines(default_s=60.0, max_s=60.0)) as patient:
        patient.faults.index = begin
        call = asyncio.create_task(patient.raw(*RECOMMEND, timeout_s=None))
        await begun.wait()
        call.cancel()
        async with asyncio.timeout(20.0):
            await patient.in_flight.ended()


async def test_who_hangs_up_in_the_middle_of_an_append_may_send_the_same_again(faulty: Faulty) -> None:
    """Nothing was promised; what was sent twice has one identity."""
    gate, begun = asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        begun.set()
        await gate.wait()

    faulty.faults.log = begin
    call = asyncio.create_task(faulty.raw(*RECORD, timeout_s=None))
    await begun.wait()
    call.cancel()
    await faulty.in_flight.ended()
    gate.set()
    answer = event_pb2.RecordEventsResponse.FromString(await faulty.raw(*RECORD))
    assert [result.outcome.code for result in answer.results] == [0]
    assert {str(sent.event_id) for entry in faulty.appended for sent in entry.events} == {EVENT_ID}
