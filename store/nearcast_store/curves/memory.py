"""Curves in memory, for the simulation and for tests."""

from nearcast_store.curves.protocol import CurveFit, Look
from nearcast_store.errors import DataRefusedError


class MemoryCurveStore:
    """See CurveStore; every tenant exists, and only the last curve is kept."""

    def __init__(self) -> None:
        self._latest: dict[int, CurveFit] = {}
        self._looks: dict[int, Look] = {}

    async def latest(self, tenant_id: int) -> CurveFit | None:
        """By number."""
        return self._latest.get(tenant_id)

    async def look(self, tenant_id: int) -> Look | None:
        """Whatever came of it."""
        return self._looks.get(tenant_id)

    async def publish(self, look: Look, fit: CurveFit | None) -> None:
        """DataRefusedError when the number is not above the last."""
        if fit is not None:
            latest = self._latest.get(fit.tenant_id)
            if fit.number <= (latest.number if latest else 0):
                raise DataRefusedError(f"curve {fit.number} of tenant {fit.tenant_id} is not new")
            self._latest[fit.tenant_id] = fit
        self._looks[look.tenant_id] = look
