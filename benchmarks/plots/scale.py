"""Where a number lies on an axis whose steps are powers of ten."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogScale:
    """From `low` at `begin` to `high` at `end`, in pixels."""

    low: float
    high: float
    begin: float
    end: float

    @classmethod
    def over(cls, values: Iterable[float], begin: float, end: float) -> "LogScale":
        """As wide as the values, and a little wider."""
        known = [value for value in values if value > 0]
        return cls(min(known) / 1.5, max(known) * 1.5, begin, end)

    def at(self, value: float) -> float:
        """In pixels; what lies outside is drawn at the edge."""
        inside = min(max(value, self.low), self.high)
        share = math.log(inside / self.low) / math.log(self.high / self.low)
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Powers of ten; with 2 and 5 between them where there are few."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1,), (1, 3), (1, 2, 5)):
            found = [step * 10.0**power for power in powers for step in steps]
            inside = [value for value in found if self.low <= value <= self.high]
            if len(inside) >= 4:
                break
        return inside


def short(value: float) -> str:
    """Few digits."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def duration(microseconds: float) -> str:
    """In the unit that needs the fewest digits."""
    for size, unit in ((1e6, "s"), (1e3, "ms")):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} µs"
