"""Which tenants there are and what each has set, as known a moment ago."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from nearcast_statskeeper.pacing import Clock
from nearcast_store.policies.protocol import PolicyStore, Revision
from nearcast_store.tenants.protocol import TenantStore

TENANTS_STALE_S = 1.0
REVISION_STALE_S = 5.0


class Roster:
    """Asks Postgres now and then; what it knows is at most seconds old. Raises StoreUnavailableError."""

    def __init__(self, tenants: TenantStore, policies: PolicyStore, clock: Clock) -> None:
        self._tenants = tenants
        self._policies = policies
        self._clock = clock
        self._ids: tuple[int, ...] = ()
        self._ids_read_at: float | None = None
        self._revisions: dict[int, tuple[Revision, float]] = {}

    async def tenant_ids(self) -> tuple[int, ...]:
        """Every tenant that is not suspended."""
        if self._ids_read_at is None or self._is_older(self._ids_read_at, TENANTS_STALE_S):
            self._ids = tuple(tenant_id for tenant_id, _ in await self._tenants.tenants())
            self._ids_read_at = self._clock()
        return self._ids

    async def revision(self, tenant_id: int) -> Revision:
        """The tenant's policy."""
        known = self._revisions.get(tenant_id)
        if known is None or self._is_older(known[1], REVISION_STALE_S):
            known = (await self._policies.current(tenant_id), self._clock())
            self._revisions[tenant_id] = known
        return known[0]

    async def rewarding_kinds(self, seen: Mapping[int, AbstractSet[int]]) -> dict[int, frozenset[int]]:
        """For each tenant, which kinds reward a feed; a kind not known yet is asked for at once."""
        rewarding = {}
        for tenant_id, kinds in seen.items():
            revision = await self.revision(tenant_id)
            if not kinds <= set(revision.kinds.values()):
                del self._revisions[tenant_id]
                revision = await self.revision(tenant_id)
            rewarding[tenant_id] = frozenset(
                revision.kinds[slug]
                for slug, kind in revision.policy.kinds.items()
                if kind.rewards_feed and slug in revision.kinds
            )
        return rewarding

    def _is_older(self, read_at: float, most_s: float) -> bool:
        # A clock that was set back must not make what is known look fresh for ever.
        return not 0 <= self._clock() - read_at <= most_s
