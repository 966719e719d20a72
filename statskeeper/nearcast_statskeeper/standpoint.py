"""Where a job stands: the policy in force, and how counts become evidence under it."""

from collections.abc import Mapping

from nearcast_store.counting.exposing import Exposing, exposing
from nearcast_store.curves.protocol import CurveStore
from nearcast_store.markets.protocol import MarketStore
from nearcast_store.policies.protocol import PolicyStore, Revision


class Standpoint:
    """Read straight from the stores: nothing may be derived under a policy that is no longer in force."""

    def __init__(
        self, policies: PolicyStore, curves: CurveStore | None = None, markets: MarketStore | None = None
    ) -> None:
        self._policies = policies
        self._curves = curves
        self._markets = markets

    async def take(self, tenant_id: int) -> tuple[Revision, Exposing]:
        """The tenant's. Raises StoreUnavailableError, UnreadablePolicyError."""
        revision = await self._policies.current(tenant_id)
        policy, curve = revision.policy, None
        markets: Mapping[str, int] = {}
        if self._curves is not None and policy.exposure.position_curve == "fitted":
            fit = await self._curves.latest(tenant_id)
            curve = fit.shares if fit else None
        if self._markets is not None and policy.markets:
            markets = (await self._markets.atlas(tenant_id)).numbers
        return revision, exposing(policy, curve, markets)
