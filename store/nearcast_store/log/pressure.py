"""How near the event log is to its limits: the oldest unfinished entry, the memory, the entries held."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nearcast_store import redis_keys
from nearcast_store.connection import Command, RedisConnection, RedisReplyError, Reply
from nearcast_store.log.room import memory_share
from nearcast_store.log.source import GROUP

MOST_STREAMS = 256
_NEVER = b"0-0"


@dataclass(frozen=True, slots=True)
class LogPressure:
    """`backlog_s` is the age of the oldest entry that no keeper has finished, 0 when there is none.

    `memory_share` is of `maxmemory`, else of the machine's memory; None when Redis does not tell.
    """

    backlog_s: float
    memory_share: float | None
    entries: int


@dataclass(frozen=True, slots=True)
class _Stream:
    """One stream as last looked at; `oldest_ms` None when all of it is finished."""

    entries: int
    oldest_ms: int | None


class RedisLogPressure:
    """Looks at so many streams at a time and remembers the others, so that a look stays short."""

    def __init__(self, connection: RedisConnection, shards: int, most_streams: int = MOST_STREAMS) -> None:
        self._connection = connection
        self._shards = shards
        self._most_streams = most_streams
        self._streams: dict[str, _Stream] = {}

    async def read(self, tenant_ids: Sequence[int]) -> LogPressure:
        """As it stands now. Raises RedisDownError, RedisReplyError."""
        wanted = dict.fromkeys(key for key, _ in redis_keys.logs(tenant_ids, self._shards))
        known = {key: stream for key, stream in self._streams.items() if key in wanted}
        never = [key for key in wanted if key not in known]
        looked_at = [*never, *known][: self._most_streams]
        clock, memory, *replies = await self._connection.exchange(
            [("TIME",), ("INFO", "memory"), *_asked(looked_at)]
        )
        if isinstance(clock, RedisReplyError):
            raise clock
        for key, stream in zip(looked_at, await self._look(looked_at, replies), strict=True):
            known.pop(key, None)  # to the end: whoever was looked at is looked at last
            known[key] = stream
        self._streams = known
        return _sum(known.values(), int(clock[0]) * 1000 + int(clock[1]) // 1000, memory)

    async def _look(self, keys: Sequence[str], replies: Sequence[Reply]) -> list[_Stream]:
        """What the replies say of each stream, and where its unread entries begin."""
        unread = await self._connection.exchange(
            [
                ("XRANGE", key, b"(" + _delivered(groups), "+", "COUNT", 1)
                for key, groups in zip(keys, replies[::3], strict=True)
            ]
        )
        return [_stream(*told) for told in zip(replies[1::3], replies[2::3], unread, strict=True)]


def _sum(streams: Iterable[_Stream], now_ms: int, memory: Reply) -> LogPressure:
    streams = tuple(streams)
    oldest_ms = min((each.oldest_ms for each in streams if each.oldest_ms is not None), default=now_ms)
    return LogPressure(
        backlog_s=max(0, now_ms - oldest_ms) / 1000,
        memory_share=_memory_share(memory),
        entries=sum(each.entries for each in streams),
    )


def _asked(keys: Sequence[str]) -> list[Command]:
    return [
        command
        for key in keys
        for command in (("XINFO", "GROUPS", key), ("XPENDING", key, GROUP), ("XLEN", key))
    ]


def _delivered(groups: Reply) -> bytes:
    """Up to where the keepers' group has read; a stream without one is unread."""
    for group in [] if isinstance(groups, RedisReplyError) else groups:
        facts = dict(zip(group[::2], group[1::2], strict=True))
        if facts[b"name"] == GROUP.encode():
            return bytes(facts[b"last-delivered-id"])
    return _NEVER


def _stream(pending: Reply, length: Reply, unread: Reply) -> _Stream:
    first = [] if isinstance(pending, RedisReplyError) or not pending[0] else [pending[1]]
    first += [] if isinstance(unread, RedisReplyError) else [entry[0] for entry in unread]
    oldest = min((int(entry_id.partition(b"-")[0]) for entry_id in first), default=None)
    return _Stream(0 if isinstance(length, RedisReplyError) else length, oldest)


def _memory_share(info: Reply) -> float | None:
    if isinstance(info, RedisReplyError):
        return None
    facts: Mapping[str, str] = {
        name: value for name, _, value in (line.partition(":") for line in info.decode().splitlines())
    }
    return memory_share(facts)
