"""Keeping the log in Redis short without losing what is unread, and saying how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from nearcast_store import redis_keys
from nearcast_store.connection import Command
from nearcast_store.log.room import memory_share
from nearcast_store.log.shards import count_shards
from nearcast_store.log.source import GROUP, translated_errors
from nearcast_store.redis_client import run, run_all, run_each

# In one piece: a keeper that wakes and reads in between would lose what it was handed.
_FORGET_CONSUMERS = """
local forgotten = 0
for _, told in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local facts = {}
  for place = 1, #told, 2 do facts[told[place]] = told[place + 1] end
  if facts['pending'] == 0 and facts['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], facts['name'])
    forgotten = forgotten + 1
  end
end
return forgotten
"""


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
        shards = dict(redis_keys.logs(tenant_ids, self._shards))
        notes: list[Command] = []
        trims: list[Command] = []
        with translated_errors():
            now_ms = await self._now_ms()
            known_ms = await self._forgotten_ms(tenant_ids)
            for key, unfinished_ms in await self._unfinished(tenant_ids):
                # Where all is finished, what comes next comes later than now.
                bound_ms = max((now_ms if unfinished_ms is None else unfinished_ms) - int(keep_s * 1000), 0)
                tenant_id, shard = shards[key]
                if bound_ms > known_ms.get(shards[key], 0):
                    notes.append(("HSET", redis_keys.forgotten(tenant_id), shard, bound_ms))
                trims.append(("XTRIM", key, "MINID", f"{bound_ms}-0"))
            # Noted first: whoever replays must never believe that something is there which is not.
            await run_all(self._redis, notes)
            return sum(await run_all(self._redis, trims))

    async def widen(self, tenant_ids: Sequence[int]) -> int:
        """Take in the shards beyond the number that was set; how many there are with them."""
        with translated_errors():
            self._shards = await count_shards(self._redis, tenant_ids, self._shards)
        return self._shards

    async def forget_consumers(self, tenant_ids: Sequence[int], idle_s: float) -> int:
        """Forget readers that hold nothing and have not asked for so long; how many, in all streams."""
        with translated_errors():
            commands: list[Command] = [
                ("EVAL", _FORGET_CONSUMERS, 1, key, group.name, int(idle_s * 1000))
                for key, groups in (await self._groups(tenant_ids)).items()
                for group in groups
                if group.name == GROUP
            ]
            return sum(await run_all(self._redis, commands))

    async def memory_share(self) -> float | None:
        """How much of its memory Redis has used; None when it does not tell."""
        with translated_errors():
            return memory_share(await run(self._redis, "INFO", "memory"))

    async def oldest_s(self, tenant_ids: Sequence[int]) -> float | None:
        """When the first entry that is still there was appended, by Redis's clock; None without any."""
        keys = [key for key, _ in redis_keys.logs(tenant_ids, self._shards)]
        with translated_errors():
            firsts = await run_all(self._redis, [("XRANGE", key, "-", "+", "COUNT", 1) for key in keys])
        return min((_appended_ms(entries) / 1000 for entries in firsts if entries), default=None)

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
            now_ms = await self._now_ms()
        streams = redis_keys.logs(tenant_ids, self._shards)
        return [
            ShardStatus(*shard, length, keepers[key].pending, _oldest_s(keepers[key], first, now_ms))
            for (key, shard), length, first in zip(streams, lengths, firsts, strict=True)
        ]

    async def _unfinished(self, tenant_ids: Sequence[int]) -> list[tuple[str, int | None]]:
        """Of each stream that has groups, when the first entry came that one of them has not finished."""
        groups = [(key, group) for key, some in (await self._groups(tenant_ids)).items() for group in some]
        looks: list[Command] = [
            ("XRANGE", key, group.oldest_pending or f"({group.last_delivered}", "+", "COUNT", 1)
            for key, group in groups
        ]
        firsts: dict[str, int | None] = {}
        for (key, _), entries in zip(groups, await run_all(self._redis, looks), strict=True):
            came_ms = _appended_ms(entries) if entries else None
            known_ms = firsts.get(key)
            firsts[key] = came_ms if known_ms is None else min(known_ms, came_ms or known_ms)
        return list(firsts.items())

    async def _forgotten_ms(self, tenant_ids: Sequence[int]) -> dict[tuple[int, int], int]:
        replies = await run_all(self._redis, [("HGETALL", redis_keys.forgotten(each)) for each in tenant_ids])
        return {
            (tenant_id, int(shard)): int(ms)
            for tenant_id, noted in zip(tenant_ids, replies, strict=True)
            for shard, ms in noted.items()
        }

    async def _now_ms(self) -> int:
        seconds, micros = await run(self._redis, "TIME")
        return int(seconds) * 1000 + int(micros) // 1000

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
        return max(0, now_ms - _appended_ms(first_unread)) / 1000
    return 0.0


def _appended_ms(entries: Sequence[tuple[bytes, object]]) -> int:
    return _milliseconds(entries[0][0].decode())


def _milliseconds(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
