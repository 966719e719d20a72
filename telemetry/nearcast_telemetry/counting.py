"""Counters and histograms as plain numbers, as the library's own take several times as long to raise.

Raised by one thread, the loop's; whoever renders them may be another.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from nearcast_telemetry.declaration import Metric

Labels = tuple[str, ...]


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float) -> None:
        """Raise it."""
        self.value += amount


class Spread:
    """How many observations lie up to each bound, above the one before it, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Counts(Collector):
    """A counter; one without labels is there before it is raised."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._by_labels: dict[Labels, Count] = {} if metric.labels else {(): Count()}

    def labels(self, *values: str) -> Count:
        """The one of these labels."""
        return self._by_labels.setdefault(values, Count())

    def collect(self) -> Iterator[CounterMetricFamily]:
        """As it is now."""
        metric = self._metric
        family = CounterMetricFamily(metric.name, metric.help, labels=tuple(metric.labels))
        for labels, count in list(self._by_labels.items()):
            family.add_metric(labels, count.value)
        yield family


class Spreads(Collector):
    """A histogram; one without labels is there before anything is observed."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._bounds = [*map(floatToGoString, metric.buckets), "+Inf"]
        self._by_labels: dict[Labels, Spread] = {} if metric.labels else {(): Spread(metric.buckets)}

    def labels(self, *values: str) -> Spread:
        """The one of these labels."""
        return self._by_labels.setdefault(values, Spread(self._metric.buckets))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """As it is now."""
        metric = self._metric
        family = HistogramMetricFamily(metric.name, metric.help, labels=tuple(metric.labels))
        for labels, spread in list(self._by_labels.items()):
            up_to = map(float, accumulate(spread.counts))
            family.add_metric(labels, list(zip(self._bounds, up_to, strict=True)), spread.total)
        yield family
