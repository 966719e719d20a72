"""Keyed fingerprints: tokens and logs carry these instead of what they stand for."""

from hashlib import blake2b

from nearcast_ledger.claims import UNKNOWN_HASH

_SIZE = len(UNKNOWN_HASH)
_USER = b"nearcast user"
_ANONYMOUS = b"nearcast anon"
_SESSION = b"nearcast visit"
_QUERY = b"nearcast query"


def subject_hash(secret: bytes, user_id: str, anonymous_id: str) -> bytes:
    """8 bytes for a person, all zero when unknown; a user and a guest of one id differ."""
    if user_id:
        return _fingerprint(secret, _USER, user_id)
    if anonymous_id:
        return _fingerprint(secret, _ANONYMOUS, anonymous_id)
    return UNKNOWN_HASH


def session_hash(secret: bytes, session_id: str) -> bytes:
    """8 bytes for a visit, all zero when unknown."""
    return _fingerprint(secret, _SESSION, session_id) if session_id else UNKNOWN_HASH


def query_hash(secret: bytes, query: bytes) -> bytes:
    """16 bytes for a query in canonical form; keyed, so that nobody can guess the place back from it."""
    return blake2b(query, digest_size=16, key=secret, person=_QUERY).digest()


def _fingerprint(secret: bytes, domain: bytes, text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_SIZE, key=secret, person=domain).digest()
