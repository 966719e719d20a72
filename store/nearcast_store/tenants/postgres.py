"""Tenants and keys in Postgres."""

import time
from collections.abc import Callable, Sequence

from asyncpg import Record

from nearcast_store.postgres import Pool, affected
from nearcast_store.queries import queries
from nearcast_store.tenants.keys import check_slug, hash_of, new_key
from nearcast_store.tenants.protocol import Beat, Caller, KeyInfo, Role

_TENANTS = queries("tenants")


class PostgresTenantStore:
    """See TenantStore; `clock` gives unix seconds."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.time) -> None:
        self._pool = pool
        self._clock = clock

    async def ensure_tenant(self, slug: str, display_name: str) -> int:
        """The name of a tenant that is there already stays as it is."""
        check_slug(slug)
        async with self._pool.connection() as connection:
            made: int | None = await connection.fetchval(_TENANTS["add_tenant"], slug, display_name)
            if made is not None:
                return made
            found: int = await connection.fetchval(_TENANTS["find_tenant"], slug)
        return found

    async def tenants(self) -> list[tuple[int, str]]:
        """In the order they were made."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_TENANTS["list_tenants"])
        return [(row["tenant_id"], row["slug"]) for row in rows]

    async def everyone(self) -> list[tuple[int, str]]:
        """In the order they were made."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_TENANTS["list_everyone"])
        return [(row["tenant_id"], row["slug"]) for row in rows]

    async def create_key(
        self, tenant_id: int, role: Role, label: str, expires_at: float | None
    ) -> tuple[str, KeyInfo]:
        """DataRefusedError when there is no such tenant."""
        key = new_key(role)
        hashed, now = hash_of(key.text), self._clock()
        async with self._pool.transaction() as connection:
            key_id = await connection.fetchval(
                _TENANTS["add_key"], tenant_id, key.prefix, hashed, role, label, now, expires_at
            )
            row = await connection.fetchrow(_TENANTS["list_keys"], tenant_id, key_id)
        assert row is not None
        return key.text, _key_info(row)

    async def caller(self, key: str) -> Caller | None:
        """By the hash of the key, so that neither time nor errors tell anything of it."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_TENANTS["find_caller"], hash_of(key), self._clock())
        if row is None:
            return None
        return Caller(
            row["tenant_id"], row["slug"], row["role"], row["key_id"], row["suspended"], row["expires_at"]
        )

    async def keys(self, tenant_id: int) -> Sequence[KeyInfo]:
        """Oldest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_TENANTS["list_keys"], tenant_id, None)
        return [_key_info(row) for row in rows]

    async def revoke_key(self, tenant_id: int, key_id: int) -> bool:
        """Revoking it again leaves the time of the first."""
        async with self._pool.connection() as connection:
            status = await connection.execute(_TENANTS["revoke_key"], tenant_id, key_id, self._clock())
        return affected(status) == 1

    async def beat(self, process: str, now: float, fresh_at: float) -> None:
        """A beat from before the last one changes nothing."""
        async with self._pool.connection() as connection:
            await connection.execute(_TENANTS["beat"], process, now, fresh_at)

    async def last_beat(self, process: str) -> Beat | None:
        """None when it was never heard of."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_TENANTS["read_beat"], process)
        return None if row is None else Beat(row["beat_at"], row["fresh_at"])

    async def origin(self) -> str:
        """When the server began, and the number of the database: no restore leaves both as they were."""
        async with self._pool.connection() as connection:
            found: str = await connection.fetchval(_TENANTS["read_origin"])
        return found


def _key_info(row: Record) -> KeyInfo:
    return KeyInfo(
        row["key_id"],
        row["slug"],
        row["prefix"],
        row["role"],
        row["label"],
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
    )
