"""What a gateway counts of its streams."""

from nearcast_telemetry.declaration import LATENCY_S, Metric
from nearcast_telemetry.labels import STREAM_ENDS

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

STREAM_METRICS = (
    SERVER_STREAMS_OPEN,
    SERVER_WATCHERS_OPEN,
    SERVER_STREAM_ENDS,
    SERVER_STREAM_ACK_SECONDS,
    SERVER_STREAM_BATCHES_REFUSED,
)
