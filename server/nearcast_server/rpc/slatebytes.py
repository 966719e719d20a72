"""The items of a slate from the replica, as bytes, in one call of machine code instead of Python for each.

Equal to what `RecommendedItems` writes. Compiled functions stand in one file, which is all that is looked at
to tell whether what was kept of them is still right.
"""

from enum import IntEnum
from struct import Struct

import numpy as np

from nearcast.v1 import recommend_pb2
from nearcast_compiling.memory import (
    address_of,
    fixed,
    load_f8,
    load_i4,
    load_i8,
    load_u1,
    load_u2,
    load_u4,
    store_f8,
    store_u1,
)
from nearcast_compiling.native import compiled, compiled_entry
from nearcast_ledger.pagetoken import MAX_SERVED
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS
from nearcast_replica.layout import Segment
from nearcast_replica.query import Found
from nearcast_replica.registers import WORLD
from nearcast_server.rpc.answers import tag_of

_FIRST_BYTES = 64 << 10
_MOST_BYTES = 64 << 20
_NO_ROOM, _ASTRAY = -1, -2
_DOUBLE_BYTES = 8
_FIELDS = ("item_id", "item", "distance_m", "score", "rank", "location_index", "reward_token")


class Sheet(IntEnum):
    """What the machine code is told: addresses, sizes, and what stands before the value of each field."""

    SLOTS = 0
    DISTANCES = 1
    SCORES = 2
    PLACES = 3
    OUT = 4
    OUT_BYTES = 5
    OFFSETS = 6
    LENGTHS = 7
    ID_LENGTHS = 8
    COLD = 9
    COLD_BYTES = 10
    COUNT = 11
    RANK = 12
    TOKENS = 13
    TOKEN_CHARS = 14
    ITEMS_TAG = 15
    ID_TAG = 16
    DISPLAY_TAG = 17
    DISTANCE_TAG = 18
    SCORE_TAG = 19
    RANK_TAG = 20
    PLACE_TAG = 21
    TOKEN_TAG = 22
    WORDS = 23


_ASKED = Struct("<3q")


@compiled
def _width(number: int) -> int:
    """How many bytes a number takes."""
    width = 1
    while number > 127:
        number >>= 7
        width += 1
    return width


@compiled
def _put_number(out: int, at: int, tag: int, number: int) -> int:
    """A field that is a number, or that begins with its length; where the next byte goes."""
    store_u1(out, at, tag)
    at += 1
    while number > 127:
        store_u1(out, at, number & 127 | 128)
        number >>= 7
        at += 1
    store_u1(out, at, number)
    return at + 1


@compiled
def _put_double(out: int, at: int, tag: int, number: float) -> int:
    store_u1(out, at, tag)
    store_f8(out + at + 1, 0, number)
    return at + 1 + _DOUBLE_BYTES


@compiled
def _put_bytes(out: int, at: int, source: int, size: int) -> int:
    for byte in range(size):
        store_u1(out, at + byte, load_u1(source, byte))
    return at + size


@compiled
def _put_item(sheet: int, place: int, at: int) -> int:
    """One item behind the others; where the next begins, or why it cannot be written."""
    out, slot = fixed(sheet, Sheet.OUT), load_i4(fixed(sheet, Sheet.SLOTS), place)
    begin = load_i8(fixed(sheet, Sheet.OFFSETS), slot)
    name = load_u2(fixed(sheet, Sheet.ID_LENGTHS), slot)
    display = load_u4(fixed(sheet, Sheet.LENGTHS), slot) - name
    if display < 0 or begin < 0 or begin + name + display > fixed(sheet, Sheet.COLD_BYTES):
        return _ASTRAY
    rank, index = fixed(sheet, Sheet.RANK) + place, load_u1(fixed(sheet, Sheet.PLACES), place)
    chars, cold = fixed(sheet, Sheet.TOKEN_CHARS), fixed(sheet, Sheet.COLD) + begin
    size = 7 + 2 * _DOUBLE_BYTES + name + display + chars
    size += _width(name) + _width(display) + _width(rank) + _width(index) + _width(chars)
    if at + 1 + _width(size) + size > fixed(sheet, Sheet.OUT_BYTES):
        return _NO_ROOM
    at = _put_number(out, at, fixed(sheet, Sheet.ITEMS_TAG), size)
    at = _put_number(out, at, fixed(sheet, Sheet.ID_TAG), name)
    at = _put_bytes(out, at, cold, name)
    at = _put_number(out, at, fixed(sheet, Sheet.DISPLAY_TAG), display)
    at = _put_bytes(out, at, cold + name, display)
    at = _put_double(out, at, fixed(sheet, Sheet.DISTANCE_TAG), load_f8(fixed(sheet, Sheet.DISTANCES), place))
    at = _put_double(out, at, fixed(sheet, Sheet.SCORE_TAG), load_f8(fixed(sheet, Sheet.SCORES), place))
    at = _put_number(out, at, fixed(sheet, Sheet.RANK_TAG), rank)
    at = _put_number(out, at, fixed(sheet, Sheet.PLACE_TAG), index)
    at = _put_number(out, at, fixed(sheet, Sheet.TOKEN_TAG), chars)
    return _put_bytes(out, at, fixed(sheet, Sheet.TOKENS) + place * chars, chars)


@compiled_entry
def _put_items(sheet: int) -> int:
    """All of them; how many bytes they take, or why they cannot be written."""
    at = 0
    for place in range(fixed(sheet, Sheet.COUNT)):
        at = _put_item(sheet, place, at)
        if at < 0:
            return at
    return at


class SlateBytes:
    """Copies items from the cold bytes of a segment into memory of its own: not for two threads at once."""

    def __init__(self) -> None:
        self._slots = np.zeros(MAX_SERVED, np.int32)
        self._distances, self._scores = np.zeros(MAX_SERVED), np.zeros(MAX_SERVED)
        self._places = np.zeros(MAX_SERVED, np.uint8)
        self._sheet = np.zeros(Sheet.WORDS, np.int64)
        self._asked = self._sheet.data.cast("B")
        self._segment: Segment | None = None
        for register, array in (
            (Sheet.SLOTS, self._slots),
            (Sheet.DISTANCES, self._distances),
            (Sheet.SCORES, self._scores),
            (Sheet.PLACES, self._places),
        ):
            self._sheet[register] = address_of(array)
        self._sheet[Sheet.TOKEN_CHARS] = REWARD_TOKEN_CHARS
        self._sheet[Sheet.ITEMS_TAG :] = _tags()
        self._address = address_of(self._sheet)
        self._make_room(_FIRST_BYTES)
        _put_items(self._address)

    def of(self, segment: Segment, found: Found, rank: int, tokens: int) -> bytes | None:
        """The items found, ranked from there on; `tokens` is where their reward tokens stand.

        None when the segment does not hold them, or they are too large.
        """
        if segment is not self._segment:
            self._open(segment)
        count = len(found.slots)
        self._slots[:count], self._places[:count] = found.slots, found.places
        self._distances[:count], self._scores[:count] = found.distances_m, found.scores
        _ASKED.pack_into(self._asked, 8 * Sheet.COUNT, count, rank, tokens)
        size = _put_items(self._address)
        while size == _NO_ROOM and self._out.size < _MOST_BYTES:
            self._make_room(4 * self._out.size)
            size = _put_items(self._address)
        return self._view[:size].tobytes() if size >= 0 else None

    def _open(self, segment: Segment) -> None:
        for register, column in (
            (Sheet.OFFSETS, "cold_offset"),
            (Sheet.LENGTHS, "cold_length"),
            (Sheet.ID_LENGTHS, "id_length"),
        ):
            self._sheet[register] = segment.addresses[WORLD[column]]
        self._sheet[Sheet.COLD], self._sheet[Sheet.COLD_BYTES] = address_of(segment.cold), segment.cold.size
        self._segment = segment

    def _make_room(self, size: int) -> None:
        self._out = np.zeros(size, np.uint8)
        self._view = self._out.data
        self._sheet[Sheet.OUT], self._sheet[Sheet.OUT_BYTES] = address_of(self._out), size


def _tags() -> list[int]:
    tags = [tag_of(recommend_pb2.RecommendResponse, "items")]
    tags += [tag_of(recommend_pb2.RecommendedItem, name) for name in _FIELDS]
    assert all(len(tag) == 1 for tag in tags)
    return [tag[0] for tag in tags]
