"""What the keeper counts of the event log on its way into Postgres."""

from nearcast_telemetry.declaration import LATENCY_S, Metric
from nearcast_telemetry.labels import DEAD_REASONS

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
