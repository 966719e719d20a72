"""Where a list by distance goes on: behind the last item shown."""

from struct import Struct
from struct import error as struct_error

import msgspec

from nearcast_ledger.keyring import Keyring
from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars

_LAYOUT = Struct(">BI16sQdd")
_VERSION = 1
_MAX_ITEM_ID_BYTES = 512
_MAX_CHARS = sealed_chars(_LAYOUT.size + _MAX_ITEM_ID_BYTES)


class NearbyCursor(msgspec.Struct, frozen=True):
    """`query_hash` is 16 bytes, `expires_ms` since the Unix epoch."""

    tenant_id: int
    query_hash: bytes
    expires_ms: int
    last_distance_m: float
    last_item_id: str
    radius_m: float


class NearbyCursors:
    """Signs and verifies the cursors of one keyring."""

    def __init__(self, keyring: Keyring) -> None:
        self._seal = Seal(keyring, b"nearby")

    def sign(self, cursor: NearbyCursor) -> str:
        """The text that asks for the next page."""
        item_id = cursor.last_item_id.encode()
        if len(cursor.query_hash) != 16 or len(item_id) > _MAX_ITEM_ID_BYTES:
            raise ValueError(f"query_hash must be 16 bytes and last_item_id at most {_MAX_ITEM_ID_BYTES}")
        head = _LAYOUT.pack(
            _VERSION,
            cursor.tenant_id,
            cursor.query_hash,
            cursor.expires_ms,
            cursor.last_distance_m,
            cursor.radius_m,
        )
        return self._seal.close(head + item_id)

    def verify(self, text: str, tenant_id: int, query_hash: bytes, now_ms: int) -> NearbyCursor:
        """The page of a cursor of this tenant and query, while it lasts; otherwise TokenInvalidError."""
        _, payload = self._seal.open(text, _MAX_CHARS)
        try:
            version, tenant, query, expires_ms, distance_m, radius_m = _LAYOUT.unpack_from(payload)
            item_id = payload[_LAYOUT.size :].decode()
        except (struct_error, UnicodeDecodeError):
            raise TokenInvalidError from None
        if version != _VERSION or tenant != tenant_id or query != query_hash or expires_ms < now_ms:
            raise TokenInvalidError
        return NearbyCursor(tenant, query, expires_ms, distance_m, item_id, radius_m)
