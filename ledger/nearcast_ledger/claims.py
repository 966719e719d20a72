"""What a reward token says: the decision that showed one item at one place."""

from uuid import UUID

from msgspec import Struct

UNKNOWN_HASH = bytes(8)


class Claims(Struct, frozen=True, gc=False):
    """Every field becomes a ledger column; numbers stand for the tenant's slugs."""

    tenant_id: int
    request_id: UUID
    posting: int
    position: int
    feed: int
    feed_propensity: float
    scenario: int
    market: int
    policy_revision: int
    policy_epoch: int
    explore: bool
    subject_hash: bytes
    session_hash: bytes
    key_id: int = 0
