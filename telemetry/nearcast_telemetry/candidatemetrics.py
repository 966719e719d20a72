"""What a gateway counts of where its candidates come from."""

from nearcast_telemetry.declaration import Metric

SERVER_INDEX_ORPHANS = Metric(
    "server",
    "index_orphans_total",
    "counter",
    "Places found in the index whose item has no serving fields; they are left out of the answer.",
)
SERVER_CANDIDATES = Metric(
    "server",
    "candidates_total",
    "counter",
    "Questions for candidates by who answered: this host's replica, one that lags, or Redis.",
    {"source": ("replica", "stale_replica", "redis")},
)
SERVER_REPLICA_LAG_SECONDS = Metric(
    "server",
    "replica_lag_seconds",
    "gauge",
    "Seconds since the replica last held all that the index held; of several tenants the longest.",
    across="largest",
)
SERVER_REPLICA_GENERATION = Metric(
    "server",
    "replica_generation",
    "gauge",
    "Number of the newest generation that a replica's writer has made.",
    across="largest",
)
SERVER_REPLICA_PENDING = Metric(
    "server",
    "replica_pending_rows",
    "gauge",
    "Places of items in replicas that the next merge will sort in.",
    across="largest",
)
SERVER_REPLICA_BYTES = Metric(
    "server",
    "replica_bytes",
    "gauge",
    "Memory of the host that replicas take; all gateways of the host share it.",
    across="largest",
)
SERVER_REPLICA_RESYNCS = Metric(
    "server",
    "replica_resyncs",
    "gauge",
    "How often replicas of this host were read anew from the index since its control pages were made.",
    across="largest",
)
SERVER_REPLICA_DOUBTED = Metric(
    "server",
    "replica_doubted_tenants",
    "gauge",
    "Tenants whose replica was found to differ from the index; Redis is asked for them where it may be.",
    across="largest",
)
SERVER_REPLICA_DECLINED = Metric(
    "server",
    "replica_declined_tenants",
    "gauge",
    "Tenants of which this host holds no replica, so that Redis answers for them, by the reason.",
    {"reason": ("memory", "names", "system")},
    across="largest",
)
SERVER_SHADOW_CHECKS = Metric(
    "server",
    "shadow_checks_total",
    "counter",
    "Requests asked of replica and index both: alike, different, or not comparable.",
    {"outcome": ("alike", "different", "dropped")},
)
SERVER_SHADOW_ITEMS = Metric(
    "server",
    "shadow_items_total",
    "counter",
    "Items of those requests: alike, different, or skipped as one side has another version of them.",
    {"outcome": ("alike", "different", "skipped")},
)
CANDIDATE_METRICS = (
    SERVER_INDEX_ORPHANS,
    SERVER_CANDIDATES,
    SERVER_REPLICA_LAG_SECONDS,
    SERVER_REPLICA_GENERATION,
    SERVER_REPLICA_PENDING,
    SERVER_REPLICA_BYTES,
    SERVER_REPLICA_RESYNCS,
    SERVER_REPLICA_DOUBTED,
    SERVER_REPLICA_DECLINED,
    SERVER_SHADOW_CHECKS,
    SERVER_SHADOW_ITEMS,
)
