"""Where a slate goes on: the same draw without what was served."""

from struct import Struct
from struct import error as struct_error
from typing import Any

import msgspec

from nearcast_ledger.keyring import Keyring
from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars

MAX_SERVED = 200

# Version and flags, tenant, query hash, expiry, seed, feed, feed propensity, policy revision, policy epoch,
# session, radius, rank offset, number of postings served; then 8 bytes for each of those.
_LAYOUT = Struct(">BI16sQQHdQQ16sdHB")
_POSTING_BYTES = 8
_VERSION = 1
_EXPLORE = 1
_PLAIN_HEAD = _VERSION << 4
_MAX_CHARS = sealed_chars(_LAYOUT.size + MAX_SERVED * _POSTING_BYTES)


class PageToken(msgspec.Struct, frozen=True):
    """`query_hash` and `session` are 16 bytes, `expires_ms` since the Unix epoch, `seed` below 2^64.

    `rank_offset` is the rank of the last item served, `served` the postings not to be shown again, at
    most 200.
    """

    tenant_id: int
    query_hash: bytes
    expires_ms: int
    seed: int
    feed: int
    feed_propensity: float
    explore: bool
    policy_revision: int
    policy_epoch: int
    session: bytes
    radius_used_m: float
    rank_offset: int
    served: tuple[int, ...]


class PageTokens:
    """Signs and verifies the page tokens of one keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._seal = Seal(keyring, b"page")

    def sign(self, token: PageToken) -> str:
        """The text that asks for the next page."""
        if len(token.served) > MAX_SERVED:
            raise ValueError(f"served must be at most {MAX_SERVED} postings, got {len(token.served)}")
        if len(token.query_hash) != 16 or len(token.session) != 16:
            raise ValueError("query_hash and session must be 16 bytes each")
        return self._seal.close(_packed(token))

    def verify(self, text: str, tenant_id: int, query_hash: bytes, now_ms: int) -> PageToken:
        """The page of a token of this tenant and query, while it lasts; otherwise TokenInvalidError."""
        _, payload = self._seal.open(text, _MAX_CHARS)
        token = _unpacked(payload)
        if token.tenant_id != tenant_id or token.query_hash != query_hash or token.expires_ms < now_ms:
            raise TokenInvalidError
        return token


def _packed(token: PageToken) -> bytes:
    return _LAYOUT.pack(
        _PLAIN_HEAD | (_EXPLORE if token.explore else 0),
        token.tenant_id,
        token.query_hash,
        token.expires_ms,
        token.seed,
        token.feed,
        token.feed_propensity,
        token.policy_revision,
        token.policy_epoch,
        token.session,
        token.radius_used_m,
        token.rank_offset,
        len(token.served),
    ) + _postings(len(token.served)).pack(*token.served)


def _unpacked(payload: bytes) -> PageToken:
    try:
        head, *fields, count = _LAYOUT.unpack_from(payload)
        served = _postings(count).unpack(payload[_LAYOUT.size :])
    except struct_error:
        raise TokenInvalidError from None
    if head & ~_EXPLORE != _PLAIN_HEAD:
        raise TokenInvalidError
    return _token(head & _EXPLORE == _EXPLORE, served, fields)


def _token(explore: bool, served: tuple[int, ...], fields: list[Any]) -> PageToken:
    tenant_id, query_hash, expires_ms, seed, feed, propensity, revision, epoch, session, radius_m, rank = (
        fields
    )
    return PageToken(
        tenant_id=tenant_id,
        query_hash=query_hash,
        expires_ms=expires_ms,
        seed=seed,
        feed=feed,
        feed_propensity=propensity,
        explore=explore,
        policy_revision=revision,
        policy_epoch=epoch,
        session=session,
        radius_used_m=radius_m,
        rank_offset=rank,
        served=served,
    )


def _postings(count: int) -> Struct:
    return Struct(f">{count}Q")
