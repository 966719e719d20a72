"""Every count that is known, at sixteen bytes each: sorted keys and numbers, hour by hour.

What a count is of is told by two small numbers, the posting's row and a code for the rest, which few counts
have of their own; nearly all that changes is of the last hours, so only those are moved to make room.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from nearcast_bandit.arrays import Booleans, Integers
from nearcast_store.counting.counted import CountColumns

_HALF = 32
_LOW = 2**_HALF - 1
_SMALL = 2**15
_MARKET = 17
_SPARE_SHARE = 8
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Counts of one hour by row, market, kind and position: what they are, or what they have grown by.

    `places` says where they stand in the columns they were learned from.
    """

    bucket: int
    rows: Integers
    markets: Integers
    kinds: Integers
    positions: Integers
    counts: Integers
    places: Integers


class Countbook:
    """Rows are numbered from 1 as postings come, and keep their number."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        # By row; there is no row 0.
        self.postings: list[int] = [0]
        self._sides, self._codes = _Codes(), _Codes()
        self._hours: dict[int, _Hour] = {}

    def __len__(self) -> int:
        return sum(hour.size for hour in self._hours.values())

    @property
    def size_bytes(self) -> int:
        """Of the counts."""
        return sum(hour.size_bytes for hour in self._hours.values())

    def everything(self) -> Iterator[Lines]:
        """All counts."""
        for bucket, hour in self._hours.items():
            yield self._lines(bucket, *hour.all(), _NONE)

    @property
    def buckets(self) -> list[int]:
        """The hours of which there is something."""
        return list(self._hours)

    def hour(self, bucket: int) -> Lines:
        """All counts of one hour."""
        hour = self._hours.get(bucket)
        return self._lines(bucket, *((_NONE, _NONE) if hour is None else hour.all()), _NONE)

    def take(self, columns: CountColumns) -> Iterator[Lines]:
        """Put absolute counts in the place of what was known, hour by hour; what they have changed by."""
        if not len(columns):
            return
        keys = self._rows_of(columns.postings) << _HALF | self._codes_of(columns)
        # Where a key comes twice the last one is meant, so the order must be kept.
        order = np.lexsort((keys, columns.buckets))
        buckets, keys = columns.buckets[order], keys[order]
        last = np.flatnonzero(np.append((buckets[1:] != buckets[:-1]) | (keys[1:] != keys[:-1]), True))
        order, buckets, keys = order[last], buckets[last], keys[last]
        hours, starts = np.unique(buckets, return_index=True)
        for bucket, start, end in zip(hours.tolist(), starts, [*starts[1:], order.size], strict=True):
            places = order[start:end]
            yield self._put(bucket, keys[start:end], columns.counts[places], places)

    def _put(self, bucket: int, keys: Integers, counts: Integers, places: Integers) -> Lines:
        hour = self._hours.setdefault(bucket, _Hour())
        grown = counts - hour.exchange(keys, counts)
        if not hour.filled:
            del self._hours[bucket]
        moved = grown != 0
        return self._lines(bucket, keys[moved], grown[moved], places[moved])

    def _lines(self, bucket: int, keys: Integers, counts: Integers, places: Integers) -> Lines:
        codes = self._codes.values[keys & _LOW]
        markets = self._sides.values[codes >> _HALF] >> _MARKET
        kinds, positions = (codes >> 16 & 0xFFFF) - _SMALL, (codes & 0xFFFF) - _SMALL
        return Lines(bucket, keys >> _HALF, markets, kinds, positions, counts, places)

    def _rows_of(self, postings: Integers) -> Integers:
        wanted = postings.tolist()
        found = np.fromiter(map(self.rows.get, wanted, repeat(0)), np.int64, len(wanted))
        missing = np.flatnonzero(found == 0)
        for place in missing.tolist():
            found[place] = self._row_of(wanted[place])
        return found

    def _row_of(self, posting: int) -> int:
        row = self.rows.setdefault(posting, len(self.postings))
        if row == len(self.postings):
            self.postings.append(posting)
        return row

    def _codes_of(self, columns: CountColumns) -> Integers:
        sides = columns.markets << _MARKET | (columns.feeds + _SMALL) << 1 | columns.explores
        code = (columns.kinds + _SMALL) << 16 | columns.position_buckets + _SMALL
        return self._codes.of(self._sides.of(sides) << _HALF | code)


class _Codes:
    """A small number for each of the different values that there are."""

    def __init__(self) -> None:
        self.values = _NONE
        self._sorted, self._order = _NONE, _NONE

    def of(self, values: Integers) -> Integers:
        """Their numbers, from 0; the same value has the same for ever."""
        places = np.searchsorted(self._sorted, values)
        if not _match(self._sorted, places, values).all():
            self.values = np.append(self.values, np.setdiff1d(values, self.values))
            self._order = np.argsort(self.values)
            self._sorted = self.values[self._order]
            places = np.searchsorted(self._sorted, values)
        return self._order[places]


class _Hour:
    """Keys in their order, each with its count; some room is left behind them."""

    def __init__(self) -> None:
        self._keys, self._counts = _NONE, _NONE
        self.size = 0
        self.filled = 0  # how many are not 0

    @property
    def size_bytes(self) -> int:
        return self._keys.nbytes + self._counts.nbytes

    def all(self) -> tuple[Integers, Integers]:
        """Keys and counts."""
        return self._keys[: self.size], self._counts[: self.size]

    def exchange(self, keys: Integers, counts: Integers) -> Integers:
        """Keep these counts of keys that are in order and differ; what they were before."""
        known = self._keys[: self.size]
        places = np.searchsorted(known, keys)
        found = _match(known, places, keys)
        before = np.zeros(keys.size, np.int64)
        before[found] = self._counts[places[found]]
        self._counts[places[found]] = counts[found]
        self.filled += int(np.count_nonzero(counts)) - int(np.count_nonzero(before))
        new = ~found & (counts != 0)
        if new.any():
            self._insert(places[new], keys[new], counts[new])
        return before

    def _insert(self, places: Integers, keys: Integers, counts: Integers) -> None:
        first, size = int(places[0]), self.size + keys.size
        if size > self._keys.size:
            spare = np.empty(size + size // _SPARE_SHARE - self._keys.size, np.int64)
            self._keys, self._counts = np.append(self._keys, spare), np.append(self._counts, spare)
        for column, values in ((self._keys, keys), (self._counts, counts)):
            column[first:size] = np.insert(column[first : self.size], places - first, values)
        self.size = size


def _match(known: Integers, places: Integers, values: Integers) -> Booleans:
    """Whether the values stand where a search says they would."""
    if not known.size:
        return np.zeros(values.size, np.bool)
    return np.equal(known[np.minimum(places, known.size - 1)], values)
