"""How long to wait before a child that died is started again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays grow with each quick failure and begin anew after a run that lasted `steady_after_s`."""

    first_delay_s: float = 0.5
    factor: float = 2.0
    longest_delay_s: float = 30.0
    steady_after_s: float = 60.0

    def failures_after(self, failures: int, lifetime_s: float) -> int:
        """The count of failures in a row, once a child with `failures` before it died after `lifetime_s`."""
        return 1 if lifetime_s >= self.steady_after_s else failures + 1

    def delay_s(self, failures: int) -> float:
        """The wait before the next start; `failures` is at least 1."""
        exponent = min(failures - 1, 64)  # far beyond the longest delay, and still a finite power
        return min(self.first_delay_s * self.factor**exponent, self.longest_delay_s)
