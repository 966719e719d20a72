"""The numbers that stand for names in a segment: only added to, so a number never changes its meaning."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from nearcast_catalogue.hours import DAY_MINUTES, WEEK_MINUTES, WeeklyHours, minute_of_week
from nearcast_replica.layout import MOST_NAMES

Name = TypeVar("Name", bound=Hashable)
SECONDS_PER_MINUTE = 60
MOST_REMEMBERED = 1000


class TooManyNamesError(Exception):
    """More different categories, markets or opening hours than a segment can number."""


class Dictionary(Generic[Name]):
    """Names and their numbers, in the order in which they came."""

    def __init__(self, names: Iterable[Name] = (), most: int | None = None) -> None:
        self._most = most
        self._names: list[Name] = []
        self._numbers: dict[Name, int] = {}
        for name in names:
            self.number(name)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> Sequence[Name]:
        """All of them, by number."""
        return self._names

    def find(self, name: Name) -> int | None:
        """The number of a name that is known."""
        return self._numbers.get(name)

    def number(self, name: Name) -> int:
        """The number of a name, a new one if need be."""
        found = self._numbers.get(name)
        if found is None:
            found = len(self._names)
            if found == self._most:
                raise TooManyNamesError(f"more than {self._most} different names in one column")
            self._names.append(name)
            self._numbers[name] = found
        return found


class Dictionaries:
    """All dictionaries of a segment. Opening hours have number 0 for an item that is always open."""

    def __init__(
        self,
        categories: Iterable[str] = (),
        tags: Iterable[str] = (),
        markets: Iterable[int] = (),
        hours: Iterable[WeeklyHours | None] = (None,),
    ) -> None:
        self.categories = Dictionary(categories, MOST_NAMES)
        self.tags = Dictionary(tags)
        self.markets = Dictionary(markets, MOST_NAMES)
        self.hours = Dictionary(hours, MOST_NAMES)
        self._settled = (-1, 0)
        self._open: NDArray[np.uint8] = np.ones(1, np.uint8)
        self._memo: dict[Hashable, Any] = {}

    def memo_at(self, now: float) -> dict[Hashable, Any]:
        """What was worked out from these dictionaries; forgotten once a minute, and when a name is new."""
        size = len(self.categories) + len(self.tags) + len(self.markets) + len(self.hours)
        settled = (int(now // SECONDS_PER_MINUTE), size)
        if settled != self._settled or len(self._memo) > MOST_REMEMBERED:
            self._memo.clear()
            self._open = _open_at(self.hours.names, now)
            self._settled = settled
        return self._memo

    def open_at(self, now: float) -> NDArray[np.uint8]:
        """Which opening hours are open, by number."""
        self.memo_at(now)
        return self._open


def _open_at(hours: Sequence[WeeklyHours | None], now: float) -> NDArray[np.uint8]:
    clocks: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []
    for number, entry in enumerate(hours):
        if entry is None:
            continue
        clock = clocks.get(entry.time_zone)
        if clock is None:
            clock = clocks[entry.time_zone] = minute_of_week(entry.time_zone, now)
        rows += [
            (
                number,
                clock - each.day * DAY_MINUTES - each.opens_minute,
                each.closes_minute - each.opens_minute,
            )
            for each in entry.intervals
        ]
    is_open = np.zeros(len(hours), np.uint8)
    if rows:
        owners, since, lasting = np.array(rows, np.int64).T
        is_open[owners[since % WEEK_MINUTES < lasting]] = 1
    is_open[[number for number, entry in enumerate(hours) if entry is None]] = 1
    return is_open
