"""What is counted of requests that are decided a second time under a policy that is not in force."""

from nearcast_telemetry.declaration import Metric

SERVER_REHEARSALS = Metric(
    "server",
    "rehearsals_total",
    "counter",
    "Requests of a shadow's share: compared and kept, or given up because too many waited, because the index"
    " or Postgres was away, or because of a fault.",
    {"reason": ("compared", "queue_full", "index_away", "store_away", "failed")},
)
