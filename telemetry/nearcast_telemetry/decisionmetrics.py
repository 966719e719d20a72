"""What is counted of the log of decisions: on its way out of a gateway, and into Postgres."""

from nearcast_telemetry.declaration import Metric

SERVER_DECISIONS = Metric(
    "server",
    "decisions_total",
    "counter",
    "Decisions that were to be logged: those that were, and those given up because too many waited here or in"
    " Redis, because Redis was away, or because of a fault.",
    {"reason": ("logged", "queue_full", "backlog", "redis_away", "failed")},
)
KEEPER_DECISIONS = Metric(
    "statskeeper",
    "decisions_total",
    "counter",
    "Logged decisions taken from Redis: kept, there already, older than is kept, or none of ours.",
    {"reason": ("kept", "repeated", "too_old", "unreadable")},
)
