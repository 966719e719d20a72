"""Opaque text that only its maker can make: payload, key id and a keyed tag, bound to one purpose."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING

from nearcast_ledger.keyring import Keyring

if TYPE_CHECKING:
    from nearcast_ledger.pressing import Press

_TAG_BYTES = 16
_PURPOSE_BYTES = 11
# Keeps tags apart from every other hash that is keyed with the same secret.
_DOMAIN = b"seal:"
_TO_URL = bytes.maketrans(b"+/", b"-_")
# What stands for itself in other alphabets, or for padding, is foreign here.
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/\0\0\0")


class TokenInvalidError(Exception):
    """The token was not made by this server for this tenant and purpose, was changed, or has expired."""

    def __init__(self) -> None:
        super().__init__("the token was not made for this use, was changed, or has expired")


class Seal:
    """Closes and opens tokens of one purpose; what was closed for another purpose does not open.

    Text: URL-safe base64 without padding over key id (1 byte), payload, tag (16 bytes, keyed BLAKE2b).
    """

    def __init__(self, keyring: Keyring, purpose: bytes) -> None:
        if not 1 <= len(purpose) <= _PURPOSE_BYTES or b"\0" in purpose:
            raise ValueError(f"purpose must be 1 to {_PURPOSE_BYTES} bytes without NUL, got {purpose!r}")
        # Copying a started hash spares the key block of every single token.
        self._started = {
            key.key_id: blake2b(digest_size=_TAG_BYTES, key=key.secret, person=_DOMAIN + purpose)
            for key in keyring.keys
        }
        self._secret, self._person = keyring.signing_key.secret, _DOMAIN + purpose
        self._prefix = bytes([keyring.signing_key.key_id])
        self._signing = self._started[keyring.signing_key.key_id]

    def close(self, payload: bytes) -> str:
        """The token of a payload, under the newest key."""
        return _encode(self._closed(payload))

    def close_all(self, payloads: Iterable[bytes]) -> list[str]:
        """The tokens of payloads of one length; written as one text and cut where none has bits left over."""
        tokens = [self._closed(payload) for payload in payloads]
        if not tokens or len(tokens[0]) % 3:
            return [_encode(token) for token in tokens]
        text, chars = _encode(b"".join(tokens)), len(tokens[0]) // 3 * 4
        return [text[start : start + chars] for start in range(0, len(text), chars)]

    def _closed(self, payload: bytes) -> bytes:
        body = self._prefix + payload
        tag = self._signing.copy()
        tag.update(body)
        return body + tag.digest()

    def press(self, payload_bytes: int, posting_at: int, most: int) -> "Press":
        """Closes at most so many payloads at once that differ in a posting and the position behind it."""
        from nearcast_ledger.pressing import Press  # noqa: PLC0415 - needs numba

        return Press(self._secret, self._person, self._prefix, payload_bytes, posting_at, most)

    def open(self, text: str, max_chars: int) -> tuple[int, bytes]:
        """Key id and payload of a token; whatever is wrong with it, TokenInvalidError says the same."""
        token = _decode(text, max_chars)
        body, tag = token[:-_TAG_BYTES], token[-_TAG_BYTES:]
        started = self._started.get(body[0]) if body else None
        if started is None:
            raise TokenInvalidError
        expected = started.copy()
        expected.update(body)
        if not compare_digest(expected.digest(), tag):
            raise TokenInvalidError
        return body[0], body[1:]


def sealed_chars(payload_bytes: int) -> int:
    """Length of the token of a payload that long."""
    return -(-(1 + payload_bytes + _TAG_BYTES) * 4 // 3)


def _encode(token: bytes) -> str:
    return b2a_base64(token, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def _decode(text: str, max_chars: int) -> bytes:
    if len(text) > max_chars:
        raise TokenInvalidError
    missing = -len(text) % 4
    try:
        encoded = text.encode("ascii").translate(_FROM_URL)
        token = a2b_base64(encoded + b"=" * missing if missing else encoded)
    except ValueError:
        raise TokenInvalidError from None
    # One text per token: foreign characters are left out and make it shorter, and nothing else can be wrong
    # with one that fills its last byte; others may have bits left over.
    if len(token) != len(text) * 3 // 4 or (missing and _encode(token) != text):
        raise TokenInvalidError
    return token
