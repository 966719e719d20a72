"""What the events of one tenant are judged by, as of now."""

from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_store.errors import StoreError
from nearcast_store.intake.judging import Grounds
from nearcast_store.policies.protocol import PolicyStore
from nearcast_store.tenants.protocol import TenantStore


class SourceTenantError(StoreError):
    """The tenant whose events the source holds is not there."""


class TenantGrounds:
    """Of the tenant with that slug, read anew each time."""

    def __init__(self, slug: str, tenants: TenantStore, policies: PolicyStore) -> None:
        self._slug = slug
        self._tenants = tenants
        self._policies = policies

    async def __call__(self) -> Grounds:
        """Raises SourceTenantError, StoreUnavailableError."""
        known = {slug: tenant_id for tenant_id, slug in await self._tenants.tenants()}
        tenant_id = known.get(self._slug)
        if tenant_id is None:
            raise SourceTenantError(
                f"keeper.source.tenant: there is no tenant {self._slug} that is not suspended; "
                f"known: {', '.join(sorted(known)) or 'none'}"
            )
        keyring = await self._policies.keyring(tenant_id)
        return Grounds(tenant_id, await self._policies.current(tenant_id), keyring, RewardTokens(keyring))
