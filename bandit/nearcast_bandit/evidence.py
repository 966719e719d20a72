"""The evidence of many postings in constant space each: a cache of what `exposure` derives from buckets.

The share of an hour's impressions that counts is the difference of two exponentials of its age, so closed
hours are two decayed sums per posting (one of them per kind), whatever their number. Hours that are still
running are held apart, because the stretch they are spread over still grows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.exposure import ExposureRule, attention, mean_left

Lines = int | Integers
"""One number, or one for each of many lines."""

_FIRST_CAPACITY = 1024
_POSITIONS_KNOWN = 256


@dataclass(slots=True, eq=False)
class _Hour:
    """What was counted in one hour that has not ended: by row, and by kind and row."""

    shown: Floats
    succeeded: Floats


class EvidenceTable:
    """E and S of every row and kind; counts are added as they come, in any order, also for hours long past.

    The rules, one for each kind, differ at most in how long successes take. `hour` is the one that runs now:
    what lies before it is summed at once, so only few hours are ever held apart.
    """

    def __init__(self, rules: Sequence[ExposureRule], hour: int) -> None:
        if len({(rule.position_curve, rule.half_life_hours) for rule in rules}) > 1:
            raise ValueError("the rules of all kinds must share position_curve and half_life_hours")
        self._rules = tuple(rules)
        self._decay = rules[0].decay_per_hour if rules else 0.0
        self._unripe_rates = np.array([rule.unripe_per_hour for rule in rules])
        positions = np.arange(_POSITIONS_KNOWN)
        self._attention = attention(rules[0], positions) if rules else np.ones(_POSITIONS_KNOWN)
        self._hour = hour
        self.clear()

    @property
    def open_hours(self) -> tuple[int, ...]:
        """The hours held apart."""
        return tuple(self._open)

    def clear(self) -> None:
        """Forget everything."""
        self._size = 0
        self._kept = np.zeros(_FIRST_CAPACITY)
        self._unripe = np.zeros((len(self._rules), _FIRST_CAPACITY))
        self._succeeded = np.zeros((len(self._rules), _FIRST_CAPACITY))
        self._open: dict[int, _Hour] = {}
        self._left: dict[int, tuple[float, Floats]] = {}

    def add_impressions(self, rows: Lines, bucket: int, positions: Lines, counts: Lines) -> None:
        """Count impressions of rows in an hour at positions (from 1); a negative count takes back."""
        self._reach(rows)
        shown = counts * self._attention[np.clip(positions, 0, _POSITIONS_KNOWN - 1)]
        hour = self._open_hour(bucket)
        if hour is not None:
            np.add.at(hour.shown, rows, shown)
            return
        kept, unripe = self._factors(bucket)
        np.add.at(self._kept, rows, shown * kept)
        for kind, left in enumerate(unripe):
            np.add.at(self._unripe[kind], rows, shown * left)

    def add_successes(self, rows: Lines, bucket: int, kind: int, counts: Lines) -> None:
        """Count successes of a kind, by the hour of the impressions they are due to."""
        self._reach(rows)
        hour = self._open_hour(bucket)
        if hour is not None:
            np.add.at(hour.succeeded[kind], rows, counts)
        else:
            np.add.at(self._succeeded[kind], rows, counts * self._factors(bucket)[0])

    def at(self, now_hours: float) -> tuple[Floats, Floats]:
        """E and S by kind and row at that time; a time before the last one asked for is read as that."""
        self._advance(math.floor(now_hours))
        hour = max(now_hours, self._hour)
        passed = hour - self._hour
        kept = math.exp(-self._decay * passed)
        unripe = _fading(self._unripe_rates, passed)[:, None]
        exposures = self._kept[: self._size] * kept - self._unripe[:, : self._size] * unripe
        successes = self._succeeded[:, : self._size] * kept
        for bucket, counted in self._open.items():
            kept, left = self._factors_at(bucket, hour)
            exposures += counted.shown[: self._size] * (kept - left)[:, None]
            successes += counted.succeeded[:, : self._size] * kept
        return np.maximum(exposures, 0.0), np.maximum(successes, 0.0)

    def _open_hour(self, bucket: int) -> _Hour | None:
        """Where an hour that has not ended is counted; None for one that has."""
        if bucket < self._hour:
            return None
        hour = self._open.get(bucket)
        if hour is None:
            capacity = self._kept.size
            hour = self._open[bucket] = _Hour(np.zeros(capacity), np.zeros((len(self._rules), capacity)))
        return hour

    def _factors(self, bucket: int) -> tuple[float, Floats]:
        """How much of an ended hour is left at the table's own hour; remembered until that moves on."""
        factors = self._left.get(bucket)
        if factors is None:
            factors = self._left[bucket] = self._factors_at(bucket, float(self._hour))
        return factors

    def _factors_at(self, bucket: int, hour: float) -> tuple[float, Floats]:
        one = np.array([bucket])
        unripe = np.array([mean_left(float(rate), one, hour)[0] for rate in self._unripe_rates])
        return float(mean_left(self._decay, one, hour)[0]), unripe

    def _advance(self, hour: int) -> None:
        """Move the table's hour on and close what has ended by then."""
        if hour <= self._hour:
            return
        passed = hour - self._hour
        self._kept *= math.exp(-self._decay * passed)
        self._succeeded *= math.exp(-self._decay * passed)
        self._unripe *= _fading(self._unripe_rates, passed)[:, None]
        self._hour, self._left = hour, {}
        for bucket in [bucket for bucket in self._open if bucket < hour]:
            counted = self._open.pop(bucket)
            kept, unripe = self._factors(bucket)
            self._kept += counted.shown * kept
            self._unripe += counted.shown * unripe[:, None]
            self._succeeded += counted.succeeded * kept

    def _reach(self, rows: Lines) -> None:
        """Make room for rows."""
        self._size = max(self._size, int(np.max(rows)) + 1)
        if self._size <= self._kept.size:
            return
        more = max(self._kept.size, self._size - self._kept.size)
        self._kept, self._unripe = _wider(self._kept, more), _wider(self._unripe, more)
        self._succeeded = _wider(self._succeeded, more)
        for hour in self._open.values():
            hour.shown, hour.succeeded = _wider(hour.shown, more), _wider(hour.succeeded, more)


def _fading(rates: Floats, hours: float) -> Floats:
    """exp(-rate * hours); what fades at once is gone even after no time."""
    faded: Floats = np.where(np.isinf(rates), 0.0, np.exp(-np.where(np.isinf(rates), 0.0, rates) * hours))
    return faded


def _wider(columns: Floats, more: int) -> Floats:
    return np.concatenate((columns, np.zeros((*columns.shape[:-1], more))), axis=-1)
