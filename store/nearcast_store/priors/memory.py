"""Fits in memory, for the simulation and for tests."""

from nearcast_store.errors import DataRefusedError
from nearcast_store.priors.protocol import PriorFit


class MemoryPriorStore:
    """See PriorStore; every tenant exists, and only the last fit is kept."""

    def __init__(self) -> None:
        self._latest: dict[int, PriorFit] = {}

    async def latest(self, tenant_id: int) -> PriorFit | None:
        """By number."""
        return self._latest.get(tenant_id)

    async def publish(self, fit: PriorFit) -> None:
        """DataRefusedError when the number is not above the last."""
        latest = self._latest.get(fit.tenant_id)
        if fit.number <= (latest.number if latest else 0):
            raise DataRefusedError(f"fit {fit.number} of tenant {fit.tenant_id} is not new")
        self._latest[fit.tenant_id] = fit
