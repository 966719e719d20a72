"""Fits in Postgres."""

from collections import defaultdict
from collections.abc import Iterable

from asyncpg import Record

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_store.errors import DataRefusedError
from nearcast_store.postgres import Pool
from nearcast_store.priors.protocol import PriorFit, Region
from nearcast_store.queries import queries

_PRIORS = queries("priors")
_FITS_KEPT = 100


class PostgresPriorStore:
    """See PriorStore. The last hundred fits of a tenant are kept for whoever wants to look."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # By tenant: every gateway asks twice a second, and a fit never changes.
        self._read: dict[int, PriorFit] = {}

    async def latest(self, tenant_id: int) -> PriorFit | None:
        """Also of a tenant that is not there: it has none."""
        async with self._pool.connection() as connection:
            head = await connection.fetchrow(_PRIORS["read_latest_fit"], tenant_id)
            if head is None:
                return None
            known = self._read.get(tenant_id)
            if known is None or _head(known) != tuple(head):
                # By its number, so that a fit which is published meanwhile is not mixed in.
                rows = await connection.fetch(_PRIORS["list_fitted_priors"], tenant_id, head["number"])
                known = PriorFit(
                    tenant_id, head["number"], head["basis"], head["fitted_at"], _priors_of(rows)
                )
                self._read[tenant_id] = known
            return known

    async def publish(self, fit: PriorFit) -> None:
        """DataRefusedError when the number is not above the last, or there is no such tenant."""
        lines = [
            (fit.tenant_id, fit.number, kind, *region, *_columns(each))
            for kind, regions in fit.priors.items()
            for region, each in regions.items()
        ]
        async with self._pool.transaction() as connection:
            latest = await connection.fetchrow(_PRIORS["read_latest_fit"], fit.tenant_id)
            if latest is not None and fit.number <= latest["number"]:
                raise DataRefusedError(f"fit {fit.number} of tenant {fit.tenant_id} is not new")
            await connection.execute(_PRIORS["add_fit"], fit.tenant_id, fit.number, fit.basis, fit.fitted_at)
            if lines:
                await connection.execute(_PRIORS["add_fitted_priors"], *zip(*lines, strict=True))
            await connection.execute(_PRIORS["drop_old_fits"], fit.tenant_id, fit.number - _FITS_KEPT)


def _head(fit: PriorFit) -> tuple[int, bytes, float]:
    return fit.number, fit.basis, fit.fitted_at


def _columns(each: LevelPrior) -> tuple[object, ...]:
    return (
        each.prior.mean,
        each.prior.strength,
        each.level.value,
        each.kind.value,
        each.children,
        each.exposures,
        each.successes,
        each.own_share,
    )


def _priors_of(rows: Iterable[Record]) -> dict[int, dict[Region, LevelPrior]]:
    priors: defaultdict[int, dict[Region, LevelPrior]] = defaultdict(dict)
    for row in rows:
        priors[row["kind"]][row["market"], row["category"]] = LevelPrior(
            Prior(row["mean"], row["strength"]),
            Level(row["level"]),
            FitKind(row["how"]),
            row["children"],
            row["exposures"],
            row["successes"],
            row["own_share"],
        )
    return dict(priors)
