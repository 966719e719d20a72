"""How a segment lies in one buffer: which columns there are, of what, how wide, and where each begins.

A segment holds the items of one tenant. Each item (each life of one: a posting) has a *slot*; each place
of an item has a *row*. Rows up to `shape.sorted_rows` are sorted by (reach class, latitude band, longitude)
and found through the band index; what comes later is appended behind them, the *tail*, in any order, and is
scanned whole. The rows of an item that reaches by an area are sorted by the middle of that area instead of
their own place, and by its size instead of a reach.

Who may change what, while others read:

- A row or slot never changes once it is published, except two things, each one aligned store: `expires`
  becomes DEAD, and a word of `stats` is replaced (A and B of one kind, both float32, A in the low half).
- Any other change of an item is a new slot and new rows in the tail, with the flag REPLACES. Pools and cold
  bytes first, then the slot, then its rows; then `state[STATE_SLOTS]` and `state[STATE_ROWS]` are moved on,
  all rows of an item at once; only then the old slot dies. So a reader that looks at the sorted rows first,
  and last at the tail until it finds it ended, sees the item at the old or the new place, perhaps at both,
  never at neither; of two slots of one posting the one in the tail (the later one) counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from nearcast_geo.reach import BUCKETS

ALIGNMENT = 64
BAND_DEGREES = 0.01
BANDS = 18_001
# Degrees, north and south or east and west, from the middle of an area to its end.
AREA_SPANS = (0.05, 0.25, 1.0, 4.0, 180.0)
FIRST_AREA_CLASS = 1 + len(BUCKETS)
CLASSES = FIRST_AREA_CLASS + len(AREA_SPANS)
# Squared, more than the diameter of the unit sphere, in 32 bits too.
ANY_CHORD2 = 5.0

# Whole unix seconds: expiries are rounded up, starts down, so that the exact times decide at most one second.
DEAD = 0
LATEST = 2**32 - 2
NEVER = 2**32 - 1

# Bits of `flags`.
SEVERAL_PLACES = 1
OWN_REACH = 2
REPLACES = 4
OWN_AREA = 8

TAG_BUCKETS = 64
MOST_NAMES = 2**16

# Words of `state`: what is published, the last change that is in it, how much is used of what is only
# appended to (entries of the pools, bytes of names and of the cold file), and by which rules statistics were
# derived: that word stays as it was when the generation was first served.
STATE_ROWS = 0
STATE_SLOTS = 1
STATE_SEQUENCE = 2
STATE_TAG_POOL = 3
STATE_PLACE_POOL = 4
STATE_NAMES = 5
STATE_COLD = 6
STATE_RULES = 7
STATE_WORDS = 8

# Numbers of a class in `classes`: its bands are `first_band` and on, `band_count` of them; the rows of band i
# begin at `band_starts[offset + i]` and end where the next begin; there is one start more than bands.
CLASS_FIRST_BAND = 0
CLASS_BAND_COUNT = 1
CLASS_OFFSET = 2
CLASS_WORDS = 4

Array = npt.NDArray[Any]


class Scope(Enum):
    """What a column has one entry for."""

    ROW = "row"
    SLOT = "slot"
    STAT = "stat"  # kind and slot: all slots of the first kind, then all of the second
    TAIL = "tail"  # row behind the sorted ones
    BAND = "band"
    CLASS = "class"
    STATE = "state"
    TAG_POOL = "tag pool"
    PLACE_POOL = "place pool"
    ID_TABLE = "id table"
    POSTING_TABLE = "posting table"


class Heat(Enum):
    """Whether every candidate reads it, or only the few that need it."""

    HOT = "hot"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class Column:
    """One array of a segment."""

    name: str
    dtype: str
    scope: Scope
    heat: Heat = Heat.WARM


COLUMNS = (
    Column("state", "i8", Scope.STATE, Heat.HOT),
    Column("classes", "i8", Scope.CLASS, Heat.HOT),
    Column("band_starts", "i4", Scope.BAND, Heat.HOT),
    # A place: the longitude in degrees that it is sorted by, its unit vector, and whose it is.
    Column("lon", "f4", Scope.ROW, Heat.HOT),
    Column("x", "f4", Scope.ROW, Heat.HOT),
    Column("y", "f4", Scope.ROW, Heat.HOT),
    Column("z", "f4", Scope.ROW, Heat.HOT),
    Column("row_slot", "i4", Scope.ROW, Heat.HOT),
    # An item. Numbers of a category, market, tag or opening hours are those of the segment's dictionaries;
    # opening hours 0 = always; bit (number mod TAG_BUCKETS) of the mask is set for each tag; tag_ref points
    # at a count in the tag pool, with so many tag numbers behind it.
    Column("posting", "i8", Scope.SLOT, Heat.HOT),
    Column("tag_mask", "u8", Scope.SLOT, Heat.HOT),
    Column("expires", "u4", Scope.SLOT, Heat.HOT),
    Column("starts", "u4", Scope.SLOT, Heat.HOT),
    Column("tag_ref", "u4", Scope.SLOT, Heat.HOT),
    Column("category", "u2", Scope.SLOT, Heat.HOT),
    Column("market", "u2", Scope.SLOT, Heat.HOT),
    Column("hours", "u2", Scope.SLOT, Heat.HOT),
    Column("flags", "u2", Scope.SLOT, Heat.HOT),
    Column("stats", "u8", Scope.STAT, Heat.HOT),
    # What decides when a hot column is too coarse.
    Column("row_lat", "f8", Scope.ROW),
    Column("row_lon", "f8", Scope.ROW),
    Column("row_place", "u1", Scope.ROW),
    # Squared chord of the item's own reach, a margin added; below zero for an item without.
    Column("tail_chord2", "f4", Scope.TAIL),
    # The reach in metres, NaN = none, infinity = an area; unix seconds, minus and plus infinity = always.
    Column("reach_m", "f8", Scope.SLOT),
    Column("born_at", "f8", Scope.SLOT),
    Column("starts_at", "f8", Scope.SLOT),
    Column("expires_at", "f8", Scope.SLOT),
    Column("version", "i8", Scope.SLOT),
    # In the cold bytes: the item id in UTF-8, and its display message behind it, cold_length bytes in all.
    Column("cold_offset", "u8", Scope.SLOT),
    Column("cold_length", "u4", Scope.SLOT),
    Column("id_length", "u2", Scope.SLOT),
    Column("id_hash", "u4", Scope.SLOT),
    # A hash of whose it is (module `lookup`), 0 = nobody's.
    Column("owner", "u8", Scope.SLOT),
    # Only for an item of several places or with an area: points at a count in the place pool, with latitude
    # and longitude of each place behind it, and then the outline of the area.
    Column("place_ref", "u4", Scope.SLOT),
    Column("tag_pool", "u4", Scope.TAG_POOL),
    Column("place_pool", "f8", Scope.PLACE_POOL),
    # Open addressing with linear probing (module `lookup`): slot + 1, 0 = free; the highest slot counts.
    Column("id_table", "u4", Scope.ID_TABLE),
    Column("posting_table", "u4", Scope.POSTING_TABLE),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many there are of everything, room for the tail included; fixed for the life of a buffer.

    `kinds` are the numbers of the kinds of event that have statistics; table sizes are powers of two.
    """

    rows: int
    sorted_rows: int
    slots: int
    kinds: tuple[int, ...]
    band_starts: int
    tag_pool: int
    place_pool: int
    id_table: int
    posting_table: int

    def count(self, scope: Scope) -> int:
        """How many entries a column of this scope has."""
        counts = {
            Scope.ROW: self.rows,
            Scope.SLOT: self.slots,
            Scope.STAT: self.slots * len(self.kinds),
            Scope.TAIL: self.rows - self.sorted_rows,
            Scope.BAND: self.band_starts,
            Scope.CLASS: CLASSES * CLASS_WORDS,
            Scope.STATE: STATE_WORDS,
            Scope.TAG_POOL: self.tag_pool,
            Scope.PLACE_POOL: self.place_pool,
            Scope.ID_TABLE: self.id_table,
            Scope.POSTING_TABLE: self.posting_table,
        }
        return counts[scope]


def offsets(shape: Shape) -> tuple[Mapping[str, int], int]:
    """Where each column begins, and how many bytes all of them take."""
    found, end = {}, 0
    for column in COLUMNS:
        found[column.name] = end
        size = shape.count(column.scope) * np.dtype(column.dtype).itemsize
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return found, end


def size_bytes(shape: Shape) -> int:
    """How large a buffer must be."""
    return offsets(shape)[1]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """The columns of one tenant as views of one buffer; `cold` are bytes of their own.

    Whoever made the buffer owns it; the arrays are read-only where it is. `addresses` are those of COLUMNS.
    """

    shape: Shape
    buffer: Array
    cold: npt.NDArray[np.uint8]
    columns: Mapping[str, Array] = field(repr=False)
    addresses: Array = field(repr=False)

    def __getitem__(self, name: str) -> Array:
        """The column of that name."""
        return self.columns[name]

    @property
    def rows(self) -> int:
        """How many rows are published."""
        return int(self.columns["state"][STATE_ROWS])

    @property
    def slots(self) -> int:
        """How many slots are published."""
        return int(self.columns["state"][STATE_SLOTS])


def segment_over(buffer: Array, shape: Shape, cold: npt.NDArray[np.uint8]) -> Segment:
    """The segment that lies in this buffer of bytes, which must be aligned to ALIGNMENT."""
    begins, size = offsets(shape)
    flat = buffer.reshape(-1).view(np.uint8)
    if flat.size < size:
        raise ValueError(f"the buffer has {flat.size} bytes; the segment needs {size}")
    columns = {}
    for column in COLUMNS:
        dtype, count = np.dtype(column.dtype), shape.count(column.scope)
        begin = begins[column.name]
        columns[column.name] = flat[begin : begin + count * dtype.itemsize].view(dtype)
    columns["stats"] = columns["stats"].reshape(len(shape.kinds), shape.slots)
    columns["classes"] = columns["classes"].reshape(CLASSES, CLASS_WORDS)
    addresses = np.array([columns[column.name].ctypes.data for column in COLUMNS], np.int64)
    return Segment(shape, flat, cold, columns, addresses)


def allocate(size: int) -> npt.NDArray[np.uint8]:
    """Zeroed bytes in memory of this process, aligned to ALIGNMENT."""
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    begin = -raw.ctypes.data % ALIGNMENT
    return raw[begin : begin + size]
