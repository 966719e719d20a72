"""What a gateway counts of calls and of the answers it gave."""

from nearcast_telemetry.declaration import LATENCY_S, SIZES, Metric
from nearcast_telemetry.labels import CODES, DEGRADED, METHODS

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
