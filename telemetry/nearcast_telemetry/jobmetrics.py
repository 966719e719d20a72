"""What the keeper counts of its scheduled jobs, and of attempts of any part that failed."""

from nearcast_telemetry.declaration import LATENCY_S, Metric
from nearcast_telemetry.labels import JOBS

KEEPER_FAILURES = Metric(
    "statskeeper",
    "failures_total",
    "counter",
    "Attempts that failed and are made again, by the part of the keeper that made them.",
    {"part": ("schema", "preflight", "consumer", "relay", "jobs", "heartbeat")},
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

JOB_METRICS = (
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
)
