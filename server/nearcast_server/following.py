"""One tenant as the store has it: what changed is read piece by piece, until the next view can be made."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nearcast_config.caps import Caps
from nearcast_server.capping import NOTHING_CAPPED, Capped, Capper, Owners
from nearcast_server.contending import Contenders
from nearcast_server.evidence import Learner
from nearcast_server.noticeboard import Notice
from nearcast_server.orders import Order, orders_of
from nearcast_server.surfaces import Surface, surfaces_of
from nearcast_server.tenancy import Tokens, View
from nearcast_store.counting.exposing import exposing
from nearcast_store.counting.protocol import CountRow, CountStore
from nearcast_store.curves.protocol import CurveFit, CurveStore
from nearcast_store.errors import SchemaError
from nearcast_store.experiments.protocol import RunningExperiments
from nearcast_store.markets.atlas import NO_MARKETS, Atlas
from nearcast_store.markets.protocol import MarketStore
from nearcast_store.policies.protocol import Epoch, PolicyStore, Revision
from nearcast_store.priors.protocol import PriorStore
from nearcast_store.tenants.protocol import Beat
from nearcast_telemetry.logs import logger

EPOCHS_KEPT_S = 86_400.0
KEYS_READ_EVERY_S = 5.0
log = logger("gateway")


@dataclass(frozen=True, slots=True)
class Regional:
    """What differs from place to place, was fitted, or is tried; a simulation may have none of it."""

    markets: MarketStore | None = None
    priors: PriorStore | None = None
    owners: Owners | None = None
    curves: CurveStore | None = None
    experiments: RunningExperiments | None = None
    # Whether views must say in which market people are; if not, markets are read when policies name some.
    places_people: bool = True


class Following:
    """Keeps what was read when a read fails, so that the next one goes on from there."""

    def __init__(
        self,
        tenant_id: int,
        policies: PolicyStore,
        counts: CountStore,
        clock: Callable[[], float],
        regional: Regional | None = None,
    ) -> None:
        self._tenant_id = tenant_id
        self._regional = regional or Regional()
        self._policies = policies
        self._counts = counts
        self._clock = clock
        self._learner = Learner()
        self._capper = Capper(tenant_id, self._regional.owners)
        self._contenders = Contenders(tenant_id, policies, self._regional.experiments)
        self._horizon: int | None = None
        self._next_horizon = 0
        self._after: CountRow | None = None
        self._complete = False
        self._changed: set[int] | None = set()
        self._tokens: Tokens | None = None
        self._keys_read_at = 0.0
        self._revision: Revision | None = None
        self._unreadable = ""
        self._learned_by = (0, 0, 0)
        self._orders: dict[str, Order] = {}
        self._surfaces: dict[str, Surface] = {}
        self._epochs: dict[int, Epoch] = {}
        self._latest_epoch: Epoch | None = None

    async def view(self, beat: Beat | None) -> View:
        """The tenant as it is now."""
        revision = await self._follow_policy()
        await self._contenders.follow(revision)
        tokens = await self._follow_keys()
        await self._follow_epochs()
        atlas = await self._follow_markets(revision)
        self._learn_under(revision, await self._follow_curve(revision), atlas)
        await self._follow_priors()
        read_at = self._clock()
        await self._follow_counts()
        view = View(
            tenant_id=self._tenant_id,
            revision=revision,
            orders=self._orders,
            tokens=tokens,
            epochs=dict(self._epochs),
            latest_epoch=self._latest_epoch,
            evidence=self._learner.evidence(self._clock()),
            read_at=read_at,
            beat=beat,
            store_answers=True,
            atlas=atlas,
            surfaces=self._surfaces,
            capped=await self._follow_caps(revision.policy.caps),
        )
        return self._contenders.around(view)

    def notice(self, view: View) -> Notice:
        """What changed since the last notice, for those who watch."""
        changed, self._changed = self._changed, set()
        return Notice(changed, self._next_horizon, view.mark)

    async def _follow_policy(self) -> Revision:
        """A policy that only a newer version can read leaves the last one in force."""
        try:
            revision = await self._policies.current(self._tenant_id)
        except SchemaError as error:
            if self._revision is None:
                raise
            if self._unreadable != str(error):
                log.error("policy.unreadable", tenant_id=self._tenant_id, error=error)
                self._unreadable = str(error)
            return self._revision
        if self._revision is None or self._revision.number != revision.number:
            self._orders = orders_of(revision.policy)
            self._surfaces = surfaces_of(revision.policy.scenarios)
            self._revision = revision
        return revision

    def _learn_under(self, revision: Revision, curve: CurveFit | None, atlas: Atlas) -> None:
        """All that evidence is derived by changes together; most times nothing has."""
        by = (revision.number, curve.number if curve else 0, atlas.revision if revision.policy.markets else 0)
        if by == self._learned_by:
            return
        policy = revision.policy
        kept = exposing(policy, curve.shares if curve else None, atlas.numbers)
        self._learner.follow(revision, self._clock(), kept, atlas.numbers)
        self._learned_by = by

    async def _follow_curve(self, revision: Revision) -> CurveFit | None:
        """Only where the policy asks for it."""
        curves = self._regional.curves
        if curves is None or revision.policy.exposure.position_curve != "fitted":
            return None
        return await curves.latest(self._tenant_id)

    async def _follow_keys(self) -> Tokens:
        now = self._clock()
        if self._tokens is None or now - self._keys_read_at >= KEYS_READ_EVERY_S:
            keyring = await self._policies.keyring(self._tenant_id)
            if self._tokens is None or self._tokens.keyring != keyring:
                self._tokens = Tokens.of(keyring)
            self._keys_read_at = now
        return self._tokens

    async def _follow_epochs(self) -> None:
        """Sessions go on with the epoch they began with, so a day of epochs is kept."""
        now, latest = self._clock(), self._latest_epoch
        since = now - EPOCHS_KEPT_S if latest is None else latest.published_at
        for epoch in await self._policies.epochs_since(self._tenant_id, since):
            self._epochs[epoch.number] = epoch
            if self._latest_epoch is None or epoch.number > self._latest_epoch.number:
                self._latest_epoch = epoch
        newest = self._latest_epoch.number if self._latest_epoch else 0
        for number, epoch in list(self._epochs.items()):
            if number != newest and now - epoch.published_at > EPOCHS_KEPT_S:
                del self._epochs[number]

    async def _follow_markets(self, revision: Revision) -> Atlas:
        markets = self._regional.markets
        if markets is None or not (self._regional.places_people or revision.policy.markets):
            return NO_MARKETS
        return await markets.atlas(self._tenant_id)

    async def _follow_priors(self) -> None:
        if self._regional.priors is not None:
            self._learner.assume(await self._regional.priors.latest(self._tenant_id))

    async def _follow_caps(self, caps: Caps) -> Capped:
        if not caps.are_set:
            return NOTHING_CAPPED
        return await self._capper.capped(caps, self._learner.last_hours().lately(self._clock()))

    async def _follow_counts(self) -> None:
        """All of them the first time, in parts that leave the loop to others in between."""
        more = True
        while more:
            changes = await self._counts.changed_since(self._tenant_id, self._horizon, self._after)
            if self._after is not None and changes.complete is not self._complete:
                self._horizon = self._after = None
                continue
            if self._after is None:
                self._next_horizon, self._complete = changes.horizon, changes.complete
                if changes.complete:
                    self._learner.forget()
                    self._changed = None
            changed = self._learner.learn(changes.rows)
            if self._changed is not None:
                self._changed |= changed
            more = changes.more
            self._after = changes.rows[-1] if more else None
            await asyncio.sleep(0)
        self._horizon = self._next_horizon
