"""The right to be the only one who does something, for as long as a connection lives."""

import hashlib

import asyncpg

from nearcast_store.errors import StoreUnavailableError
from nearcast_store.postgres import translated

_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}


class Lease:
    """Held by an advisory lock on a connection of its own: when that is gone, so is the lease."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
        self._connection = connection
        self.name = name

    async def held(self) -> bool:
        """Whether the connection that holds the lock still answers."""
        try:
            with translated():
                return bool(await self._connection.fetchval("select true"))
        except StoreUnavailableError:
            return False

    async def release(self) -> None:
        """Give it back; losing the connection does that too."""
        try:
            with translated():
                await self._connection.close(timeout=1.0)
        except StoreUnavailableError:
            self._connection.terminate()


async def try_lease(dsn: str, name: str, timeout_s: float = 5.0) -> Lease | None:
    """The lease of that name, None while somebody else holds it; `timeout_s` bounds every step of it."""
    with translated():
        connection = await asyncpg.connect(
            dsn,
            timeout=timeout_s,
            command_timeout=timeout_s,
            server_settings={"application_name": f"nearcast lease {name}", **_KEEPALIVE},
        )
        try:
            taken = await connection.fetchval("select pg_try_advisory_lock($1)", _lock_number(name))
        except BaseException:
            connection.terminate()
            raise
    if taken:
        return Lease(connection, name)
    await connection.close(timeout=timeout_s)
    return None


def _lock_number(name: str) -> int:
    """A signed 64-bit number for a name, the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
