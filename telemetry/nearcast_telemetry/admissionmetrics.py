"""What a gateway knows of the pressure on the event log, and whom it sends away for it."""

from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.labels import ADMISSION_CAUSES

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

ADMISSION_METRICS = (
    SERVER_ADMISSION_LEVEL,
    SERVER_ADMISSION_ADVISED,
    SERVER_ADMISSION_BACKLOG_SECONDS,
    SERVER_ADMISSION_MEMORY_RATIO,
    SERVER_ADMISSION_APPEND_SECONDS,
    SERVER_ADMISSION_REFUSED,
    SERVER_LOG_ENTRIES,
)
