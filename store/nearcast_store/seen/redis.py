"""What people have seen, in Redis: for each a sorted set of postings by when they were shown."""

from collections.abc import Iterator, Sequence

from nearcast_store import redis_keys
from nearcast_store.connection import Command, RedisConnection, RedisDownError, RedisReplyError, Reply
from nearcast_store.errors import SeenUnavailableError
from nearcast_store.seen.protocol import Sightings


class RedisSeenStore:
    """One round trip each way; a set nobody adds to goes by itself when all in it is too old."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def add(self, sightings: Sequence[Sightings]) -> None:
        """One person's trouble is not another's: what can be added is."""
        await self._exchange([command for one in sightings for command in _additions(one)])

    async def seen_since(
        self, tenant_id: int, subject_hashes: Sequence[bytes], since_ms: int, most: int
    ) -> frozenset[int]:
        """Bounded here too, as it may hold what an earlier policy kept."""
        replies = await self._exchange(
            [
                ("ZREVRANGEBYSCORE", redis_keys.seen(tenant_id, each), "+inf", since_ms, "LIMIT", 0, most)
                for each in subject_hashes
            ]
        )
        return frozenset(int(posting) for reply in replies for posting in reply)

    async def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        try:
            replies = await self._connection.exchange(commands)
        except RedisDownError as error:
            raise SeenUnavailableError(f"what people have seen cannot be reached: {error}") from error
        for reply in replies:
            if isinstance(reply, RedisReplyError):
                raise SeenUnavailableError(f"what a person has seen cannot be used: {reply}") from reply
        return replies


def _additions(one: Sightings) -> Iterator[Command]:
    key = redis_keys.seen(one.tenant_id, one.subject_hash)
    pairs = [part for posting, shown_ms in one.shown_ms.items() for part in (shown_ms, posting)]
    yield ("ZADD", key, "GT", *pairs)
    yield ("ZREMRANGEBYSCORE", key, "-inf", f"({one.since_ms}")
    yield ("ZREMRANGEBYRANK", key, 0, -one.most - 1)
    yield ("PEXPIRE", key, one.keep_ms)
