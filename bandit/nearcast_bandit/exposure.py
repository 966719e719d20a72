"""Effective exposures and successes, derived from hourly integer counts for any rule.

    E = sum of impressions * attention(position) * F(age) * 2**(-age / half-life)
    S = sum of successes * 2**(-age / half-life)
    F(age) = 1 - exp(-age / mean delay)

Impressions are taken to be spread evenly over their hour, or over the part of it that has passed: every
factor is its mean over that stretch, so the hour that is still running counts from its first minute. Both
sums decay with the impression, so a late success never outweighs the exposure that earned it.
"""

import math
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers


@dataclass(frozen=True, slots=True)
class ExposureRule:
    """How impressions become evidence.

    An empty `position_curve` counts every impression in full: right when impressions are reported only
    for what came on screen (mode `seen`). With a curve (mode `pbm`) position 1 counts its first value,
    and the last value goes on. A mean delay of 0 means that successes come at once; a half-life of 0 or
    infinity forgets nothing.
    """

    position_curve: tuple[float, ...] = ()
    maturity_mean_hours: float = 0.0
    half_life_hours: float = 0.0

    def __post_init__(self) -> None:
        for position, share in enumerate(self.position_curve, start=1):
            if not 0 < share <= 1:
                raise ValueError(
                    f"position_curve is {share} at position {position}; it must be above 0 and at most 1"
                )
        if not 0 <= self.maturity_mean_hours < math.inf:
            raise ValueError(
                f"maturity_mean_hours is {self.maturity_mean_hours}; it must be finite and not below 0"
            )
        if not self.half_life_hours >= 0:
            raise ValueError(
                f"half_life_hours is {self.half_life_hours}; it must not be below 0 (0 = never forgets)"
            )

    @property
    def decay_per_hour(self) -> float:
        """The rate at which evidence fades."""
        return math.log(2) / self.half_life_hours if self.half_life_hours else 0.0

    @property
    def unripe_per_hour(self) -> float:
        """The rate at which evidence fades that waits for successes; infinite when they come at once."""
        return self.decay_per_hour + 1 / self.maturity_mean_hours if self.maturity_mean_hours else math.inf


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Hourly counts as columns of equal length; the order of the lines and how they are split do not matter.

    `row_index` says which posting a line belongs to, `bucket` is the hour of the impression's request
    since the Unix epoch, `position_bucket` counts from 1.
    """

    row_index: Integers
    bucket: Integers
    position_bucket: Integers
    impressions: Integers
    successes: Integers

    def __post_init__(self) -> None:
        sizes = {
            column.shape
            for column in (
                self.row_index,
                self.bucket,
                self.position_bucket,
                self.impressions,
                self.successes,
            )
        }
        if len(sizes) > 1 or self.row_index.ndim != 1:
            raise ValueError(
                f"columns of buckets must be flat and of one length, not of shapes {sorted(sizes)}"
            )


def exposures(buckets: Buckets, rule: ExposureRule, now_hours: float, size: int) -> tuple[Floats, Floats]:
    """E and S of the postings 0 to size - 1; `now_hours` are hours since the Unix epoch."""
    if not math.isfinite(now_hours):
        raise ValueError(f"now_hours is {now_hours}; it must be finite")
    kept = mean_left(rule.decay_per_hour, buckets.bucket, now_hours)
    ripe = kept - mean_left(rule.unripe_per_hour, buckets.bucket, now_hours)
    seen = buckets.impressions * ripe * attention(rule, buckets.position_bucket)
    return _total(buckets.row_index, seen, size), _total(buckets.row_index, buckets.successes * kept, size)


def mean_left(rate_per_hour: float, bucket: Integers, now_hours: float) -> Floats:
    """The mean of exp(-rate * age) over an hour's impressions; one that lies ahead has age 0."""
    if math.isinf(rate_per_hour):
        return np.zeros(bucket.shape)
    youngest = np.maximum(now_hours - 1 - bucket, 0)
    spread = rate_per_hour * (np.maximum(now_hours - bucket, 0) - youngest)
    mean: Floats = np.ones(bucket.shape)
    np.divide(-np.expm1(-spread), spread, out=mean, where=spread > 0)
    mean *= np.exp(-rate_per_hour * youngest)
    return mean


def attention(rule: ExposureRule, positions: Integers) -> Floats:
    """The share of people who look at each position; a position below 1 is read as 1."""
    curve = np.array(rule.position_curve or (1.0,))
    return curve[np.clip(positions, 1, curve.size) - 1]


def _total(rows: Integers, values: Floats, size: int) -> Floats:
    if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < size:
        raise ValueError(f"row_index runs from {rows.min()} to {rows.max()}; it must lie in 0 to {size - 1}")
    return np.bincount(rows, weights=values, minlength=size).astype(np.float64, copy=False)
