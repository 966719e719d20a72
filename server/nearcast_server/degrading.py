"""What is not as it should be, told with every answer."""

from typing import Literal

from nearcast_server.finding import Finding
from nearcast_server.tenancy import View

Reason = Literal[
    "STATS_STALE",
    "STORE_UNAVAILABLE",
    "EPOCH_STALE",
    "KEEPER_DOWN",
    "SEEN_UNAVAILABLE",
    "CANDIDATES_FROM_REDIS",
    "REPLICA_STALE",
]
KEEPER_SILENT_S = 5.0


def degraded(view: View, now: float, *, seen_unknown: bool = False) -> tuple[Reason, ...]:
    """Why an answer from this view is worse than it should be; empty when all is well."""
    policy = view.revision.policy
    reasons: list[Reason] = []
    if now - view.stats_at > policy.freshness.stats_stale_s:
        reasons.append("STATS_STALE")
    if not view.store_answers:
        reasons.append("STORE_UNAVAILABLE")
    # While Postgres is away nobody can tell whether the keeper is.
    elif view.beat is None or now - view.beat.beat_at > KEEPER_SILENT_S:
        reasons.append("KEEPER_DOWN")
    epoch = view.latest_epoch
    if epoch is not None and now - epoch.published_at > 120 * policy.master.epoch_minutes:
        reasons.append("EPOCH_STALE")
    if seen_unknown:
        reasons.append("SEEN_UNAVAILABLE")
    return tuple(reasons)


def shortfalls(finding: Finding) -> tuple[Reason, ...]:
    """Why the candidates are not what they should be; empty when all is well."""
    return () if finding.shortfall is None else (finding.shortfall,)
