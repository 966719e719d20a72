"""Every metric of every process, and the registry that a process counts them in."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

from nearcast_telemetry.admissionmetrics import ADMISSION_METRICS
from nearcast_telemetry.answermetrics import (
    SERVER_CALL_SECONDS,
    SERVER_DEGRADED,
    SERVER_INCIDENTS,
    SERVER_RECOMMEND_CANDIDATES,
    SERVER_SEEN_LOOKUPS,
    SERVER_SERVED,
    SERVER_SERVED_DROPPED,
    SERVER_STATS_AGE_SECONDS,
)
from nearcast_telemetry.budgetmetrics import BUDGET_METRICS
from nearcast_telemetry.candidatemetrics import CANDIDATE_METRICS
from nearcast_telemetry.counting import Counts, Labels, Spreads
from nearcast_telemetry.decisionmetrics import KEEPER_DECISIONS, SERVER_DECISIONS
from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.eventmetrics import EVENT_METRICS
from nearcast_telemetry.foldmetrics import (
    KEEPER_ENTRIES_FOLDED,
    KEEPER_ENTRIES_LOST,
    KEEPER_EVENTS_COUNTED,
    KEEPER_EVENTS_DEAD,
    KEEPER_EVENTS_DUPLICATE,
    KEEPER_FOLD_SECONDS,
    KEEPER_LOG_KEPT_SECONDS,
    KEEPER_LOG_OLDEST_SECONDS,
    KEEPER_LOG_RESETS,
    KEEPER_SEEN_LOST,
)
from nearcast_telemetry.jobmetrics import JOB_METRICS, KEEPER_FAILURES
from nearcast_telemetry.preflightmetrics import KEEPER_PREFLIGHT_FINDINGS, SERVER_PREFLIGHT_FINDINGS
from nearcast_telemetry.rehearsalmetrics import SERVER_REHEARSALS
from nearcast_telemetry.relaymetrics import RELAY_METRICS
from nearcast_telemetry.sourcemetrics import SOURCE_METRICS
from nearcast_telemetry.streammetrics import STREAM_METRICS

Kept_co = TypeVar("Kept_co", covariant=True)

SERVER_METRICS = (
    SERVER_CALL_SECONDS,
    SERVER_RECOMMEND_CANDIDATES,
    SERVER_STATS_AGE_SECONDS,
    SERVER_DEGRADED,
    *EVENT_METRICS,
    *STREAM_METRICS,
    *ADMISSION_METRICS,
    SERVER_SERVED,
    SERVER_SERVED_DROPPED,
    SERVER_DECISIONS,
    SERVER_REHEARSALS,
    SERVER_SEEN_LOOKUPS,
    SERVER_INCIDENTS,
    *CANDIDATE_METRICS,
    *BUDGET_METRICS,
    SERVER_PREFLIGHT_FINDINGS,
)
KEEPER_METRICS = (
    KEEPER_ENTRIES_FOLDED,
    KEEPER_EVENTS_COUNTED,
    KEEPER_EVENTS_DUPLICATE,
    KEEPER_EVENTS_DEAD,
    KEEPER_ENTRIES_LOST,
    KEEPER_LOG_RESETS,
    KEEPER_LOG_KEPT_SECONDS,
    KEEPER_DECISIONS,
    KEEPER_FOLD_SECONDS,
    KEEPER_LOG_OLDEST_SECONDS,
    KEEPER_SEEN_LOST,
    KEEPER_FAILURES,
    *RELAY_METRICS,
    *JOB_METRICS,
    KEEPER_PREFLIGHT_FINDINGS,
    *SOURCE_METRICS,
)


class _Family(Protocol[Kept_co]):
    """One metric."""

    def labels(self, *values: str) -> Kept_co:
        """What is kept for these labels."""
        ...


class Metrics:
    """The metrics of one process, in its own registry."""

    def __init__(self, registry: CollectorRegistry, declared: Iterable[Metric]) -> None:
        self._counters: dict[str, Counts] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Spreads] = {}
        self._kept: dict[tuple[str, str, Labels], Any] = {}
        for metric in declared:
            self._build(metric, registry)
        ProcessCollector(registry=registry)

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Raise a counter."""
        self._labelled(self._counters, metric, labels).inc(amount)

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Move a gauge."""
        self._labelled(self._gauges, metric, labels).set(value)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add one observation to a histogram."""
        self._labelled(self._histograms, metric, labels).observe(value)

    def _labelled(self, families: Mapping[str, _Family[Kept_co]], metric: Metric, labels: Labels) -> Kept_co:
        """Remembered by label values of the closed sets, as to look one up costs more than to count."""
        key = (metric.room, metric.what, labels)
        kept: Kept_co | None = self._kept.get(key)
        if kept is not None:
            return kept
        values = metric.label_values(labels)
        found = families[metric.name].labels(*values)
        if values == labels:
            self._kept[key] = found
        return found

    def _build(self, metric: Metric, registry: CollectorRegistry) -> None:
        match metric.type:
            case "counter":
                self._counters[metric.name] = counts = Counts(metric)
                registry.register(counts)
            case "gauge":
                gauge = Gauge(metric.name, metric.help, tuple(metric.labels), registry=registry)
                self._gauges[metric.name] = gauge
                if not metric.labels:
                    self._kept[metric.room, metric.what, ()] = gauge
            case "histogram":
                self._histograms[metric.name] = spreads = Spreads(metric)
                registry.register(spreads)


def render(registry: CollectorRegistry) -> bytes:
    """The registry in Prometheus's text format."""
    return generate_latest(registry)


if __name__ == "__main__":
    from nearcast_telemetry.metricspage import reference

    sys.stdout.write(reference())
