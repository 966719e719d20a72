"""What the keeper counts of the customer's own table of behaviour."""

from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.labels import EVENT_REFUSALS

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

SOURCE_METRICS = (
    KEEPER_SOURCE_READ,
    KEEPER_SOURCE_ACCEPTED,
    KEEPER_SOURCE_REFUSED,
    KEEPER_SOURCE_LAG_SECONDS,
)
