"""What the keeper counts of changes of items on their way to the index."""

from nearcast_telemetry.declaration import Metric

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

RELAY_METRICS = (KEEPER_RELAY_LAG_CHANGES, KEEPER_RELAY_APPLIED, KEEPER_RELAY_REFILLS)
