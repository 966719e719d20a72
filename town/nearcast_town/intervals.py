"""A mean over seeds, and how far it may be off: Student's interval of 95 %."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Quantiles of 97.5 % for 1 to 30 degrees of freedom.
_STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145),
    *(2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048),
    *(2.045, 2.042),
)


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the ends of its interval; one value alone has no ends (NaN)."""

    mean: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there was more than one value to tell how much they vary."""
        return not math.isnan(self.low)


def interval(values: Sequence[float]) -> Interval:
    """Of independent values of about one distribution, without those that are missing (NaN)."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Interval(math.nan, math.nan, math.nan)
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Interval(mean, math.nan, math.nan)
    variance = math.fsum([(value - mean) ** 2 for value in known]) / (len(known) - 1)
    reach = student(len(known) - 1) * math.sqrt(variance / len(known))
    return Interval(mean, mean - reach, mean + reach)


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution, to three digits."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    # The first terms of Cornish and Fisher's expansion.
    return 1.959964 + 2.372270 / freedom + 2.822500 / freedom**2
