"""Fits the priors of every tenant that has them learned, and publishes them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from nearcast_bandit.arrays import Integers
from nearcast_statskeeper.jobs.rounds import round_of
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.pausing import pausing
from nearcast_statskeeper.priors import Seen, fit_of, is_due, seen_in, seen_together
from nearcast_statskeeper.roster import Roster
from nearcast_statskeeper.standpoint import Standpoint
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import Exposing
from nearcast_store.counting.protocol import CountRow, CountStore
from nearcast_store.policies.protocol import Revision
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit, PriorStore
from nearcast_telemetry.jobmetrics import KEEPER_PRIORS_FITTED
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

log = logger("keeper.priors")


INTERVAL_S = 5.0
"""How soon a new policy is fitted; the policy says when a fit is old."""
_PLACED_AT_ONCE = 10_000


class Fitter:
    """One turn of `step` looks at every tenant. What takes long is done beside the loop.

    `go_on` says whether it may still publish.
    """

    def __init__(
        self,
        standpoint: Standpoint,
        counts: CountStore,
        catalog: CatalogStore,
        priors: PriorStore,
        metrics: Metrics,
        clock: Clock,
        go_on: Callable[[], Awaitable[bool]],
    ) -> None:
        self._standpoint = standpoint
        self._counts = counts
        self._catalog = catalog
        self._priors = priors
        self._metrics = metrics
        self._clock = clock
        self._go_on = go_on

    async def fit(self, tenant_id: int) -> bool:
        """Fit and publish if it is time to; whether something was published."""
        # Straight from the store: a fit must not be made under a policy that is no longer in force.
        revision, kept = await self._standpoint.take(tenant_id)
        latest = await self._priors.latest(tenant_id)
        now = self._clock()
        if not is_due(latest, revision, kept, now):
            return False
        seen = await self._seen(revision, kept, now)
        regions = await self._regions(tenant_id, seen.postings)
        pauses = await pausing(self._catalog, tenant_id, revision.policy.caps, seen, now)
        fit = await asyncio.to_thread(fit_of, latest, revision, kept, seen, regions, now, pauses)
        if not await self._go_on():
            return False
        await self._priors.publish(fit)
        self._metrics.add(KEEPER_PRIORS_FITTED)
        log.info("priors.fitted", tenant_id=tenant_id, fit=fit.number, **_told(revision, fit))
        return True

    async def _seen(self, revision: Revision, kept: Exposing, now: float) -> Seen:
        """Page by page, of which only sums are kept."""
        parts, after, more = list[Seen](), None, True
        while more:
            page = await self._counts.changed_since(revision.tenant_id, None, after)
            columns = CountColumns.of(page.rows)
            parts.append(await asyncio.to_thread(seen_in, columns, revision, kept, now))
            more, after = page.more, _last(page.rows, after)
        return await asyncio.to_thread(seen_together, parts, len(revision.policy.kinds))

    async def _regions(self, tenant_id: int, postings: Integers) -> dict[int, tuple[int, str]]:
        regions: dict[int, tuple[int, str]] = {}
        for start in range(0, postings.size, _PLACED_AT_ONCE):
            some = postings[start : start + _PLACED_AT_ONCE].tolist()
            regions |= await self._catalog.regions(tenant_id, some)
        return regions


def fit_all(fitter: Fitter, roster: Roster) -> Job:
    """Of every tenant."""

    def complain(error: Exception, tenant_id: int) -> None:
        log.error("priors.not_fitted", cause=error, tenant_id=tenant_id)

    return Job("fit_priors", INTERVAL_S, round_of(roster, "fitted", fitter.fit, complain))


def _last(rows: Sequence[CountRow], before: CountRow | None) -> CountRow | None:
    return rows[-1] if len(rows) else before


def _told(revision: Revision, fit: PriorFit) -> dict[str, object]:
    """For each kind what was fitted to everything, and how many places have a prior of their own."""
    told: dict[str, object] = {}
    for name in revision.policy.kinds:
        regions = fit.priors[revision.kinds[name]]
        top = regions[EVERYWHERE]
        told[name] = (
            f"mean {top.prior.mean:.3g}, strength {top.prior.strength:.3g}, {top.kind.value},"
            f" {top.children} items; {len(regions) - 1} places of their own"
        )
    return told
