"""From a posting or an item id to its slot: open addressing in tables that lie in the segment."""

import zlib
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from nearcast_replica.layout import Array, Segment

_GOLDEN = 0x9E37_79B9_7F4A_7C15
_MASK = 2**64 - 1

Hashes = NDArray[np.uint64]


def table_size(entries: int) -> int:
    """A power of two that leaves at least a third of the table free."""
    return 1 << max(entries + entries // 2, 16).bit_length()


def id_hash(item_id: bytes) -> int:
    """What the id table goes by."""
    return zlib.crc32(item_id)


def owner_hash(owner: str) -> int:
    """What stands for an owner: of a million, two share one with a chance of one in forty million."""
    return int.from_bytes(blake2b(owner.encode(), digest_size=8).digest(), "little") if owner else 0


def insert_all(table: Array, hashes: Hashes, first_slot: int = 0) -> None:
    """Enter the slots from `first_slot` on, one for each hash, into a table that nobody reads yet."""
    slots = np.arange(first_slot + 1, first_slot + 1 + hashes.size, dtype=np.uint32)
    spots = _homes(hashes, table.size)
    while slots.size:
        free = table[spots] == 0
        table[spots[free]] = slots[free]
        lost = table[spots] != slots
        slots, spots = slots[lost], (spots[lost] + 1) & (table.size - 1)


def insert(table: Array, hashed: int, slot: int) -> None:
    """Enter one slot; one aligned store, so that others may read meanwhile."""
    spot = _home(hashed, table.size)
    while table[spot]:
        spot = (spot + 1) & (table.size - 1)
    table[spot] = slot + 1


def slot_of_posting(segment: Segment, posting: int) -> int | None:
    """The last slot that a posting got, dead or alive."""
    postings = segment["posting"]
    held = [slot for slot in _run(segment["posting_table"], posting & _MASK) if postings[slot] == posting]
    return max(held, default=None)


def slots_of_postings(segment: Segment, wanted: Array) -> NDArray[np.int64]:
    """As `slot_of_posting` for many at once; -1 for a posting that never got one."""
    table, postings = segment["posting_table"], segment["posting"]
    found = np.full(wanted.size, -1, np.int64)
    spots = _homes(wanted.astype(np.int64).view(np.uint64), table.size)
    left = np.arange(wanted.size)
    while left.size:
        entries = table[spots].astype(np.int64) - 1
        left, spots, entries = left[entries >= 0], spots[entries >= 0], entries[entries >= 0]
        held = postings[entries] == wanted[left]
        found[left[held]] = np.maximum(found[left[held]], entries[held])
        spots = (spots + 1) & (table.size - 1)
    return found


def postings_of_ids(segment: Segment, item_ids: Iterable[str]) -> set[int]:
    """Every life that items of these ids have had in the segment."""
    postings, found = segment["posting"], set()
    for item_id in item_ids:
        raw = item_id.encode()
        for slot in _run(segment["id_table"], id_hash(raw)):
            if id_of(segment, slot) == raw:
                found.add(int(postings[slot]))
    return found


def slot_of_id(segment: Segment, item_id: str) -> int | None:
    """The last slot that an item id got, dead or alive."""
    raw = item_id.encode()
    held = [slot for slot in _run(segment["id_table"], id_hash(raw)) if id_of(segment, slot) == raw]
    return max(held, default=None)


def id_of(segment: Segment, slot: int) -> bytes:
    """The item id of a slot, in UTF-8."""
    begin = int(segment["cold_offset"][slot])
    return segment.cold[begin : begin + int(segment["id_length"][slot])].tobytes()


def message_of(segment: Segment, slot: int) -> bytes:
    """The display message of a slot."""
    begin = int(segment["cold_offset"][slot])
    end = begin + int(segment["cold_length"][slot])
    return segment.cold[begin + int(segment["id_length"][slot]) : end].tobytes()


def _run(table: Array, hashed: int) -> list[int]:
    found, spot = [], _home(hashed, table.size)
    while entry := int(table[spot]):
        found.append(entry - 1)
        spot = (spot + 1) & (table.size - 1)
    return found


def _home(hashed: int, size: int) -> int:
    return (hashed * _GOLDEN & _MASK) >> (65 - size.bit_length())


def _homes(hashes: Hashes, size: int) -> NDArray[np.int64]:
    return ((hashes * np.uint64(_GOLDEN)) >> np.uint64(65 - size.bit_length())).astype(np.int64)
