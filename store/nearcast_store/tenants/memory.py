"""Tenants and keys in memory, for the simulation and for tests."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nearcast_store.errors import DataRefusedError
from nearcast_store.tenants.keys import check_slug, hash_of, new_key
from nearcast_store.tenants.protocol import Beat, Caller, KeyInfo, Role


class MemoryTenantStore:
    """See TenantStore; `clock` gives unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slugs: dict[str, int] = {}
        self._keys: dict[bytes, tuple[int, KeyInfo]] = {}
        self._beats: dict[str, Beat] = {}

    async def ensure_tenant(self, slug: str, display_name: str) -> int:  # noqa: ARG002
        """The display name is not kept."""
        check_slug(slug)
        return self._slugs.setdefault(slug, len(self._slugs) + 1)

    async def tenants(self) -> list[tuple[int, str]]:
        """In the order they were made; none is ever suspended."""
        return [(tenant_id, slug) for slug, tenant_id in self._slugs.items()]

    async def everyone(self) -> list[tuple[int, str]]:
        """The same."""
        return await self.tenants()

    async def create_key(
        self, tenant_id: int, role: Role, label: str, expires_at: float | None
    ) -> tuple[str, KeyInfo]:
        """DataRefusedError when there is no such tenant."""
        key = new_key(role)
        slug = next((slug for slug, number in self._slugs.items() if number == tenant_id), None)
        if slug is None:
            raise DataRefusedError(f"there is no tenant {tenant_id}")
        info = KeyInfo(len(self._keys) + 1, slug, key.prefix, role, label, self._clock(), expires_at, None)
        self._keys[hash_of(key.text)] = (tenant_id, info)
        return key.text, info

    async def caller(self, key: str) -> Caller | None:
        """By the hash of the key."""
        tenant_id, info = self._keys.get(hash_of(key), (0, None))
        if info is None or info.revoked_at is not None:
            return None
        if info.expires_at is not None and info.expires_at <= self._clock():
            return None
        return Caller(tenant_id, info.tenant, info.role, info.key_id, False, info.expires_at)

    async def keys(self, tenant_id: int) -> Sequence[KeyInfo]:
        """Oldest first."""
        return [info for owner, info in self._keys.values() if owner == tenant_id]

    async def revoke_key(self, tenant_id: int, key_id: int) -> bool:
        """Revoking it again leaves the time of the first."""
        for hashed, (owner, info) in self._keys.items():
            if (owner, info.key_id) == (tenant_id, key_id):
                revoked_at = self._clock() if info.revoked_at is None else info.revoked_at
                self._keys[hashed] = (owner, replace(info, revoked_at=revoked_at))
                return True
        return False

    async def beat(self, process: str, now: float, fresh_at: float) -> None:
        """A beat from before the last one changes nothing."""
        known = self._beats.get(process)
        if known is None or known.beat_at <= now:
            self._beats[process] = Beat(now, fresh_at)

    async def last_beat(self, process: str) -> Beat | None:
        """None when it was never heard of."""
        return self._beats.get(process)

    async def origin(self) -> str:
        """One store is one run."""
        return f"memory {id(self)}"
