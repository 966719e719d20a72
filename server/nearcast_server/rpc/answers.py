"""Items of an answer, as bytes: what an item always says is copied, and what this answer says put behind it.

A message object for each item costs several times as much. Field numbers come from the contract, and what a
field of the contract says by being absent is written out here: readers see no difference.
"""

from collections.abc import Iterable
from struct import Struct

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from nearcast.v1 import recommend_pb2
from nearcast_catalogue.checking import MAX_PLACES
from nearcast_ledger.pagetoken import MAX_SERVED

_WIRE_TYPES = {
    FieldDescriptor.TYPE_BOOL: 0,
    FieldDescriptor.TYPE_INT32: 0,
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_STRING: 2,
    FieldDescriptor.TYPE_MESSAGE: 2,
}
_MOST_TOKEN_CHARS = 1024
_join = b"".join


def varint(number: int) -> bytes:
    """A number of at least 0."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_MOST_SHORT = 4096
_SHORT = [varint(number) for number in range(_MOST_SHORT)]


def length_of(count: int) -> bytes:
    """What stands before so many bytes."""
    return _SHORT[count] if count < _MOST_SHORT else varint(count)


def tag_of(message: type[Message], name: str) -> bytes:
    """What stands before a field's value; KeyError for a type that is not written here."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return varint(field.number << 3 | _WIRE_TYPES[field.type])


def _double(message: type[Message], name: str) -> bytes:
    """The field with its value left open, as a format of `Struct`."""
    return b"%dsd" % len(tag_of(message, name))


class _Items:
    """Items of one kind, which all begin alike."""

    def __init__(self, message: type[Message]) -> None:
        self._id_tag, self._display_tag = tag_of(message, "item_id"), tag_of(message, "item")

    def lead(self, item_id: bytes, display: bytes) -> bytes:
        """What is the same in every answer; `display` are the bytes of an Item."""
        return _join(
            (
                self._id_tag,
                length_of(len(item_id)),
                item_id,
                self._display_tag,
                length_of(len(display)),
                display,
            )
        )


class RecommendedItems(_Items):
    """The items of a RecommendResponse."""

    def __init__(self) -> None:
        message = recommend_pb2.RecommendedItem
        super().__init__(message)
        self._tag = tag_of(recommend_pb2.RecommendResponse, "items")
        self._distance, self._score = tag_of(message, "distance_m"), tag_of(message, "score")
        self._numbers = Struct(b"<" + _double(message, "distance_m") + _double(message, "score"))
        self._ranks = [tag_of(message, "rank") + varint(rank) for rank in range(MAX_SERVED + 1)]
        self._places = [tag_of(message, "location_index") + varint(place) for place in range(MAX_PLACES)]
        token_tag = tag_of(message, "reward_token")
        self._token_tags = [token_tag + varint(size) for size in range(_MOST_TOKEN_CHARS + 1)]
        self.pinned = tag_of(message, "pinned") + varint(1)

    def joined(self, placed: Iterable[tuple[bytes, int, float, int, float, str]]) -> bytes:
        """Of lead, rank, distance in metres, place, score and reward token each."""
        parts: list[bytes] = []
        tag, distance, number, pack, short = (
            self._tag,
            self._distance,
            self._score,
            self._numbers.pack,
            _SHORT,
        )
        ranks, places, token_tags = self._ranks, self._places, self._token_tags
        for lead, rank, distance_m, place, score, token in placed:
            proof = token.encode()
            numbers, token_tag = pack(distance, distance_m, number, score), token_tags[len(proof)]
            item = _join((lead, numbers, ranks[rank], places[place], token_tag, proof))
            size = len(item)
            parts += (tag, short[size] if size < _MOST_SHORT else varint(size), item)
        return _join(parts)


class NearbyItems(_Items):
    """The items of a NearbyResponse."""

    def __init__(self) -> None:
        message = recommend_pb2.NearbyItem
        super().__init__(message)
        self._tag = tag_of(recommend_pb2.NearbyResponse, "items")
        self._distance = tag_of(message, "distance_m")
        self._number = Struct(b"<" + _double(message, "distance_m"))
        self._places = [tag_of(message, "location_index") + varint(place) for place in range(MAX_PLACES)]

    def joined(self, listed: Iterable[tuple[bytes, float, int]]) -> bytes:
        """Of lead, distance in metres and place each."""
        parts: list[bytes] = []
        for lead, distance_m, place in listed:
            item = _join((lead, self._number.pack(self._distance, distance_m), self._places[place]))
            parts += (self._tag, length_of(len(item)), item)
        return _join(parts)
