"""What is counted of the processes of one gateway by the one that keeps them."""

from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.labels import WORKER_ENDS, WORKER_STATES

SERVER_WORKERS = Metric(
    "server",
    "workers",
    "gauge",
    "Processes by what they do: start, answer, or let their last calls end.",
    {"state": WORKER_STATES},
    across="sum",
)
SERVER_WORKER_ENDS = Metric(
    "server",
    "worker_ends_total",
    "counter",
    "Processes that have ended: because they failed, or because another one took their place.",
    {"reason": WORKER_ENDS},
)

WORKER_METRICS = (SERVER_WORKERS, SERVER_WORKER_ENDS)
