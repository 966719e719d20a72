"""Entries, records and events to fold."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_ledger.kinds import APPLY, IMPRESSION, VIEW
from nearcast_store.log.codec import decode_entry, encode_entry
from nearcast_store.log.protocol import Record

NOW_S = 1_790_000_000.0
TENANT = 1


def uuid7(number: int, at_s: float = NOW_S - 60) -> UUID:
    """A UUIDv7 of that time; the number tells it from others."""
    return UUID(int=(int(at_s * 1000) << 80) | (7 << 76) | (2 << 62) | number)


def claims(request: int = 1, posting: int = 10, **changed: Any) -> Claims:
    """What the token of one shown item says."""
    standard = Claims(
        tenant_id=TENANT,
        request_id=uuid7(request),
        posting=posting,
        position=1,
        feed=4,
        feed_propensity=0.7,
        scenario=1,
        market=0,
        policy_revision=1,
        policy_epoch=1,
        explore=False,
        subject_hash=bytes(8),
        session_hash=request.to_bytes(8),
        key_id=1,
    )
    return replace(standard, **changed)


def learned(kind: int, request: int = 1, posting: int = 10, **changed: Any) -> AcceptedEvent:
    """An event that is learned from."""
    return replace(
        AcceptedEvent(kind, Unlearned.LEARNED, claims(request, posting), item_id=f"item-{posting}"), **changed
    )


def impression(request: int = 1, posting: int = 10) -> AcceptedEvent:
    """An item that came on screen."""
    return learned(IMPRESSION, request, posting)


def view(request: int = 1, posting: int = 10) -> AcceptedEvent:
    """A look at its details."""
    return learned(VIEW, request, posting)


def application(request: int = 1, posting: int = 10) -> AcceptedEvent:
    """What the tenant hopes for."""
    return learned(APPLY, request, posting)


def unattributed(number: int = 1, kind: int = VIEW) -> AcceptedEvent:
    """An event without a token."""
    return AcceptedEvent(kind, Unlearned.TOKEN_MISSING, event_id=uuid7(number), item_id="somewhere")


def entry(*events: AcceptedEvent, tenant_id: int = TENANT, at_s: float = NOW_S) -> Entry:
    """One accepted sub-batch."""
    return Entry(tenant_id, int(at_s * 1_000_000), "gateway-1", Durability.EVERYSEC, tuple(events))


def record(*events: AcceptedEvent, place: int = 1, shard: int = 0, deliveries: int = 1) -> Record:
    """As the log hands it out, by way of its bytes."""
    raw = encode_entry(entry(*events))
    decoded = decode_entry(raw)
    assert isinstance(decoded, Entry)
    return Record(TENANT, shard, f"{place}-0", raw, decoded, deliveries=deliveries)


def raw_record(held: Entry, place: int = 1) -> Record:
    """A record of an entry that no gateway would write."""
    return Record(TENANT, 0, f"{place}-0", b"raw", held)


def garbage(place: int = 1) -> Record:
    """Bytes that are no entry."""
    return Record(TENANT, 0, f"{place}-0", b"\xff\xff", None, "the bytes are not a log entry")


def every_kind_rewards(tenant_id: int, revision: int, kind: int) -> bool:
    """As the policy might say."""
    return True


def kinds_of(events: Sequence[AcceptedEvent]) -> list[int]:
    """The kinds, in order."""
    return [event.kind for event in events]
