"""What a metric is: declared once, so that the reference page and every process agree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

OTHER = "other"
"""What a label value outside its closed set is counted under."""

LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SIZES = (0.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 100_000.0, 1_000_000.0)


Across = Literal["sum", "largest", "smallest", "each"]
"""Of several workers: added up, the one that says most, or each with a label `worker`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Each label lists every value it can have; a stranger is counted as `other`.

    `across` says what several workers' gauges are together; counters and histograms are always added up.
    """

    room: Literal["server", "statskeeper"]
    what: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, compare=False)
    buckets: tuple[float, ...] = ()
    across: Across = "each"

    @property
    def name(self) -> str:
        """As it is scraped."""
        return f"nearcast_{self.room}_{self.what}"

    def label_values(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """The values given, each of its closed set."""
        return tuple(
            value if value in allowed else OTHER
            for value, allowed in zip(given, self.labels.values(), strict=True)
        )
