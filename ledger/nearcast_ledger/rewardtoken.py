"""The signed proof that an item, or a slate of them, was served: sent back with what the person did."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from nearcast_ledger.claims import Claims
from nearcast_ledger.keyring import Keyring
from nearcast_ledger.postings import most_packed_bytes, pack_postings, unpack_postings
from nearcast_ledger.requestid import uuid_of
from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars
from nearcast_ledger.seen import MOST_SLATE_ITEMS

if TYPE_CHECKING:
    from nearcast_ledger.pressing import Press

# Version and flags, tenant, request id, posting, position, feed, feed propensity, scenario, market, policy
# revision, policy epoch, subject hash, session hash. With key id and tag 96 bytes: 128 characters, none idle.
_LAYOUT = Struct(">BI16sQHHdHIQQ8s8s")
# Of these, what differs between the items of a slate: posting and position.
_ITEM_AT, _ITEM = 1 + 4 + 16, Struct(">QH")
_VERSION = 1
_EXPLORE = 1
_PLAIN_HEAD = _VERSION << 4

REWARD_TOKEN_CHARS = sealed_chars(_LAYOUT.size)
_MOST_SLATE_CHARS = sealed_chars(_LAYOUT.size + most_packed_bytes(MOST_SLATE_ITEMS))


class RewardTokens:
    """Signs and verifies the reward tokens of one keyring, of single items and of slates."""

    def __init__(self, keyring: Keyring) -> None:
        self._seal = Seal(keyring, b"reward")
        self._slate_seal = Seal(keyring, b"slate")
        self._press: Press | None = None

    def sign(self, claims: Claims) -> str:
        """The token of a decision; its key id is the keyring's newest, whatever the claims say."""
        return self._seal.close(_packed(claims))

    def sign_items(self, first: Claims, postings: Iterable[int]) -> list[str]:
        """The token of each item of a slate; `first` says what they share, and the place of the first."""
        packed = _packed(first)
        head, tail = packed[:_ITEM_AT], packed[_ITEM_AT + _ITEM.size :]
        return self._seal.close_all(
            head + _ITEM.pack(posting, position) + tail
            for position, posting in enumerate(postings, start=first.position)
        )

    def load_press(self) -> "Press":
        """What writes many tokens by machine code, which is loaded or made; only where there is some."""
        if self._press is None:
            self._press = self._seal.press(_LAYOUT.size, _ITEM_AT, MOST_SLATE_ITEMS)
        return self._press

    def press_items(self, first: Claims, postings: Sequence[int]) -> int:
        """What `sign_items` gives, one behind the other, until the next call: where it stands in memory.

        Only where there is machine code; at most MOST_SLATE_ITEMS.
        """
        return self.load_press().write(_packed(first), postings, first.position)

    def sign_slate(self, first: Claims, postings: Sequence[int]) -> str:
        """The tokens of a whole slate in one; `first` is what its first item's own token says."""
        if not 1 <= len(postings) <= MOST_SLATE_ITEMS or postings[0] != first.posting:
            raise ValueError(
                f"a slate has 1 to {MOST_SLATE_ITEMS} postings and begins with that of its first item"
            )
        return self._slate_seal.close(_packed(first) + pack_postings(postings))

    def verify(self, text: str, tenant_id: int) -> Claims:
        """The decision of a token of this tenant; TokenInvalidError for any other text, however near."""
        if len(text) != REWARD_TOKEN_CHARS:
            raise TokenInvalidError
        return _unpacked(*self._seal.open(text, REWARD_TOKEN_CHARS), tenant_id)

    def verify_slate(self, text: str, tenant_id: int) -> tuple[Claims, ...]:
        """What the reward tokens of the slate's items say, in order; otherwise TokenInvalidError."""
        key_id, payload = self._slate_seal.open(text, _MOST_SLATE_CHARS)
        if len(payload) <= _LAYOUT.size:
            raise TokenInvalidError
        first = _unpacked(key_id, payload[: _LAYOUT.size], tenant_id)
        postings = unpack_postings(payload[_LAYOUT.size :])
        if not postings:
            raise TokenInvalidError
        return tuple(
            replace(first, posting=posting, position=first.position + place)
            for place, posting in enumerate(postings)
        )


def _packed(claims: Claims) -> bytes:
    if len(claims.subject_hash) != 8 or len(claims.session_hash) != 8:
        raise ValueError("subject_hash and session_hash must be 8 bytes each")
    return _LAYOUT.pack(
        _PLAIN_HEAD | (_EXPLORE if claims.explore else 0),
        claims.tenant_id,
        claims.request_id.bytes,
        claims.posting,
        claims.position,
        claims.feed,
        claims.feed_propensity,
        claims.scenario,
        claims.market,
        claims.policy_revision,
        claims.policy_epoch,
        claims.subject_hash,
        claims.session_hash,
    )


def _unpacked(key_id: int, payload: bytes, tenant_id: int) -> Claims:
    head, tenant, request_id, *decision = _LAYOUT.unpack(payload)
    if head & ~_EXPLORE != _PLAIN_HEAD or tenant != tenant_id:
        raise TokenInvalidError
    return _claims(key_id, tenant, uuid_of(request_id), head & _EXPLORE == _EXPLORE, decision)


def _claims(key_id: int, tenant_id: int, request_id: UUID, explore: bool, decision: list[Any]) -> Claims:
    posting, position, feed, propensity, scenario, market, revision, epoch, subject, session = decision
    return Claims(
        tenant_id=tenant_id,
        request_id=request_id,
        posting=posting,
        position=position,
        feed=feed,
        feed_propensity=propensity,
        scenario=scenario,
        market=market,
        policy_revision=revision,
        policy_epoch=epoch,
        explore=explore,
        subject_hash=subject,
        session_hash=session,
        key_id=key_id,
    )
