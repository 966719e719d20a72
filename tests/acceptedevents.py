"""Entries of accepted events for tests of the log."""

from uuid import UUID

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned


def claims(tenant_id: int = 1, posting: int = 7) -> Claims:
    return Claims(
        tenant_id=tenant_id,
        request_id=UUID("01999999-9999-7999-8999-999999999999"),
        posting=posting,
        position=3,
        feed=2,
        feed_propensity=0.25,
        scenario=1,
        market=0,
        policy_revision=5,
        policy_epoch=1_790_000_000,
        explore=False,
        subject_hash=b"subject.",
        session_hash=b"session.",
        key_id=1,
    )


def entry(tenant_id: int = 1, mark: str = "a", events: int = 1) -> Entry:
    """An entry that says `mark` as its gateway."""
    event = AcceptedEvent(
        kind=2, unlearned=Unlearned.LEARNED, claims=claims(tenant_id), user_id="u-1", session_id="s-1"
    )
    return Entry(
        tenant_id=tenant_id,
        received_at_us=1_790_000_000_000_000,
        gateway_id=mark,
        durability=Durability.EVERYSEC,
        events=(event,) * events,
    )
