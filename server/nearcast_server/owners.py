"""Whose an item is, read from where the replica keeps what is displayed of it."""

import numpy as np

from nearcast_replica.layout import Segment
from nearcast_replica.reading import Integers

# The number that `owner` has in the contract's Item.
OWNER_FIELD = 6
_MOST_KEPT = 100_000
_WIDTHS = {1: 8, 5: 4}


class Owners:
    """Remembers what it read: in the cold bytes of a segment nothing is ever written over."""

    def __init__(self) -> None:
        self._segment: Segment | None = None
        self._known: dict[int, str] = {}

    def of(self, segment: Segment, slots: Integers) -> list[str]:
        """The owner of each, "" for none."""
        if segment is not self._segment or len(self._known) > _MOST_KEPT:
            self._segment, self._known = segment, {}
        known, found = self._known, []
        for begin, slot in zip(segment["cold_offset"][slots].tolist(), slots.tolist(), strict=True):
            owner = known.get(begin)
            if owner is None:
                owner = known[begin] = _read(segment, begin, slot)
            found.append(owner)
        return found


def _read(segment: Segment, begin: int, slot: int) -> str:
    name, whole = int(segment["id_length"][slot]), int(segment["cold_length"][slot])
    return owner_in(np.asarray(segment.cold[begin + name : begin + whole]).tobytes())


def owner_in(message: bytes) -> str:
    """The owner that the bytes of an Item tell; "" for none, and for bytes that are no Item."""
    at, found = 0, b""
    try:
        while at < len(message):
            tag, at = _varint(message, at)
            wire = tag & 7
            if wire == 0:
                _, at = _varint(message, at)
            elif wire == 2:
                size, at = _varint(message, at)
                if tag >> 3 == OWNER_FIELD:
                    found = message[at : at + size]
                at += size
            else:
                at += _WIDTHS[wire]
        return found.decode()
    except (IndexError, KeyError, UnicodeDecodeError):
        return ""


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    number = shift = 0
    while message[at] > 127:
        number |= (message[at] & 127) << shift
        shift += 7
        at += 1
    return number | message[at] << shift, at + 1
