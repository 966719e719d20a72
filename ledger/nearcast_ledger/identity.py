"""What makes two reports the same event."""

from datetime import date
from typing import NamedTuple
from uuid import UUID

from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.kinds import IMPRESSION
from nearcast_ledger.requestid import identity_day


class Identity(NamedTuple):
    """The ledger's unique key; rows sorted by it are inserted without deadlocks."""

    tenant_id: int
    day: date
    origin_id: UUID
    posting: int
    identity_kind: int


def identity_of(tenant_id: int, event: AcceptedEvent) -> Identity:
    """By what the reward token says when there is one, learned from or not; otherwise by the event id."""
    if event.claims is not None:
        request_id = event.claims.request_id
        return Identity(tenant_id, identity_day(request_id), request_id, event.claims.posting, event.kind)
    if event.event_id is None:
        raise ValueError("an event needs claims or an event_id to be identified by, got neither")
    return Identity(tenant_id, identity_day(event.event_id), event.event_id, 0, 0)


def implied_impression(event: AcceptedEvent) -> AcceptedEvent | None:
    """The impression that a learned act proves; it has the identity the real one will collide with."""
    if event.claims is None or event.unlearned is not Unlearned.LEARNED or event.kind == IMPRESSION:
        return None
    return AcceptedEvent(
        kind=IMPRESSION,
        unlearned=Unlearned.LEARNED,
        claims=event.claims,
        item_id=event.item_id,
        user_id=event.user_id,
        anonymous_id=event.anonymous_id,
        session_id=event.session_id,
    )
