"""Records of decisions on their way to Postgres: a stream of their own, which nobody depends on.

Its length is what the keeper has still to take: beyond a bound nothing more is appended, so that a keeper
that is away costs Redis a known amount.
"""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection

MOST_WAITING = 1000
_ID, _RECORD = b"i", b"r"


class Logged(Struct, frozen=True):
    """One record, packed; `entry` is its name in the stream, empty before it is there."""

    request_id: UUID
    record: bytes
    entry: bytes = b""


class RedisDecisionStream:
    """Both ends. Raises RedisDownError, RedisReplyError."""

    def __init__(self, connection: RedisConnection, most_waiting: int = MOST_WAITING) -> None:
        self._connection = connection
        self._most_waiting = most_waiting

    async def append(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        """How many there was room for, which are the first of them."""
        key = redis_keys.decisions(tenant_id)
        room = max(self._most_waiting - int(await self._connection.execute("XLEN", key)), 0)
        taken = logged[:room]
        await self._connection.pipeline(
            [("XADD", key, "*", _ID, each.request_id.bytes, _RECORD, each.record) for each in taken]
        )
        return len(taken)

    async def read(self, tenant_id: int, most: int) -> list[Logged]:
        """The oldest that wait; what is none of ours is given with an id of zeros."""
        found = await self._connection.execute(
            "XRANGE", redis_keys.decisions(tenant_id), "-", "+", "COUNT", most
        )
        return [_logged(entry, dict(zip(fields[::2], fields[1::2], strict=True))) for entry, fields in found]

    async def forget(self, tenant_id: int, entries: Sequence[bytes]) -> None:
        """They are kept elsewhere now, or never will be."""
        if entries:
            await self._connection.execute("XDEL", redis_keys.decisions(tenant_id), *entries)


def _logged(entry: bytes, fields: dict[bytes, bytes]) -> Logged:
    name = fields.get(_ID, b"")
    return Logged(UUID(bytes=name if len(name) == 16 else bytes(16)), fields.get(_RECORD, b""), entry)
