"""Keeps the views current: polls what changed and publishes a new view, all of it or nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nearcast_server.evidence import Learner
from nearcast_server.orders import Order, orders_of
from nearcast_server.tenancy import Tenancies, Tokens, View
from nearcast_store.counting.protocol import CountStore
from nearcast_store.errors import StoreError, StoreUnavailableError
from nearcast_store.policies.protocol import Epoch, PolicyStore, Revision
from nearcast_store.tenants.protocol import TenantStore
from nearcast_telemetry.logs import logger

KEEPER = "keeper"
EPOCHS_KEPT_S = 86_400.0
KEYS_READ_EVERY_S = 5.0
log = logger("gateway")


@dataclass(slots=True)
class _Followed:
    """What one tenant's next view is built from."""

    learner: Learner = field(default_factory=Learner)
    horizon: int | None = None
    tokens: Tokens | None = None
    keys_read_at: float = 0.0
    revision: Revision | None = None
    orders: dict[str, Order] = field(default_factory=dict)
    epochs: dict[int, Epoch] = field(default_factory=dict)
    latest_epoch: Epoch | None = None


class Refresher:
    """Reads every tenant on a beat; a tenant that fails keeps its last view, marked as such."""

    def __init__(
        self,
        tenancies: Tenancies,
        tenants: TenantStore,
        policies: PolicyStore,
        counts: CountStore,
        clock: Callable[[], float],
        timeout_s: float = 5.0,
    ) -> None:
        self._tenancies = tenancies
        self._tenants = tenants
        self._policies = policies
        self._counts = counts
        self._clock = clock
        self._timeout_s = timeout_s
        self._followed: dict[int, _Followed] = {}
        self.refreshed = asyncio.Condition()

    async def run(self, interval_s: float, stop: asyncio.Event) -> None:
        """Refresh until told to stop."""
        while not stop.is_set():
            await self.refresh()
            try:
                async with asyncio.timeout(interval_s):
                    await stop.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> bool:
        """Read everything once; whether Postgres answered."""
        try:
            async with asyncio.timeout(self._timeout_s):
                beat_at = await self._tenants.last_beat(KEEPER)
                for tenant_id, _ in await self._tenants.tenants():
                    self._tenancies.publish(await self._view(tenant_id, beat_at))
        except (StoreError, TimeoutError) as error:
            self._mark_unavailable(error)
            return False
        async with self.refreshed:
            self.refreshed.notify_all()
        return True

    def _mark_unavailable(self, error: Exception) -> None:
        if not isinstance(error, StoreUnavailableError | TimeoutError):
            log.error("refresh.failed", error)
        for view in self._tenancies.known():
            if view.store_answers:
                log.warning("refresh.store_unavailable", tenant_id=view.tenant_id, error=error)
                self._tenancies.publish(replace(view, store_answers=False))

    async def _view(self, tenant_id: int, beat_at: float | None) -> View:
        followed = self._followed.setdefault(tenant_id, _Followed())
        now = self._clock()
        revision, tokens = await self._follow_policy(tenant_id, followed, now)
        await self._follow_epochs(tenant_id, followed, now)
        changes = await self._counts.changed_since(tenant_id, followed.horizon)
        followed.learner.learn(changes.rows, complete=changes.complete)
        followed.horizon = changes.horizon
        return View(
            tenant_id=tenant_id,
            revision=revision,
            orders=followed.orders,
            tokens=tokens,
            epochs=dict(followed.epochs),
            latest_epoch=followed.latest_epoch,
            evidence=followed.learner.evidence(now),
            read_at=now,
            keeper_beat_at=beat_at,
            store_answers=True,
        )

    async def _follow_policy(
        self, tenant_id: int, followed: _Followed, now: float
    ) -> tuple[Revision, Tokens]:
        revision = await self._policies.current(tenant_id)
        if followed.revision is None or followed.revision.number != revision.number:
            followed.learner.follow(revision)
            followed.orders = orders_of(revision.policy.feeds, revision.policy.exploration.sharpness)
            followed.revision = revision
        if followed.tokens is None or now - followed.keys_read_at >= KEYS_READ_EVERY_S:
            keyring = await self._policies.keyring(tenant_id)
            if followed.tokens is None or followed.tokens.keyring != keyring:
                followed.tokens = Tokens.of(keyring)
            followed.keys_read_at = now
        return revision, followed.tokens

    async def _follow_epochs(self, tenant_id: int, followed: _Followed, now: float) -> None:
        """Sessions go on with the epoch they began with, so a day of epochs is kept."""
        latest = followed.latest_epoch
        since = now - EPOCHS_KEPT_S if latest is None else latest.published_at
        for epoch in await self._policies.epochs_since(tenant_id, since):
            followed.epochs[epoch.number] = epoch
            if followed.latest_epoch is None or epoch.number > followed.latest_epoch.number:
                followed.latest_epoch = epoch
        gone = [n for n, e in followed.epochs.items() if now - e.published_at > EPOCHS_KEPT_S]
        for number in gone:
            if followed.latest_epoch is None or number != followed.latest_epoch.number:
                del followed.epochs[number]
