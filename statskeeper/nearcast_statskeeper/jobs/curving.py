"""Fits the position curve of every tenant that has it fitted, and publishes it."""

import asyncio
from collections.abc import Awaitable, Callable

from nearcast_statskeeper.curves import curve_from, first_hour, is_due, success_kinds
from nearcast_statskeeper.jobs.rounds import round_of
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.roster import Roster
from nearcast_store.counting.protocol import CountStore
from nearcast_store.curves.protocol import CurveStore
from nearcast_store.policies.protocol import PolicyStore
from nearcast_telemetry.jobmetrics import KEEPER_CURVES_FITTED
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

log = logger("keeper.curves")

INTERVAL_S = 5.0
"""How soon a new policy is looked at; the policy says when a curve is old."""


class CurveFitter:
    """One turn of `step` looks at every tenant. `go_on` says whether it may still publish."""

    def __init__(
        self,
        policies: PolicyStore,
        counts: CountStore,
        curves: CurveStore,
        metrics: Metrics,
        clock: Clock,
        go_on: Callable[[], Awaitable[bool]],
    ) -> None:
        self._policies = policies
        self._counts = counts
        self._curves = curves
        self._metrics = metrics
        self._clock = clock
        self._go_on = go_on

    async def fit(self, tenant_id: int) -> bool:
        """Fit and publish if it is time to; whether a curve was published. Why none was is noted."""
        revision = await self._policies.current(tenant_id)
        if revision.policy.exposure.position_curve != "fitted":
            return False
        before, now = await self._curves.look(tenant_id), self._clock()
        if not is_due(before, revision, now):
            return False
        counts = await self._counts.shuffled(tenant_id, first_hour(now), success_kinds(revision))
        latest = await self._curves.latest(tenant_id)
        look, fit = await asyncio.to_thread(curve_from, latest, revision, counts, now)
        if not await self._go_on():
            return False
        await self._curves.publish(look, fit)
        if fit is None:
            if before is None or before.reason != look.reason:
                log.info("curve.not_fitted", tenant_id=tenant_id, reason=look.reason)
            return False
        self._metrics.add(KEEPER_CURVES_FITTED)
        shares = " ".join(f"{share:.3g}" for share in fit.shares[:10])
        log.info("curve.fitted", tenant_id=tenant_id, curve=fit.number, shares=shares)
        return True


def fit_curves(fitter: CurveFitter, roster: Roster) -> Job:
    """Of every tenant."""

    def complain(error: Exception, tenant_id: int) -> None:
        log.error("curve.not_fitted", cause=error, tenant_id=tenant_id)

    return Job("fit_curves", INTERVAL_S, round_of(roster, "fitted", fitter.fit, complain))
