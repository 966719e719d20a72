"""What a gateway counts of the events it is sent."""

from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.labels import EVENT_REFUSALS, LEARNED

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

EVENT_METRICS = (SERVER_EVENTS_ACCEPTED, SERVER_EVENTS_REJECTED)
