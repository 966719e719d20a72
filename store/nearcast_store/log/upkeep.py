"""Keeping the log in Redis short without losing what is unread, and saying how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from nearcast_store import redis_keys
from nearcast_store.connection import Command
from nearcast_store.log.source import GROUP, translated_errors
from nearcast_store.redis_client import run, run_all, run_each


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One stream: entries held, those handed out and not acknowledged, the age of the oldest unfinished."""

    tenant_id: int
    shard: int
    length: int
    pending: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class _Group:
    """How far one group is in one stream, as entry ids; `oldest_pending` is empty when nothing is."""

    name: str
    last_delivered: str
    pending: int
    oldest_pending: str


_NOBODY = _Group(GROUP, last_delivered="0-0", pending=0, oldest_pending="")


class RedisLogUpkeep:
    """Looks at the streams of all tenants and shards. Raises LogUnavailableError."""

    def __init__(self, redis: Redis, shards: int) -> None:
        self._redis = redis
        self._shards = shards

    async def trim(self, tenant_ids: Sequence[int], keep_s: float) -> int:
        """Forget what is older by `keep_s` than the first entry that a group has not finished; how many."""
        commands: list[Command] = []
        with translated_errors():
            for key, groups in (await self._groups(tenant_ids)).items():
                unfinished = [group.oldest_pending or group.last_delivered for group in groups]
                if unfinished:
                    bound_ms = min(map(_milliseconds, unfinished)) - int(keep_s * 1000)
                    commands.append(("XTRIM", key, "MINID", f"{max(bound_ms, 0)}-0"))
            return sum(await run_all(self._redis, commands))

    async def status(self, tenant_ids: Sequence[int]) -> list[ShardStatus]:
        """How each stream stands with the keeper's group."""
        with translated_errors():
            keepers = {
                key: next((group for group in groups if group.name == GROUP), _NOBODY)
                for key, groups in (await self._groups(tenant_ids)).items()
            }
            lengths = await run_all(self._redis, [("XLEN", key) for key in keepers])
            unread: list[Command] = [
                ("XRANGE", key, f"({keeper.last_delivered}", "+", "COUNT", 1)
                for key, keeper in keepers.items()
            ]
            firsts = await run_all(self._redis, unread)
            seconds, micros = await run(self._redis, "TIME")
        now_ms = seconds * 1000 + micros // 1000
        streams = redis_keys.logs(tenant_ids, self._shards)
        return [
            ShardStatus(*shard, length, keepers[key].pending, _oldest_s(keepers[key], first, now_ms))
            for (key, shard), length, first in zip(streams, lengths, firsts, strict=True)
        ]

    async def _groups(self, tenant_ids: Sequence[int]) -> dict[str, list[_Group]]:
        keys = [key for key, _ in redis_keys.logs(tenant_ids, self._shards)]
        infos = await run_each(self._redis, [("XINFO GROUPS", key) for key in keys])
        # A stream that does not exist answers with an error: nobody reads it.
        named = [
            (key, info)
            for key, reply in zip(keys, infos, strict=True)
            for info in ([] if isinstance(reply, ResponseError) else reply)
        ]
        pending = await run_all(self._redis, [("XPENDING", key, info["name"]) for key, info in named])
        groups: dict[str, list[_Group]] = {key: [] for key in keys}
        for (key, info), summary in zip(named, pending, strict=True):
            oldest, last = summary["min"] or b"", info["last-delivered-id"]
            groups[key].append(
                _Group(info["name"].decode(), last.decode(), summary["pending"], oldest.decode())
            )
        return groups


def _oldest_s(keeper: _Group, first_unread: Sequence[tuple[bytes, object]], now_ms: int) -> float:
    if keeper.oldest_pending:
        return max(0, now_ms - _milliseconds(keeper.oldest_pending)) / 1000
    if first_unread:
        return max(0, now_ms - _milliseconds(first_unread[0][0].decode())) / 1000
    return 0.0


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
