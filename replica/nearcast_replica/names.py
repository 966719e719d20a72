"""The names of a segment's dictionaries as bytes behind its columns, which its writer appends to."""

from collections.abc import Iterator
from typing import Any

import msgspec

from nearcast_catalogue.hours import WeeklyHours
from nearcast_replica.dictionaries import Dictionaries, Dictionary

_LENGTH_BYTES = 4
_encoder = msgspec.msgpack.Encoder()

# What the first number of a record says it is.
_KINDS: tuple[tuple[str, Any], ...] = (
    ("categories", str),
    ("tags", str),
    ("markets", int),
    ("hours", WeeklyHours | None),
)
_decoders = [msgspec.msgpack.Decoder(kind) for _, kind in _KINDS]


class NamesRead:
    """Dictionaries that are brought up to date from the bytes, however far these have grown."""

    def __init__(self) -> None:
        self.dictionaries = Dictionaries(hours=())
        self.end = 0

    def bring_to(self, names: memoryview, end: int) -> Dictionaries:
        """Read what is new."""
        while self.end < end:
            begin = self.end + _LENGTH_BYTES
            self.end = begin + int.from_bytes(names[self.end : begin], "little")
            kind = names[begin]
            _dictionary(self.dictionaries, kind).number(_decoders[kind].decode(names[begin + 1 : self.end]))
        return self.dictionaries


class NamesWritten:
    """How much of the dictionaries is in the bytes already."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        self._dictionaries = dictionaries
        self._counts = [0] * len(_KINDS)

    def note_written(self) -> None:
        """Every name is in the bytes now."""
        self._counts = [len(_dictionary(self._dictionaries, kind)) for kind in range(len(_KINDS))]

    def missing(self) -> bytes:
        """The bytes of the names that are not there yet."""
        return b"".join(self._records())

    def _records(self) -> Iterator[bytes]:
        for kind, written in enumerate(self._counts):
            for name in _dictionary(self._dictionaries, kind).names[written:]:
                body = bytes([kind]) + _encoder.encode(name)
                yield len(body).to_bytes(_LENGTH_BYTES, "little") + body


def _dictionary(dictionaries: Dictionaries, kind: int) -> Dictionary[Any]:
    found: Dictionary[Any] = getattr(dictionaries, _KINDS[kind][0])
    return found
