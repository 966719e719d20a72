"""Every metric of every process, and the registry that a process counts them in."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest

from nearcast_telemetry.budgetmetrics import BUDGET_METRICS
from nearcast_telemetry.candidatemetrics import CANDIDATE_METRICS
from nearcast_telemetry.counting import Counts, Labels, Spreads
from nearcast_telemetry.decisionmetrics import KEEPER_DECISIONS, SERVER_DECISIONS
from nearcast_telemetry.declaration import LATENCY_S, SIZES, Metric
from nearcast_telemetry.labels import (
    ADMISSION_CAUSES,
    CODES,
    DEAD_REASONS,
    DEGRADED,
    EVENT_REFUSALS,
    JOBS,
    LEARNED,
    METHODS,
    PREFLIGHT_SEVERITIES,
    STREAM_ENDS,
    WORKER_ENDS,
    WORKER_STATES,
)
from nearcast_telemetry.rehearsalmetrics import SERVER_REHEARSALS

Kept_co = TypeVar("Kept_co", covariant=True)


SERVER_CALL_SECONDS = Metric(
    "server",
    "call_seconds",
    "histogram",
    "Seconds from the first to the last byte of a call inside the gateway, by method and gRPC code.",
    {"method": METHODS, "code": CODES},
    LATENCY_S,
)
SERVER_RECOMMEND_CANDIDATES = Metric(
    "server",
    "recommend_candidates",
    "histogram",
    "Eligible items that a Recommend call chose from.",
    buckets=SIZES,
)
SERVER_STATS_AGE_SECONDS = Metric(
    "server",
    "stats_age_seconds",
    "gauge",
    "Seconds since the statistics that the gateway serves from were last confirmed by Postgres.",
    across="largest",
)
SERVER_DEGRADED = Metric(
    "server",
    "degraded_total",
    "counter",
    "Answers that said they are degraded, by the reason they gave.",
    {"reason": DEGRADED},
)
SERVER_EVENTS_ACCEPTED = Metric(
    "server",
    "events_accepted_total",
    "counter",
    "Events appended to the log and acknowledged, by whether they are learned from.",
    {"learned": LEARNED},
)
SERVER_EVENTS_REJECTED = Metric(
    "server",
    "events_rejected_total",
    "counter",
    "Events refused with a result of their own, by reason.",
    {"reason": EVENT_REFUSALS},
)
SERVER_STREAMS_OPEN = Metric(
    "server",
    "streams_open",
    "gauge",
    "StreamEvents streams that are open now.",
    across="sum",
)
SERVER_WATCHERS_OPEN = Metric(
    "server",
    "watchers_open",
    "gauge",
    "WatchStats streams that are open now.",
    across="sum",
)
SERVER_STREAM_ENDS = Metric(
    "server",
    "stream_ends_total",
    "counter",
    "Streams that have ended: by the client's half-close, idle, too old, because the process stops, because"
    " nobody was there any more, or with an error.",
    {"reason": STREAM_ENDS},
)
SERVER_STREAM_ACK_SECONDS = Metric(
    "server",
    "stream_ack_seconds",
    "histogram",
    "Seconds from the arrival of a batch on a stream to its ack.",
    buckets=LATENCY_S,
)
SERVER_STREAM_BATCHES_REFUSED = Metric(
    "server",
    "stream_batches_refused_total",
    "counter",
    "Batches on streams that were refused as a whole, by reason; the streams went on.",
    {"reason": ("EMPTY_BATCH", "BATCH_TOO_LARGE")},
)
SERVER_ADMISSION_LEVEL = Metric(
    "server",
    "admission_level",
    "gauge",
    "How events are taken: 0 all of them, 1 in smaller batches, 2 none for now.",
    across="largest",
)
SERVER_ADMISSION_ADVISED = Metric(
    "server",
    "admission_advised_events",
    "gauge",
    "Events that senders are advised to put into one batch.",
    across="smallest",
)
SERVER_ADMISSION_BACKLOG_SECONDS = Metric(
    "server",
    "admission_backlog_seconds",
    "gauge",
    "Age of the oldest entry of the event log that no keeper has finished.",
    across="largest",
)
SERVER_ADMISSION_MEMORY_RATIO = Metric(
    "server",
    "admission_memory_ratio",
    "gauge",
    "Share of its memory that the event log's Redis has used.",
    across="largest",
)
SERVER_ADMISSION_APPEND_SECONDS = Metric(
    "server",
    "admission_append_seconds",
    "gauge",
    "Seconds that the slowest append of late took, fading by a fifth with each look.",
    across="largest",
)
SERVER_ADMISSION_REFUSED = Metric(
    "server",
    "admission_refused_total",
    "counter",
    "Event calls and streams sent away to come again later, by what they were and why.",
    {"refused": ("call", "stream"), "cause": ADMISSION_CAUSES},
)
SERVER_LOG_ENTRIES = Metric(
    "server",
    "log_entries",
    "gauge",
    "Entries that the event log holds, finished ones of the last 24 hours among them.",
    across="largest",
)
SERVER_SERVED = Metric(
    "server",
    "served_total",
    "counter",
    "Items put into answers. Counted when answering, so not exactly once, and never learned from.",
)
SERVER_SERVED_DROPPED = Metric(
    "server",
    "served_dropped_total",
    "counter",
    "Items put into answers whose counts were given up, because Postgres was away for too long.",
)
SERVER_SEEN_LOOKUPS = Metric(
    "server",
    "seen_lookups_total",
    "counter",
    "Times that it was asked what a person has seen, by where that was known: in memory, or in Redis.",
    {"known": ("memory", "redis")},
)
SERVER_INCIDENTS = Metric(
    "server",
    "incidents_total",
    "counter",
    "Calls that failed by a fault of the server; the log has each with its incident id.",
)
SERVER_INDEX_ORPHANS = Metric(
    "server",
    "index_orphans_total",
    "counter",
    "Places found in the index whose item has no serving fields; they are left out of the answer.",
)

SERVER_PREFLIGHT_FINDINGS = Metric(
    "server",
    "preflight_findings",
    "gauge",
    "Settings of Redis and Postgres that are not as they must be, by severity; see docs/preflight.md.",
    {"severity": PREFLIGHT_SEVERITIES},
    across="largest",
)

SERVER_WORKERS = Metric(
    "server",
    "workers",
    "gauge",
    "Processes by what they do: start, answer, or let their last calls end.",
    {"state": WORKER_STATES},
    across="sum",
)
SERVER_WORKER_ENDS = Metric(
    "server",
    "worker_ends_total",
    "counter",
    "Processes that have ended: because they failed, or because another one took their place.",
    {"reason": WORKER_ENDS},
)

KEEPER_ENTRIES_FOLDED = Metric(
    "statskeeper",
    "entries_folded_total",
    "counter",
    "Entries of the event log that were folded and acknowledged.",
)
KEEPER_EVENTS_COUNTED = Metric(
    "statskeeper",
    "events_counted_total",
    "counter",
    "Events that were new when they were folded; implied impressions are not among them.",
)
KEEPER_EVENTS_DUPLICATE = Metric(
    "statskeeper",
    "events_duplicate_total",
    "counter",
    "Events that were folded before, and came again.",
)
KEEPER_EVENTS_DEAD = Metric(
    "statskeeper",
    "events_dead_total",
    "counter",
    "Events or whole entries put among the dead letters, by reason.",
    {"reason": DEAD_REASONS},
)
KEEPER_ENTRIES_LOST = Metric(
    "statskeeper",
    "entries_lost_total",
    "counter",
    "Entries that were handed out once and whose bytes are gone from the log: real loss, never to be seen.",
)
KEEPER_LOG_RESETS = Metric(
    "statskeeper",
    "log_resets_total",
    "counter",
    "Streams of the event log that had lost the keeper's place and were read from their beginning again.",
)
KEEPER_LOG_KEPT_SECONDS = Metric(
    "statskeeper",
    "log_kept_seconds",
    "gauge",
    "How long finished entries of the event log are kept, to be replayed; shorter when its memory runs out.",
)
KEEPER_FOLD_SECONDS = Metric(
    "statskeeper",
    "fold_seconds",
    "histogram",
    "Seconds that one fold into Postgres took.",
    buckets=LATENCY_S,
)
KEEPER_LOG_OLDEST_SECONDS = Metric(
    "statskeeper",
    "log_oldest_seconds",
    "gauge",
    "Age of the oldest event in the batch in hand; 0 when nothing waits.",
)
KEEPER_SEEN_LOST = Metric(
    "statskeeper",
    "seen_lost_total",
    "counter",
    "Items that people have seen and that could not be remembered: they may be shown again.",
)
KEEPER_FAILURES = Metric(
    "statskeeper",
    "failures_total",
    "counter",
    "Attempts that failed and are made again, by the part of the keeper that made them.",
    {"part": ("schema", "preflight", "consumer", "relay", "jobs", "heartbeat")},
)
KEEPER_RELAY_LAG_CHANGES = Metric(
    "statskeeper",
    "relay_lag_changes",
    "gauge",
    "Numbered changes of items that the index does not hold yet.",
)
KEEPER_RELAY_APPLIED = Metric(
    "statskeeper", "relay_applied_total", "counter", "Changes of items carried to the index."
)
KEEPER_RELAY_REFILLS = Metric(
    "statskeeper",
    "relay_refills_total",
    "counter",
    "Times that a tenant's index was filled anew, because it was empty, behind or not ours.",
)
KEEPER_ITEMS_EXPIRED = Metric(
    "statskeeper", "items_expired_total", "counter", "Items whose time had come and that were ended."
)
KEEPER_ITEMS_PLACED = Metric(
    "statskeeper",
    "items_placed_total",
    "counter",
    "Items that were looked at anew because borders of markets had moved.",
)
KEEPER_EPOCHS_PUBLISHED = Metric(
    "statskeeper", "epochs_published_total", "counter", "Sets of feed probabilities published."
)
KEEPER_PRIORS_FITTED = Metric(
    "statskeeper", "priors_fitted_total", "counter", "Fits of priors published; one is of a whole tenant."
)
KEEPER_CURVES_FITTED = Metric(
    "statskeeper", "curves_fitted_total", "counter", "Position curves published, fitted to what explores."
)
KEEPER_COUNTS_COMPACTED = Metric(
    "statskeeper",
    "counts_compacted_total",
    "counter",
    "Counts of single hours that were summed into their day.",
)
KEEPER_PARTITIONS_DROPPED = Metric(
    "statskeeper",
    "partitions_dropped_total",
    "counter",
    "Days of the ledger that were dropped, their counts being compacted.",
)
KEEPER_TRIALS_PRUNED = Metric(
    "statskeeper",
    "trials_pruned_total",
    "counter",
    "Sessions' trials of feeds forgotten, as their epoch ended before the ledger's first day.",
)
KEEPER_JOB_SECONDS = Metric(
    "statskeeper",
    "job_seconds",
    "histogram",
    "Seconds that one run of a scheduled job took.",
    {"job": JOBS},
    LATENCY_S,
)
KEEPER_JOB_FAILURES = Metric(
    "statskeeper",
    "job_failures_total",
    "counter",
    "Runs of a scheduled job that failed; the next is half a minute later at most.",
    {"job": JOBS},
)
KEEPER_SOURCE_READ = Metric(
    "statskeeper",
    "source_rows_read_total",
    "counter",
    "Rows of the source of behaviour that were read and new; what the overlap reads again is not.",
)
KEEPER_SOURCE_ACCEPTED = Metric(
    "statskeeper",
    "source_rows_accepted_total",
    "counter",
    "Rows of the source of behaviour that the event log has acknowledged.",
)
KEEPER_SOURCE_REFUSED = Metric(
    "statskeeper",
    "source_rows_refused_total",
    "counter",
    "Rows of the source of behaviour that are no event, by reason; see `nearcast keeper source rejects`.",
    {"reason": (*EVENT_REFUSALS, "ROW_UNREADABLE")},
)
KEEPER_SOURCE_LAG_SECONDS = Metric(
    "statskeeper",
    "source_lag_seconds",
    "gauge",
    "How far the rows that are being read lie back; 0 when all there were have been read.",
)
KEEPER_PREFLIGHT_FINDINGS = Metric(
    "statskeeper",
    "preflight_findings",
    "gauge",
    "Settings of Redis and Postgres that are not as they must be, by severity; see docs/preflight.md.",
    {"severity": PREFLIGHT_SEVERITIES},
)

SERVER_METRICS = (
    SERVER_CALL_SECONDS,
    SERVER_RECOMMEND_CANDIDATES,
    SERVER_STATS_AGE_SECONDS,
    SERVER_DEGRADED,
    SERVER_EVENTS_ACCEPTED,
    SERVER_EVENTS_REJECTED,
    SERVER_STREAMS_OPEN,
    SERVER_WATCHERS_OPEN,
    SERVER_STREAM_ENDS,
    SERVER_STREAM_ACK_SECONDS,
    SERVER_STREAM_BATCHES_REFUSED,
    SERVER_ADMISSION_LEVEL,
    SERVER_ADMISSION_ADVISED,
    SERVER_ADMISSION_BACKLOG_SECONDS,
    SERVER_ADMISSION_MEMORY_RATIO,
    SERVER_ADMISSION_APPEND_SECONDS,
    SERVER_ADMISSION_REFUSED,
    SERVER_LOG_ENTRIES,
    SERVER_SERVED,
    SERVER_SERVED_DROPPED,
    SERVER_DECISIONS,
    SERVER_REHEARSALS,
    SERVER_SEEN_LOOKUPS,
    SERVER_INCIDENTS,
    SERVER_INDEX_ORPHANS,
    *CANDIDATE_METRICS,
    *BUDGET_METRICS,
    SERVER_PREFLIGHT_FINDINGS,
)
WORKER_METRICS = (SERVER_WORKERS, SERVER_WORKER_ENDS)
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
    KEEPER_RELAY_LAG_CHANGES,
    KEEPER_RELAY_APPLIED,
    KEEPER_RELAY_REFILLS,
    KEEPER_ITEMS_EXPIRED,
    KEEPER_ITEMS_PLACED,
    KEEPER_EPOCHS_PUBLISHED,
    KEEPER_PRIORS_FITTED,
    KEEPER_CURVES_FITTED,
    KEEPER_COUNTS_COMPACTED,
    KEEPER_PARTITIONS_DROPPED,
    KEEPER_TRIALS_PRUNED,
    KEEPER_JOB_SECONDS,
    KEEPER_JOB_FAILURES,
    KEEPER_PREFLIGHT_FINDINGS,
    KEEPER_SOURCE_READ,
    KEEPER_SOURCE_ACCEPTED,
    KEEPER_SOURCE_REFUSED,
    KEEPER_SOURCE_LAG_SECONDS,
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
