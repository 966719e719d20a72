"""Served items as the index keeps them: packed, and unpacked once for as long as they stay the same."""

import msgspec

from nearcast_catalogue.item import ServedItem
from nearcast_store.errors import StoreError

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ServedItem)


class UnreadableItemError(StoreError):
    """The bytes of an item in the index are no item."""


def pack(served: ServedItem) -> bytes:
    """The bytes that the index holds; fields may be added, and an older reader skips them."""
    return _encoder.encode(served)


def unpack(raw: bytes) -> ServedItem:
    """Raises UnreadableItemError."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableItemError(f"{error}; `nearcast rebuild redis` writes the index anew") from error


class UnpackedItems:
    """Remembers what bytes unpacked to; right however old, because the bytes are compared each time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[int, int], tuple[bytes, ServedItem]] = {}

    def unpack(self, tenant_id: int, posting: int, raw: bytes) -> ServedItem | None:
        """The item; None when the bytes are no item."""
        known = self._known.get((tenant_id, posting))
        if known is not None and known[0] == raw:
            return known[1]
        try:
            served = unpack(raw)
        except UnreadableItemError:
            return None
        if len(self._known) >= self._most:
            self._known.pop(next(iter(self._known)))
        self._known[tenant_id, posting] = (raw, served)
        return served
