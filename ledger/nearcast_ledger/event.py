"""What an event is once a gateway has accepted it."""

from collections.abc import Sequence
from enum import IntEnum
from uuid import UUID

from msgspec import Struct

from nearcast_ledger.claims import Claims


class Durability(IntEnum):
    """What an accepted event has survived; the numbers are the wire's."""

    MEMORY = 1
    EVERYSEC = 2
    FSYNC = 3
    REPLICATED = 4


class Unlearned(IntEnum):
    """Why an event is stored and not learned from; the numbers are kept in the ledger for ever."""

    LEARNED = 0
    TOKEN_MISSING = 1
    TOKEN_INVALID = 2
    TOKEN_EXPIRED = 3
    TOKEN_SUBJECT = 4


class AcceptedEvent(Struct, frozen=True, gc=False):
    """One event with its verified claims; age and trust were judged at the gateway, once.

    With claims it is identified by them, also when it is not learned from; without, by its event id.
    """

    kind: int
    unlearned: Unlearned
    claims: Claims | None = None
    event_id: UUID | None = None
    item_id: str = ""
    user_id: str = ""
    anonymous_id: str = ""
    session_id: str = ""
    occurred_at_us: int | None = None
    value: float | None = None
    properties: bytes = b""
    dwell_ms: int | None = None


class Entry(Struct, frozen=True):
    """One accepted sub-batch: what one append carries, all or nothing."""

    tenant_id: int
    received_at_us: int
    gateway_id: str
    durability: Durability
    events: Sequence[AcceptedEvent]
