"""What came of each benchmark, and of all."""

from typing import Any, Literal

from msgspec import Struct

from benchmarks.goals import Row
from benchmarks.machine import Machine


class Outcome(Struct, frozen=True):
    """`figures` is what the benchmark printed; a failed one may have printed nothing."""

    name: str
    command: str
    status: Literal["done", "failed"]
    took_s: float
    rows: list[Row]
    data: str
    not_measured: list[str]
    figures: dict[str, Any]


class Report(Struct, frozen=True):
    """One run. `loaded`: others kept the machine busy when it began, so that times say little."""

    command: str
    begun_at: str
    machine: Machine
    loaded: bool
    took_s: float
    benchmarks: list[Outcome]
    plots: list[str]

    @property
    def failed(self) -> bool:
        """Whether one of them did not come to its end; a goal that is missed is no failure."""
        return any(outcome.status == "failed" for outcome in self.benchmarks)
