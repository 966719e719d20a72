"""Publishes a policy epoch for every tenant that needs one."""

import asyncio

from nearcast_config.masking import counts_items
from nearcast_statskeeper.epochs import NO_ITEMS, is_due, next_epoch
from nearcast_statskeeper.jobs.rounds import round_of
from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.roster import Roster
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_store.counting.protocol import CountStore
from nearcast_store.policies.protocol import PolicyStore
from nearcast_telemetry.jobmetrics import KEEPER_EPOCHS_PUBLISHED
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

log = logger("keeper.epochs")


INTERVAL_S = 1.0
"""How soon a new policy has an epoch of its own; the policy says when an old one ends."""


def publish_epochs(
    policies: PolicyStore,
    counts: CountStore,
    catalog: CatalogStore,
    roster: Roster,
    metrics: Metrics,
    clock: Clock,
) -> Job:
    """Of every tenant."""

    async def publish(tenant_id: int) -> bool:
        # Straight from the store: an epoch must not be made from a policy that is no longer in force.
        revision, latest = await policies.current(tenant_id), await policies.latest_epoch(tenant_id)
        now = clock()
        if not is_due(latest, revision, now):
            return False
        counted = await counts.feed_counts(tenant_id)
        items = await catalog.count_by_market(tenant_id) if counts_items(revision.policy) else NO_ITEMS
        # Many markets take a while, and counting goes on meanwhile.
        epoch = await asyncio.to_thread(next_epoch, latest, revision, counted, now, items)
        await policies.publish(epoch)
        metrics.add(KEEPER_EPOCHS_PUBLISHED)
        log.info("epoch.published", tenant_id=tenant_id, epoch=epoch.number, revision=revision.number)
        return True

    def complain(error: Exception, tenant_id: int) -> None:
        log.error("epoch.not_published", cause=error, tenant_id=tenant_id)

    return Job("publish_epochs", INTERVAL_S, round_of(roster, "published", publish, complain))
