"""Ledger rows as COPY takes them in binary; packed here, as a driver would look at every field."""

import struct
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent
from nearcast_ledger.kinds import position_bucket
from nearcast_ledger.requestid import hour_bucket
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.errors import DataRefusedError

COLUMNS = (
    *("ordinal", "origin_id", "posting", "occurred_at"),
    *("tenant_id", "identity_day", "received_at", "durability", "gateway_id"),
    *("identity_kind", "kind", "learned", "unlearned_reason", "implied", "rewards_feed"),
    *(
        "feed",
        "feed_propensity",
        "scenario",
        "market",
        "policy_revision",
        "policy_epoch",
        "explore",
        "key_id",
    ),
    *("bucket", "subject_hash", "session_hash", "position", "position_bucket"),
    *("event_id", "item_id", "user_id", "anonymous_id", "session_id", "value", "properties", "dwell_ms"),
)
"""In the order of the packed fields."""

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
# Each field stands behind its length in bytes.
_OWN = struct.Struct(">hiii16siq")
_ENTRY = struct.Struct(">iiiiiqih")
_SORT = struct.Struct(">ihihi?ihi?i?")
_DECISION = struct.Struct(">ihidihiiiqiqi?ihii")
_POSITION = struct.Struct(">ihih")
_TIME = struct.Struct(">iq")
_FLOAT = struct.Struct(">id")
_INTEGER = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")
_NO_CLAIMS = _NULL * 13
_NO_DETAILS = _NULL * 8
_JSONB_VERSION = b"\x01"
# What Postgres counts days and microseconds from.
_FIRST_DAY = date(2000, 1, 1).toordinal()
_FIRST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def packed(rows: Iterable[LedgerRow]) -> bytes:
    """All of a COPY in binary. Raises DataRefusedError for a number that its column cannot hold."""
    try:
        return b"".join((_HEAD, *(_row(*each) for each in enumerate(rows)), _END))
    except struct.error as error:
        raise DataRefusedError(f"Postgres cannot store this number: {error}") from error


def _row(ordinal: int, row: LedgerRow) -> bytes:
    tenant_id, day, origin_id, posting, identity_kind = row.identity
    event = row.event
    return b"".join(
        (
            _OWN.pack(len(COLUMNS), 4, ordinal, 16, origin_id.bytes, 8, posting),
            _NULL if event.occurred_at_us is None else _TIME.pack(8, event.occurred_at_us - _FIRST_US),
            _entry(tenant_id, day, row.received_at_us, row.durability, row.gateway_id),
            _sort(identity_kind, event.kind, event.unlearned, row.implied, row.rewards_feed),
            _NO_CLAIMS if event.claims is None else _claims(event.claims),
            _details(event),
        )
    )


def _claims(claims: Claims) -> bytes:
    numbers = (claims.feed, claims.feed_propensity, claims.scenario, claims.market, claims.policy_revision)
    more = (claims.policy_epoch, claims.explore, claims.key_id)
    decision = _decision(claims.request_id, *numbers, *more, claims.subject_hash, claims.session_hash)
    return decision + _position(claims.position)


# What the events of an entry or of a slate share is packed once.


@lru_cache(maxsize=1024)
def _entry(tenant_id: int, day: date, received_at_us: int, durability: int, gateway_id: str) -> bytes:
    days, name = day.toordinal() - _FIRST_DAY, gateway_id.encode()
    numbers = _ENTRY.pack(4, tenant_id, 4, days, 8, received_at_us - _FIRST_US, 2, durability)
    return numbers + _LENGTH.pack(len(name)) + name


@lru_cache(maxsize=1024)
def _sort(identity_kind: int, kind: int, unlearned: int, implied: bool, rewards_feed: bool) -> bytes:
    told = (1, not unlearned, 2, unlearned, 1, implied, 1, rewards_feed)
    return _SORT.pack(2, identity_kind, 2, kind, *told)


@lru_cache(maxsize=4096)
def _decision(request_id: UUID, *said: Any) -> bytes:
    feed, propensity, scenario, market, revision, epoch, explore, key_id, subject_hash, session_hash = said
    numbers = _DECISION.pack(
        *(2, feed, 8, propensity, 2, scenario, 4, market, 8, revision, 8, epoch),
        *(1, explore, 2, key_id, 4, hour_bucket(request_id)),
    )
    return numbers + _field(subject_hash) + _field(session_hash)


@lru_cache(maxsize=1024)
def _position(position: int) -> bytes:
    return _POSITION.pack(2, position, 2, position_bucket(position))


def _details(event: AcceptedEvent) -> bytes:
    """What most events do not say."""
    names = (event.item_id, event.user_id, event.anonymous_id, event.session_id)
    numbers = (event.value, event.dwell_ms)
    if event.event_id is None and not any(names) and not event.properties and numbers == (None, None):
        return _NO_DETAILS
    return b"".join(
        (
            _field(event.event_id.bytes if event.event_id else b""),
            *(_field(name.encode()) for name in names),
            _NULL if event.value is None else _FLOAT.pack(8, event.value),
            _field(_JSONB_VERSION + event.properties if event.properties else b""),
            _NULL if event.dwell_ms is None else _INTEGER.pack(4, event.dwell_ms),
        )
    )


def _field(raw: bytes) -> bytes:
    return _LENGTH.pack(len(raw)) + raw if raw else _NULL
