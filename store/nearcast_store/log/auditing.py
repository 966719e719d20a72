"""The log in Redis as an auditor sees it: how far the keepers are, every entry again, and the way back."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from nearcast_store import redis_keys
from nearcast_store.log.protocol import Record
from nearcast_store.log.shards import count_shards
from nearcast_store.log.source import GROUP, record_of, translated_errors
from nearcast_store.redis_client import run, run_each

EntryPlace = tuple[int, int]
"""An entry's id as two numbers that compare as the entries do."""

_START: EntryPlace = (0, 0)
_LARGEST_SEQUENCE = 2**64 - 1
_ENTRIES_AT_ONCE = 100
_PENDING_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """How one stream stands with the keepers' group.

    `added` and `read` are Redis's own counters of entries, None where it does not know them. Entries from
    before `forgotten_ms` may have been trimmed; None when none were, as far as nearcast did it.
    """

    tenant_id: int
    shard: int
    length: int
    first: EntryPlace
    last: EntryPlace
    delivered: EntryPlace
    added: int | None
    read: int | None
    pending: int
    has_group: bool
    forgotten_ms: int | None


class RedisLogAudit:
    """Raises LogUnavailableError."""

    def __init__(self, redis: Redis, shards: int) -> None:
        self._redis = redis
        self._shards = shards

    async def heads(self, tenant_ids: Sequence[int]) -> list[Head]:
        """Of every shard, those beyond the number that was set included; one that is not there is empty."""
        with translated_errors():
            shards = await count_shards(self._redis, tenant_ids, self._shards)
            streams = list(redis_keys.logs(tenant_ids, shards))
            groups = await run_each(self._redis, [("XINFO GROUPS", key) for key, _ in streams])
            infos = await run_each(self._redis, [("XINFO STREAM", key) for key, _ in streams])
            forgotten = await run_each(
                self._redis, [("HGET", redis_keys.forgotten(each), shard) for _, (each, shard) in streams]
            )
        return [
            _head(*shard, _known(info), _known(group), _known(noted))
            for (_, shard), info, group, noted in zip(streams, infos, groups, forgotten, strict=True)
        ]

    async def unfinished(self, head: Head) -> set[str]:
        """Entries handed out and not acknowledged."""
        if not head.pending:
            return set()
        key, start, found = redis_keys.log(head.tenant_id, head.shard), "-", set[str]()
        while True:
            with translated_errors():
                replies = await run_each(
                    self._redis,
                    [("XPENDING", key, GROUP, start, "+", _PENDING_AT_ONCE)],
                    parse_detail=True,
                )
            rows = _known(replies[0]) or []
            found |= {row["message_id"].decode() for row in rows}
            if len(rows) < _PENDING_AT_ONCE:
                return found
            start = f"({rows[-1]['message_id'].decode()}"

    async def records(self, head: Head, since: EntryPlace) -> AsyncIterator[list[Record]]:
        """The entries from that place up to the head's last one, some at a time, as a keeper reads them."""
        key, start = redis_keys.log(head.tenant_id, head.shard), _id(since)
        while True:
            with translated_errors():
                entries = await run(
                    self._redis, "XRANGE", key, start, _id(head.last), "COUNT", _ENTRIES_AT_ONCE
                )
            if entries:
                yield [
                    record_of(head.tenant_id, head.shard, entry_id.decode(), fields or {})
                    for entry_id, fields in entries
                ]
            if len(entries) < _ENTRIES_AT_ONCE:
                return
            start = f"({entries[-1][0].decode()}"

    async def set_back(self, head: Head, to_ms: int) -> None:
        """Let the keepers' group read again whatever was appended at that time or later."""
        before = (to_ms - 1, _LARGEST_SEQUENCE) if to_ms > 0 else _START
        with translated_errors():
            key = redis_keys.log(head.tenant_id, head.shard)
            await run(self._redis, "XGROUP SETID", key, GROUP, _id(before))


def place_of(entry_id: str) -> EntryPlace:
    """Where in its stream an entry stands."""
    ms, _, sequence = entry_id.partition("-")
    return int(ms), int(sequence or 0)


def _head(
    tenant_id: int,
    shard: int,
    info: dict[str, Any] | None,
    groups: list[dict[str, Any]] | None,
    noted: bytes | None,
) -> Head:
    group = next((group for group in groups or [] if group["name"] == GROUP.encode()), None)
    first_entry = info["first-entry"] if info else None
    return Head(
        tenant_id=tenant_id,
        shard=shard,
        length=info["length"] if info else 0,
        first=place_of(first_entry[0].decode()) if first_entry else _START,
        last=place_of(info["last-generated-id"].decode()) if info else _START,
        delivered=place_of(group["last-delivered-id"].decode()) if group else _START,
        added=info.get("entries-added") if info else 0,
        read=group.get("entries-read") if group else None,
        pending=group["pending"] if group else 0,
        has_group=group is not None,
        forgotten_ms=None if noted is None else int(noted),
    )


def _known(reply: Any) -> Any:
    """The reply; None where the stream or the group does not exist. Other errors are raised."""
    if isinstance(reply, ResponseError) and str(reply).startswith(("no such key", "NOGROUP")):
        return None
    if isinstance(reply, Exception):
        raise reply
    return reply


def _id(place: EntryPlace) -> str:
    return f"{place[0]}-{place[1]}"
