"""What a visit keeps between calls: its own secret name and the feed probabilities it started with."""

from struct import Struct

import msgspec

from nearcast_ledger.keyring import Keyring
from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars

SESSION_LIFETIME_MS = 24 * 3_600_000

_LAYOUT = Struct(">BI16sQQ")
_VERSION = 1
_CHARS = sealed_chars(_LAYOUT.size)


class SessionToken(msgspec.Struct, frozen=True):
    """`session` is 16 bytes, `issued_ms` milliseconds since the Unix epoch."""

    tenant_id: int
    session: bytes
    policy_epoch: int
    issued_ms: int


class SessionTokens:
    """Signs and verifies the session tokens of one keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._seal = Seal(keyring, b"session")

    def sign(self, token: SessionToken) -> str:
        """The text a client sends with its next call."""
        if len(token.session) != 16:
            raise ValueError(f"session must be 16 bytes, got {len(token.session)}")
        return self._seal.close(
            _LAYOUT.pack(_VERSION, token.tenant_id, token.session, token.policy_epoch, token.issued_ms)
        )

    def verify(self, text: str, tenant_id: int, now_ms: int) -> SessionToken:
        """The visit of a token of this tenant, at most a day old; otherwise TokenInvalidError."""
        if len(text) != _CHARS:
            raise TokenInvalidError
        _, payload = self._seal.open(text, _CHARS)
        version, tenant, session, policy_epoch, issued_ms = _LAYOUT.unpack(payload)
        if version != _VERSION or tenant != tenant_id or now_ms - issued_ms > SESSION_LIFETIME_MS:
            raise TokenInvalidError
        return SessionToken(tenant, session, policy_epoch, issued_ms)
