"""Places items by the borders of markets as they are now, some at a time, until all are where they belong."""

from nearcast_statskeeper.jobs.schedule import Job
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_telemetry.jobmetrics import KEEPER_ITEMS_PLACED
from nearcast_telemetry.metrics import Metrics

INTERVAL_S = 0.5


def place_items(catalog: CatalogStore, metrics: Metrics) -> Job:
    """Of every tenant whose borders have moved."""

    async def run() -> dict[str, object]:
        looked = await catalog.place_anew()
        metrics.add(KEEPER_ITEMS_PLACED, looked)
        return {"items": looked} if looked else {}

    return Job("place_items", INTERVAL_S, run)
