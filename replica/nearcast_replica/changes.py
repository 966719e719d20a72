"""What a segment is told, and what it says of it."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from nearcast_catalogue.item import ServedItem


class SegmentChange(NamedTuple):
    """What the segment must hold of a posting from this sequence on; no item takes it out for good.

    `words` are its statistics, one for each kind of the segment; without them it goes on with those it has.
    """

    sequence: int
    posting: int
    served: ServedItem | None
    message: bytes = b""
    words: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """All changes up to `sequence` are published."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """Nothing was applied: a gap or a rollback asks for everything anew, what is full for a merge."""

    reason: Literal["gap", "rollback", "full"]
    expected: int
    found: int
