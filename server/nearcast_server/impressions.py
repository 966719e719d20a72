"""How often everything was shown: in all, and lately."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Integers
from nearcast_ledger.kinds import IMPRESSION
from nearcast_server.countbook import Countbook, Lines

_FIRST_CAPACITY = 1024
# The hour before this one, this one, and the next of whoever's clock is ahead.
_HOURS_KEPT = 3


@dataclass(frozen=True, slots=True, eq=False)
class Lately:
    """Impressions of the hour before this one and of this one so far, by row; `postings` are those of rows.

    Good until more is learned.
    """

    now_s: float
    postings: Sequence[int]
    before: Integers
    current: Integers


class Impressions:
    """Impressions by row of the book, of all times; what is given out stays as it is."""

    def __init__(self) -> None:
        self._counts = np.zeros(_FIRST_CAPACITY, np.int64)
        self._given: Integers | None = None

    def add(self, lines: Lines) -> None:
        """What counts have grown by."""
        shown = lines.kinds == IMPRESSION
        if shown.any():
            self._counts = _added(self._counts, lines.rows[shown], lines.counts[shown])
            self._given = None

    def so_far(self) -> Integers:
        """By row; the same until something is added."""
        if self._given is None:
            self._given = self._counts.copy()
        return self._given


class LastHours:
    """Impressions by row of the newest hours that the book has, kept up to date as it grows."""

    def __init__(self, book: Countbook) -> None:
        self._book = book
        self._hours: dict[int, Integers] = {}
        for bucket in sorted(book.buckets)[-_HOURS_KEPT:]:
            self.add(book.hour(bucket))

    def add(self, lines: Lines) -> None:
        """What counts have grown by; those of older hours are passed over."""
        shown = lines.kinds == IMPRESSION
        if not shown.any():
            return
        hours = self._hours
        if lines.bucket not in hours:
            if len(hours) >= _HOURS_KEPT and lines.bucket < min(hours):
                return
            hours[lines.bucket] = np.zeros(_FIRST_CAPACITY, np.int64)
        hours[lines.bucket] = _added(hours[lines.bucket], lines.rows[shown], lines.counts[shown])
        while len(hours) > _HOURS_KEPT:
            del hours[min(hours)]

    def lately(self, now_s: float) -> Lately:
        """Of this hour and the one before."""
        hour, size = int(now_s // 3600), len(self._book.postings)
        before, current = (_sized(self._hours.get(each), size) for each in (hour - 1, hour))
        return Lately(now_s, self._book.postings, before, current)


def _added(counts: Integers, rows: Integers, more: Integers) -> Integers:
    size = int(rows.max()) + 1
    if size > counts.size:
        counts = np.append(counts, np.zeros(max(counts.size, size - counts.size), np.int64))
    np.add.at(counts, rows, more)
    return counts


def _sized(counts: Integers | None, size: int) -> Integers:
    if counts is None:
        return np.zeros(size, np.int64)
    return counts[:size] if counts.size >= size else np.append(counts, np.zeros(size - counts.size, np.int64))
