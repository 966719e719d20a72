"""Ledger rows as the columns of `events`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from nearcast_store.counting.protocol import LedgerRow

COLUMNS = (
    "ordinal",
    "tenant_id",
    "identity_day",
    "origin_id",
    "posting",
    "identity_kind",
    "kind",
    "event_id",
    "learned",
    "unlearned_reason",
    "implied",
    "item_id",
    "user_id",
    "anonymous_id",
    "session_id",
    "value",
    "properties",
    "occurred_at",
    "received_at",
    "durability",
    "gateway_id",
    "position",
    "feed",
    "feed_propensity",
    "scenario",
    "market",
    "policy_revision",
    "policy_epoch",
    "explore",
    "subject_hash",
    "session_hash",
    "key_id",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_CLAIMS = (None,) * 11


def records_of(rows: Sequence[LedgerRow]) -> Iterator[tuple[Any, ...]]:
    """One tuple per row, in the order of COLUMNS."""
    for ordinal, row in enumerate(rows):
        event = row.event
        yield (
            ordinal,
            *row.identity,
            event.kind,
            event.event_id,
            not event.unlearned,
            int(event.unlearned),
            row.implied,
            event.item_id or None,
            event.user_id or None,
            event.anonymous_id or None,
            event.session_id or None,
            event.value,
            event.properties.decode() if event.properties else None,
            None if event.occurred_at_us is None else _time(event.occurred_at_us),
            _time(row.received_at_us),
            int(row.durability),
            row.gateway_id,
            *_claims(row),
        )


def _claims(row: LedgerRow) -> tuple[Any, ...]:
    claims = row.event.claims
    if claims is None:
        return _NO_CLAIMS
    return (
        claims.position,
        claims.feed,
        claims.feed_propensity,
        claims.scenario,
        claims.market,
        claims.policy_revision,
        claims.policy_epoch,
        claims.explore,
        claims.subject_hash,
        claims.session_hash,
        claims.key_id,
    )


@lru_cache(maxsize=1024)
def _time(unix_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=unix_us)
