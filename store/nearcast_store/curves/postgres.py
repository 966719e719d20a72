"""Curves in Postgres."""

from nearcast_bandit.curvefitting import PlaceShare
from nearcast_store.curves.protocol import CurveFit, Look
from nearcast_store.errors import DataRefusedError
from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

_CURVES = queries("curves")
_KEPT = 100


class PostgresCurveStore:
    """See CurveStore. The last hundred curves of a tenant are kept for whoever wants to look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def latest(self, tenant_id: int) -> CurveFit | None:
        """Also of a tenant that is not there: it has none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_CURVES["read_latest_curve"], tenant_id)
        if row is None:
            return None
        seen = zip(row["places"], row["impressions"], row["successes"], row["place_shares"], strict=True)
        places = tuple(PlaceShare(*each) for each in seen)
        return CurveFit(tenant_id, row["number"], row["fitted_at"], tuple(row["shares"]), places)

    async def look(self, tenant_id: int) -> Look | None:
        """Whatever came of it."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_CURVES["read_look"], tenant_id)
        return None if row is None else Look(tenant_id, *row)

    async def publish(self, look: Look, fit: CurveFit | None) -> None:
        """DataRefusedError when the number is not above the last, or there is no such tenant."""
        async with self._pool.transaction() as connection:
            if fit is not None:
                latest = await connection.fetchrow(_CURVES["read_latest_curve"], fit.tenant_id)
                if latest is not None and fit.number <= latest["number"]:
                    raise DataRefusedError(f"curve {fit.number} of tenant {fit.tenant_id} is not new")
                columns = zip(
                    *((each.place, each.impressions, each.successes, each.share) for each in fit.places),
                    strict=True,
                )
                await connection.execute(
                    _CURVES["add_curve"], fit.tenant_id, fit.number, fit.fitted_at, fit.shares, *columns
                )
                await connection.execute(_CURVES["drop_old_curves"], fit.tenant_id, fit.number - _KEPT)
            await connection.execute(
                _CURVES["note_look"], look.tenant_id, look.looked_at, look.basis, look.reason
            )
