"""Requests as a careless or hostile client makes them: any message of the contract, from its descriptor."""

import math
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from tests.geojsons import polygon

DEEPEST = 6
# Of a hundred values of a message, how many are of the wild kind: some messages are nearly right.
WILDNESS = (0, 2, 10, 60)
_ALLOWED = string.ascii_letters + string.digits + "._~-"
_NOW = int(time.time())
_UUID7 = (_NOW * 1000) << 80 | 7 << 76 | 2 << 62

_SQUARE = [(10.0, 59.0), (11.0, 59.0), (11.0, 60.0), (10.0, 60.0)]
_HERE, _ACROSS = polygon(_SQUARE), polygon([(170.0, -80.0), (-170.0, -80.0), (-170.0, 80.0), (170.0, 80.0)])
_HOLED = polygon(_SQUARE, [(10.4, 59.4), (10.6, 59.4), (10.6, 59.6), (10.4, 59.6)])

wild_doubles = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 90.0, -90.0, 180.0, -180.0, 5000.0, 1e5, 1e9]),
    st.sampled_from([math.nan, math.inf, -math.inf, 5e-324, 1e308, -1e308]),
    st.floats(-180.0, 180.0),
    st.floats(),
)
wild_texts = st.one_of(
    st.sampled_from(
        ["", "\0", "a\0b", "\u202e", "\r\n", "🙂" * 70, "..", "' or 1=1 --", "%s{0}$1", "\uffff"]
    ),
    st.sampled_from(["https://[::1", "javascript:x", "../../etc/passwd", "Europe/Atlantis", "*"]),
    st.sampled_from(["a" * 128, "a" * 129, "é" * 301, "x" * 5000]),
    st.text(_ALLOWED, max_size=12),
    st.text(max_size=20),
)
# Values that keep the rules, by the name of the field.
TAME: Mapping[str, st.SearchStrategy[Any]] = {
    "latitude": st.floats(59.8, 60.0),
    "longitude": st.floats(10.6, 10.9),
    "radius_m": st.sampled_from([100.0, 5000.0, 100_000.0]),
    "reach_m": st.sampled_from([1.0, 4000.0, 500_000.0]),
    "relevance": st.floats(0.0, 1.0),
    "value": st.floats(0.0, 1e9),
    "number_value": st.floats(allow_nan=False, allow_infinity=False),
    "limit": st.integers(0, 200),
    "page_size": st.integers(0, 2000),
    "version": st.integers(0, 9),
    "day": st.integers(1, 7),
    "opens_minute": st.integers(0, 700),
    "closes_minute": st.integers(701, 2880),
    "seconds": st.integers(_NOW - 86_400, _NOW + 100),
    "nanos": st.integers(0, 999_999_999),
    "kind": st.sampled_from(["impression", "view", "save", "apply"]),
    "scenario": st.sampled_from(["", "default"]),
    "event_id": st.builds(lambda random: str(UUID(int=_UUID7 | random)), st.integers(0, 2**62 - 1)),
    "page_token": st.just(""),
    "reward_token": st.just(""),
    "etag": st.just(""),
    "url": st.sampled_from(["", "https://example.org/a?b=c#d"]),
    "image_url": st.sampled_from(["", "http://example.org"]),
    "time_zone": st.sampled_from(["UTC", "Europe/Oslo"]),
    "market": st.just(""),
    "geometry": st.sampled_from([_HERE, _ACROSS, _HOLED]),
    "polygon": st.sampled_from(["", _HERE, _ACROSS, _HOLED]),
    "reach_area": st.sampled_from(["", "", "", _HERE, _ACROSS]),
    "paths": st.sampled_from(["title", "item_id", "locations", "*"]),
}
# Times that must lie after others.
LATER = ("expires_at",)
_TAME_TEXTS: st.SearchStrategy[str] = st.text(_ALLOWED, min_size=1, max_size=10)


def wild_integers(bits: int) -> st.SearchStrategy[int]:
    """Whole numbers of a signed type, its ends more often than chance has it."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    ends = [0, 1, -1, 10**9, low, high, -62_135_596_801, 253_402_300_799, 253_402_300_800]
    return st.one_of(st.sampled_from([end for end in ends if low <= end <= high]), st.integers(low, high))


def wild_sizes(bits: int) -> st.SearchStrategy[int]:
    """The same of an unsigned type."""
    ends = [0, 1, 10**9, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1]
    return st.one_of(st.sampled_from(ends), st.integers(0, 2**bits - 1))


@dataclass(frozen=True)
class Maker:
    """Fills messages. `known` holds texts that mean something to the server, by the name of their field."""

    draw: st.DrawFn
    known: Mapping[str, list[str]]
    wildness: int

    def message(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """A message of this type."""
        made = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            rarer = (depth // 2 if field.message_type else 0) + (2 if field.containing_oneof else 0)
            if depth < DEEPEST and self.draw(st.integers(0, 7 + 8 * rarer)) < 7:
                self._fill(made, field, depth)
        return made

    def _fill(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        held = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            self._fill_map(held, dict(field.message_type.fields_by_name)["value"], depth)
        elif field.is_repeated:
            for _ in range(self.draw(st.integers(1, 3))):
                held.append(self._value(field, depth))
        elif field.message_type:
            held.CopyFrom(self._value(field, depth))
        else:
            setattr(message, field.name, self._value(field, depth))

    def _fill_map(self, entries: Any, value: FieldDescriptor, depth: int) -> None:
        for _ in range(self.draw(st.integers(0, 3))):
            key = self.draw(wild_texts if self._is_wild() else _TAME_TEXTS)
            if value.message_type:
                entries[key].CopyFrom(self._value(value, depth))
            else:
                entries[key] = self._value(value, depth)

    def _value(self, field: FieldDescriptor, depth: int) -> Any:
        if field.name in LATER and not self._is_wild():
            return Timestamp(seconds=_NOW + 86_400)
        if field.message_type:
            return self.message(field.message_type, depth + 1)
        if self._is_wild():
            return self.draw(_wild(field))
        meant = self.known.get(field.name)
        if meant and self.draw(st.booleans()):
            return self.draw(st.sampled_from(meant))
        return self.draw(_tame(field))

    def _is_wild(self) -> bool:
        return self.draw(st.integers(0, 99)) < self.wildness


_WILD: Mapping[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_DOUBLE: wild_doubles,
    FieldDescriptor.CPPTYPE_INT32: wild_integers(32),
    FieldDescriptor.CPPTYPE_ENUM: wild_integers(32),
    FieldDescriptor.CPPTYPE_INT64: wild_integers(64),
    FieldDescriptor.CPPTYPE_UINT32: wild_sizes(32),
    FieldDescriptor.CPPTYPE_UINT64: wild_sizes(64),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_STRING: wild_texts,
}


def _wild(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.one_of(st.binary(max_size=40), st.just(b"\xff" * 1000))
    return _WILD[field.cpp_type]


def _tame(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    named = TAME.get(field.name)
    parent = field.containing_type
    if named is not None and parent is not None and not parent.GetOptions().map_entry:
        return named
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(min_size=1, max_size=2)
        case FieldDescriptor.CPPTYPE_STRING:
            return _TAME_TEXTS
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return st.floats(0.0, 1.0)
        case _:
            return st.integers(0, 1)


@st.composite
def requests(draw: st.DrawFn, descriptor: Descriptor, known: Mapping[str, list[str]]) -> Message:
    """Any message of this type."""
    return Maker(draw, known, draw(st.sampled_from(WILDNESS))).message(descriptor)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes after a few accidents."""
    raw = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(raw)))
        match draw(st.integers(0, 4)):
            case 0 if place < len(raw):
                raw[place] ^= 1 << draw(st.integers(0, 7))
            case 1 if place < len(raw):
                raw[place] = draw(st.sampled_from([0x00, 0x7F, 0x80, 0xFF]))
            case 2:
                del raw[place : place + draw(st.integers(1, 16))]
            case 3:
                raw[place:place] = raw[place : place + draw(st.integers(1, 64))]
            case _:
                raw[place:place] = draw(st.binary(min_size=1, max_size=12))
    return bytes(raw)
