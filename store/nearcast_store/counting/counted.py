"""Many counts as columns: read from Postgres, sorted and learned without a look at each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from nearcast_store.counting.protocol import CountRow

Integers = npt.NDArray[np.int64]

# An array as Postgres sends it: dimensions, null flag, type, length and first index; then each element behind
# its own length.
_HEAD_BYTES = 20
_WIDTHS = (8, 4, 2, 4, 2, 2, 1, 8)
_ELEMENTS = [np.dtype([("bytes", ">i4"), ("value", f">i{width}")]) for width in _WIDTHS]


@dataclass(frozen=True, slots=True, eq=False)
class CountColumns(Sequence[CountRow]):
    """A sequence of rows, of which none exists before it is asked for."""

    postings: Integers
    markets: Integers
    kinds: Integers
    buckets: Integers
    position_buckets: Integers
    feeds: Integers
    explores: Integers
    counts: Integers

    @classmethod
    def of(cls, rows: Iterable[CountRow]) -> "CountColumns":
        """The same counts."""
        if isinstance(rows, CountColumns):
            return rows
        table = np.array(list(rows), dtype=np.int64).reshape(-1, len(_WIDTHS))
        return cls(*table.T)

    @classmethod
    def received(cls, sent: Iterable[Iterable[bytes | None]]) -> "CountColumns":
        """What `array_send` made of each column, one portion after the other."""
        portions = [_unpacked(portion) for portion in sent]
        return cls(*(np.concatenate(column) for column in zip(*portions, strict=True)))

    def latest(self, after: CountRow | None) -> "CountColumns":
        """Of each key the last count, in the order of keys, and only behind the key of that row."""
        words = _words(self)
        behind = np.arange(len(self)) if after is None else np.flatnonzero(_above(words, after))
        if not behind.size:
            return self.take(behind)
        order = behind[np.lexsort([word[behind] for word in reversed(words)])]
        same = np.logical_and.reduce([word[order[1:]] == word[order[:-1]] for word in words])
        return self.take(order[np.append(~same, True)])

    def take(self, places: Integers | slice) -> "CountColumns":
        """Only these, in that order."""
        return CountColumns(*(column[places] for column in self._columns()))

    def __len__(self) -> int:
        return self.postings.size

    @overload
    def __getitem__(self, index: int) -> CountRow: ...
    @overload
    def __getitem__(self, index: slice) -> "CountColumns": ...
    def __getitem__(self, index: int | slice) -> "CountRow | CountColumns":
        if isinstance(index, slice):
            return self.take(index)
        posting, market, kind, bucket, position, feed, explore, count = (
            int(column[index]) for column in self._columns()
        )
        return CountRow(posting, market, kind, bucket, position, feed, bool(explore), count)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def _columns(self) -> tuple[Integers, ...]:
        return (
            *(self.postings, self.markets, self.kinds, self.buckets),
            *(self.position_buckets, self.feeds, self.explores, self.counts),
        )


def _unpacked(portion: Iterable[bytes | None]) -> list[Any]:
    return [
        np.empty(0, np.int64)
        if raw is None
        else np.frombuffer(raw, element, offset=_HEAD_BYTES)["value"].astype(np.int64)
        for raw, element in zip(portion, _ELEMENTS, strict=True)
    ]


def _words(columns: CountColumns) -> tuple[Integers, Integers, Integers]:
    """The key in three numbers, that sort as its columns do: those after the first share two."""
    buckets = columns.buckets + 2**31
    middle = columns.markets << 24 | (columns.kinds + 2**15) << 8 | buckets >> 24
    low = (buckets & 0xFFFFFF) << 33 | (columns.position_buckets + 2**15) << 17
    return columns.postings, middle, low | (columns.feeds + 2**15) << 1 | columns.explores


def _above(words: Sequence[Integers], row: CountRow) -> npt.NDArray[np.bool]:
    posting, middle, low = (int(word[0]) for word in _words(CountColumns.of([row])))
    rest = (words[1] > middle) | ((words[1] == middle) & (words[2] > low))
    above: npt.NDArray[np.bool] = (words[0] > posting) | ((words[0] == posting) & rest)
    return above
