"""The signed proof that an item was served: what a client sends back with what the person did."""

from struct import Struct
from typing import Any
from uuid import UUID

from nearcast_ledger.claims import Claims
from nearcast_ledger.keyring import Keyring
from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars

# Version and flags, tenant, request id, posting, position, feed, feed propensity, scenario, market, policy
# revision, policy epoch, subject hash, session hash. With key id and tag 96 bytes: 128 characters, none idle.
_LAYOUT = Struct(">BI16sQHHdHIQQ8s8s")
_VERSION = 1
_EXPLORE = 1
_PLAIN_HEAD = _VERSION << 4

REWARD_TOKEN_CHARS = sealed_chars(_LAYOUT.size)


class RewardTokens:
    """Signs and verifies the reward tokens of one keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._seal = Seal(keyring, b"reward")

    def sign(self, claims: Claims) -> str:
        """The token of a decision; its key id is the keyring's newest, whatever the claims say."""
        if len(claims.subject_hash) != 8 or len(claims.session_hash) != 8:
            raise ValueError("subject_hash and session_hash must be 8 bytes each")
        return self._seal.close(
            _LAYOUT.pack(
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
        )

    def verify(self, text: str, tenant_id: int) -> Claims:
        """The decision of a token of this tenant; TokenInvalidError for any other text, however near."""
        if len(text) != REWARD_TOKEN_CHARS:
            raise TokenInvalidError
        key_id, payload = self._seal.open(text, REWARD_TOKEN_CHARS)
        head, tenant, request_id, *decision = _LAYOUT.unpack(payload)
        if head & ~_EXPLORE != _PLAIN_HEAD or tenant != tenant_id:
            raise TokenInvalidError
        return _claims(key_id, tenant, UUID(bytes=request_id), head & _EXPLORE == _EXPLORE, decision)


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
