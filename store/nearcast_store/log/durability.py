"""What a Redis promises of an append that it has answered."""

from nearcast_ledger.event import Durability
from nearcast_store.connection import RedisConnection, RedisReplyError
from nearcast_store.errors import LogUnavailableError

_POLICY = {b"always": Durability.FSYNC, b"everysec": Durability.EVERYSEC}


async def offered_durability(connection: RedisConnection) -> Durability:
    """What a plain reply is worth; a service that hides its settings is asked in a roundabout way."""
    try:
        appendonly = await _setting(connection, "appendonly")
        policy = await _setting(connection, "appendfsync")
    except RedisReplyError:
        return await _offered_by_hidden_settings(connection)
    if appendonly != b"yes":
        return Durability.MEMORY
    return _POLICY.get(policy, Durability.MEMORY)


def require_durability(asked: Durability, offered: Durability) -> None:
    """Raise LogUnavailableError when an answer would promise more than was reached."""
    if offered < asked:
        raise LogUnavailableError(
            f"the log's Redis reaches durability {offered.name.lower()}, asked is {asked.name.lower()}: "
            "set appendonly yes and appendfsync in Redis, or log.durability lower"
        )


async def _setting(connection: RedisConnection, name: str) -> bytes:
    pairs = await connection.execute("CONFIG", "GET", name)
    return bytes(pairs[1]) if pairs else b""


async def _offered_by_hidden_settings(connection: RedisConnection) -> Durability:
    """WAITAOF is refused where nothing is written to disk; that it is written each second is the default."""
    try:
        await connection.execute("WAITAOF", 1, 0, 1)
    except RedisReplyError:
        return Durability.MEMORY
    return Durability.EVERYSEC
