"""Entries to bytes and back: the only place that knows the format of the log."""

from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError

from nearcast.log.v1 import entry_pb2
from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_ledger.requestid import uuid_of
from nearcast_store.log.packing import Packed, PackedEvents, pack_events

FORMAT = 1
PACKING = 1
# Fewer are as small one by one, and sooner read.
LEAST_PACKED = 8
_UNLEARNED = {reason.value: reason for reason in Unlearned}


def encode_entry(entry: Entry) -> bytes:
    """Raises ValueError when claims are another tenant's, or a number does not fit its field."""
    tenant_id = entry.tenant_id
    for event in entry.events:
        if event.claims is not None and event.claims.tenant_id != tenant_id:
            raise ValueError(f"claims of tenant {event.claims.tenant_id} in an entry of tenant {tenant_id}")
    wire = entry_pb2.LogEntry(
        tenant_id=tenant_id,
        received_at_us=entry.received_at_us,
        gateway_id=entry.gateway_id,
        durability=entry.durability,
    )
    packed = pack_events(entry.events) if len(entry.events) >= LEAST_PACKED else None
    if packed is not None:
        _write_packed(wire, packed)
    else:
        wire.format = FORMAT
        for event in entry.events:
            _write_event(wire.events.add(), event)
    return wire.SerializeToString()


def decode_entry(raw: bytes) -> Entry | str:
    """The entry, or in words why the bytes are none; never raises on their content."""
    try:
        wire = entry_pb2.LogEntry.FromString(raw)
    except DecodeError:
        return "the bytes are not a log entry"
    if wire.packing > PACKING:
        return f"packing is {wire.packing}, and this version reads {PACKING}"
    if wire.format < FORMAT and not wire.packing:
        return f"format is {wire.format}, must be {FORMAT} or above"
    try:
        return Entry(
            tenant_id=wire.tenant_id,
            received_at_us=wire.received_at_us,
            gateway_id=wire.gateway_id,
            durability=Durability(wire.durability),
            events=_packed_events(wire) if wire.packing else _plain_events(wire),
        )
    except ValueError as error:
        return str(error)


def _write_packed(wire: entry_pb2.LogEntry, packed: Packed) -> None:
    wire.packing = PACKING
    wire.decisions = packed.decisions
    wire.packed_events = packed.events
    for said in packed.details:
        _write_details(wire.details.add(), said)


def _packed_events(wire: entry_pb2.LogEntry) -> PackedEvents:
    details = [AcceptedEvent(0, Unlearned.LEARNED, **_plain_details(said)) for said in wire.details]
    return PackedEvents(wire.tenant_id, Packed(wire.decisions, wire.packed_events, details))


# Field by field: less than half the time of messages made by keywords.
def _write_event(wire: entry_pb2.LoggedEvent, event: AcceptedEvent) -> None:
    wire.kind = event.kind
    wire.learned = event.unlearned is Unlearned.LEARNED
    wire.unlearned_reason = event.unlearned
    if event.claims is not None:
        _write_claims(wire.claims, event.claims)
    if event.occurred_at_us is not None:
        wire.occurred_at_us = event.occurred_at_us
    if event.dwell_ms is not None:
        wire.dwell_ms = event.dwell_ms
    _write_details(wire, event)


def _write_details(wire: entry_pb2.LoggedEvent, event: AcceptedEvent) -> None:
    wire.item_id = event.item_id
    wire.user_id = event.user_id
    wire.anonymous_id = event.anonymous_id
    wire.session_id = event.session_id
    wire.properties = event.properties
    if event.event_id is not None:
        wire.event_id = event.event_id.bytes
    if event.value is not None:
        wire.value = event.value


def _write_claims(wire: entry_pb2.Claims, claims: Claims) -> None:
    wire.request_id = claims.request_id.bytes
    wire.posting = claims.posting
    wire.position = claims.position
    wire.feed = claims.feed
    wire.feed_propensity = claims.feed_propensity
    wire.scenario = claims.scenario
    wire.market = claims.market
    wire.policy_revision = claims.policy_revision
    wire.policy_epoch = claims.policy_epoch
    wire.explore = claims.explore
    wire.subject_hash = claims.subject_hash
    wire.session_hash = claims.session_hash
    wire.key_id = claims.key_id


def _plain_events(wire: entry_pb2.LogEntry) -> tuple[AcceptedEvent, ...]:
    return tuple([_plain_event(event, wire.tenant_id) for event in wire.events])


def _plain_event(wire: entry_pb2.LoggedEvent, tenant_id: int) -> AcceptedEvent:
    unlearned = _UNLEARNED.get(wire.unlearned_reason)
    if unlearned is None:
        raise ValueError(f"unlearned_reason is {wire.unlearned_reason}, which has no meaning")
    if wire.learned is not (unlearned is Unlearned.LEARNED):
        raise ValueError(f"learned is {wire.learned}, and unlearned_reason {wire.unlearned_reason}")
    return AcceptedEvent(
        kind=wire.kind,
        unlearned=unlearned,
        claims=_plain_claims(wire.claims, tenant_id) if wire.HasField("claims") else None,
        occurred_at_us=wire.occurred_at_us if wire.HasField("occurred_at_us") else None,
        dwell_ms=wire.dwell_ms if wire.HasField("dwell_ms") else None,
        **_plain_details(wire),
    )


def _plain_details(wire: entry_pb2.LoggedEvent) -> dict[str, Any]:
    return {
        "event_id": _uuid("event_id", wire.event_id) if wire.event_id else None,
        "item_id": wire.item_id,
        "user_id": wire.user_id,
        "anonymous_id": wire.anonymous_id,
        "session_id": wire.session_id,
        "value": wire.value if wire.HasField("value") else None,
        "properties": wire.properties,
    }


def _plain_claims(wire: entry_pb2.Claims, tenant_id: int) -> Claims:
    return Claims(
        tenant_id=tenant_id,
        request_id=_uuid("request_id", wire.request_id),
        posting=wire.posting,
        position=wire.position,
        feed=wire.feed,
        feed_propensity=wire.feed_propensity,
        scenario=wire.scenario,
        market=wire.market,
        policy_revision=wire.policy_revision,
        policy_epoch=wire.policy_epoch,
        explore=wire.explore,
        subject_hash=_hash("subject_hash", wire.subject_hash),
        session_hash=_hash("session_hash", wire.session_hash),
        key_id=wire.key_id,
    )


def _uuid(name: str, raw: bytes) -> UUID:
    if len(raw) != 16:
        raise ValueError(f"{name} has {len(raw)} bytes, must have 16")
    return uuid_of(raw)


def _hash(name: str, raw: bytes) -> bytes:
    if len(raw) != 8:
        raise ValueError(f"{name} has {len(raw)} bytes, must have 8")
    return raw
