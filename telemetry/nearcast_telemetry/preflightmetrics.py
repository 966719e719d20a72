"""What each process says of the stores it was given."""

from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.labels import PREFLIGHT_SEVERITIES

SERVER_PREFLIGHT_FINDINGS = Metric(
    "server",
    "preflight_findings",
    "gauge",
    "Settings of Redis and Postgres that are not as they must be, by severity; see docs/preflight.md.",
    {"severity": PREFLIGHT_SEVERITIES},
    across="largest",
)
KEEPER_PREFLIGHT_FINDINGS = Metric(
    "statskeeper",
    "preflight_findings",
    "gauge",
    "Settings of Redis and Postgres that are not as they must be, by severity; see docs/preflight.md.",
    {"severity": PREFLIGHT_SEVERITIES},
)
