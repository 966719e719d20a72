"""Ends items whose time has come, so that the index lets go of them."""

from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_telemetry.jobmetrics import KEEPER_ITEMS_EXPIRED
from nearcast_telemetry.metrics import Metrics


def sweep_items(catalog: CatalogStore, interval_s: float, metrics: Metrics, clock: Clock) -> Job:
    """Of every tenant."""

    async def run() -> dict[str, object]:
        ended = await catalog.sweep(clock())
        metrics.add(KEEPER_ITEMS_EXPIRED, ended)
        return {"ended": ended} if ended else {}

    return Job("sweep_items", interval_s, run)
