"""The event id of a row that somebody else keeps: read again, it is the same event."""

from hashlib import blake2b
from uuid import UUID

from nearcast_ledger.requestid import uuid7

MOST_MS = (1 << 48) - 1
_BYTES = 10
_SPARE_BITS = 6
_ROW = b"nearcast row"


def source_event_id(source: str, row_id: str, time_ms: int) -> UUID:
    """A UUIDv7 of the row's time, in [0, MOST_MS]; the rest is a hash of source and row id."""
    name = source.encode()
    told = len(name).to_bytes(4) + name + row_id.encode(errors="surrogatepass")
    digest = blake2b(told, digest_size=_BYTES, person=_ROW).digest()
    return uuid7(time_ms, int.from_bytes(digest) >> _SPARE_BITS)
