"""The keeper's end of the log in Redis: a consumer group over the streams of all tenants and shards."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from nearcast_store import redis_keys
from nearcast_store.connection import Command
from nearcast_store.counting.protocol import Hold
from nearcast_store.errors import LogUnavailableError
from nearcast_store.log.codec import decode_entry
from nearcast_store.log.protocol import Record
from nearcast_store.log.suspicion import ALONE_AFTER, handed_out_together
from nearcast_store.redis_client import run, run_all, run_each

GROUP = "keeper"

_FIELD = b"e"
_NONE_LEFT = ""

Streams = Mapping[str, tuple[int, int]]
Entries = Sequence[tuple[bytes, dict[bytes, bytes] | None]]


class _Pending(NamedTuple):
    """An entry that was handed out and not acknowledged."""

    key: str
    entry_id: str
    deliveries: int


class RedisEventSource:
    """Reads as one consumer; its name is kept over restarts, so that it finds what it left unfinished.

    `note_lost` hears how many entries were gone before they were acknowledged: real loss. `note_reset` hears
    of a stream whose group had vanished; it is read from its beginning again, which counts nothing twice.
    """

    def __init__(
        self,
        redis: Redis,
        consumer: str,
        shards: int,
        *,
        note_lost: Callable[[int], None] | None = None,
        note_reset: Callable[[str], None] | None = None,
    ) -> None:
        self._redis = redis
        self._consumer = consumer
        self._shards = shards
        self._note_lost = note_lost
        self._note_reset = note_reset
        self._grouped: set[str] = set()
        self._unfinished: dict[str, str] = {}
        self._suspects: list[_Pending] = []
        timeout_s = redis.connection_pool.connection_kwargs.get("socket_timeout")
        self._longest_wait_s = 60.0 if timeout_s is None else timeout_s / 2

    def widen(self, shards: int) -> bool:
        """Read so many shards from now on; whether they are more than before."""
        before, self._shards = self._shards, max(shards, self._shards)
        return self._shards > before

    async def read(self, tenant_ids: Sequence[int], most: int, wait_s: float) -> list[Record]:
        """New entries of these tenants, waiting for the first up to `wait_s`.

        Waits no longer than half the client's timeout. With more streams than `most`, one of each may come.
        """
        streams = dict(redis_keys.logs(tenant_ids, self._shards))
        if not streams:
            await asyncio.sleep(wait_s)
            return []
        block_ms = max(1, int(min(wait_s, self._longest_wait_s) * 1000))
        records: list[Record] = []
        with translated_errors():
            await self._ensure_groups([key for key in streams if key not in self._grouped])
            share = max(1, most // len(streams))
            found = await self._read(streams, share, "BLOCK", block_ms)
            while found:
                records += _records(streams, found)
                # What others left of their shares goes to the streams that have more.
                busy = [key for key, entries in found.items() if len(entries) >= share]
                share = (most - len(records)) // max(1, len(busy))
                found = await self._read(busy, share) if busy and share > 0 else {}
        return records

    async def claim(self, tenant_ids: Sequence[int], most: int, idle_s: float) -> list[Record]:
        """Entries read and not acknowledged for so long; also one's own from before a restart."""
        streams = dict(redis_keys.logs(tenant_ids, self._shards))
        if not streams:
            return []
        with translated_errors():
            await self._ensure_groups(list(streams))
            unfinished = await self._claim_unfinished(streams, most)
            return unfinished or await self._claim_idle(streams, most, idle_s)

    def holds(self, _records: Sequence[Record], /) -> Sequence[Hold]:
        """None: what is finished is known to Redis."""
        return ()

    async def acknowledge(self, records: Sequence[Record]) -> None:
        """These are folded and need not be handed out again."""
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for record in records:
            ids[redis_keys.log(record.tenant_id, record.shard)].append(record.entry_id)
        commands: list[Command] = [("XACK", key, GROUP, *entry_ids) for key, entry_ids in ids.items()]
        with translated_errors():
            await run_all(self._redis, commands)

    async def give_back(self, records: Sequence[Record]) -> None:
        """They stay pending until they are claimed."""

    async def _ensure_groups(self, keys: Sequence[str]) -> None:
        """Make the groups that are missing; that one seen before is missing is worth a word."""
        commands: list[Command] = [("XGROUP", "CREATE", key, GROUP, "0", "MKSTREAM") for key in keys]
        for key, reply in zip(keys, await run_each(self._redis, commands), strict=True):
            if isinstance(reply, RedisError):
                if not str(reply).startswith("BUSYGROUP"):
                    raise reply
            elif key in self._grouped and self._note_reset is not None:
                self._note_reset(key)
            self._grouped.add(key)

    async def _read(self, keys: Iterable[str], count: int, *block: str | int) -> dict[str, Entries]:
        keys = list(keys)
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", count, *block, "STREAMS", *keys)
        after = [">"] * len(keys)
        try:
            found = await run(self._redis, *command, *after)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self._ensure_groups(keys)
            found = await run(self._redis, *command, *after)
        return {key.decode(): entries for key, entries in found}

    async def _claim_unfinished(self, streams: Streams, most: int) -> list[Record]:
        """What this consumer read in its last life and did not finish; each once, the suspects last."""
        while keys := [key for key in streams if self._unfinished.get(key) != _NONE_LEFT]:
            share = max(1, most // len(keys))
            unfinished = await self._pending(
                [(key, self._unfinished.get(key, "-"), "+", share, self._consumer) for key in keys]
            )
            last = {each.key: f"({each.entry_id}" for each in unfinished}
            self._unfinished |= {key: last.get(key, _NONE_LEFT) for key in keys}
            self._suspects += [each for each in unfinished if each.deliveries >= ALONE_AFTER]
            trusted = [each for each in unfinished if each.deliveries < ALONE_AFTER]
            if taken := await self._take(streams, trusted, 0):
                return taken
        while alone := handed_out_together([s for s in self._suspects if s.key in streams], _deliveries):
            self._suspects.remove(alone[0])
            if taken := await self._take(streams, alone, 0):
                return taken
        return []

    async def _claim_idle(self, streams: Streams, most: int, idle_s: float) -> list[Record]:
        """What any consumer has not finished for so long."""
        share, idle_ms = max(1, most // len(streams)), int(idle_s * 1000)
        idle = await self._pending([(key, "IDLE", idle_ms, "-", "+", share) for key in streams])
        return await self._take(streams, handed_out_together(idle, _deliveries), idle_ms)

    async def _take(self, streams: Streams, wanted: Iterable[_Pending], idle_ms: int) -> list[Record]:
        """Those of the wanted entries that nobody else has taken meanwhile."""
        deliveries: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for each in wanted:
            deliveries[each.key][each.entry_id] = each.deliveries
        claims: list[Command] = [
            ("XCLAIM", key, GROUP, self._consumer, idle_ms, *ids) for key, ids in deliveries.items()
        ]
        taken: list[Record] = []
        for key, entries in zip(deliveries, await run_all(self._redis, claims), strict=True):
            # Redis 6.2 leaves holes where entries are gone, later ones leave them out.
            found = _records(streams, {key: [entry for entry in entries if entry[1] is not None]})
            taken += [replace(record, deliveries=deliveries[key][record.entry_id] + 1) for record in found]
            await self._give_up_gone(key, deliveries[key].keys() - {record.entry_id for record in found})
        return taken

    async def _pending(self, ranges: Iterable[tuple[str | int, ...]]) -> list[_Pending]:
        commands: list[Command] = [("XPENDING", key, GROUP, *rest) for key, *rest in ranges]
        found: list[list[dict[str, Any]]] = await run_all(self._redis, commands, parse_detail=True)
        return [
            _Pending(str(key), row["message_id"].decode(), row["times_delivered"])
            for (_, key, *_), rows in zip(commands, found, strict=True)
            for row in rows
        ]

    async def _give_up_gone(self, key: str, missing: Iterable[str]) -> None:
        """Of entries that could not be taken, let go of those that the stream no longer holds."""
        ids = list(missing)
        looks: list[Command] = [("XRANGE", key, entry_id, entry_id) for entry_id in ids]
        kept = await run_all(self._redis, looks)
        gone = [entry_id for entry_id, entries in zip(ids, kept, strict=True) if not entries]
        if gone:
            await run(self._redis, "XACK", key, GROUP, *gone)
            if self._note_lost is not None:
                self._note_lost(len(gone))


@contextmanager
def translated_errors() -> Iterator[None]:
    """What redis-py raises, as LogUnavailableError."""
    try:
        yield
    except RedisError as error:
        raise LogUnavailableError(f"the event log cannot be read: {error}") from error


def _deliveries(pending: _Pending) -> int:
    return pending.deliveries


def _records(streams: Streams, found: Mapping[str, Entries]) -> list[Record]:
    return [
        record_of(*streams[key], entry_id.decode(), fields or {})
        for key, entries in found.items()
        for entry_id, fields in entries
    ]


def record_of(tenant_id: int, shard: int, entry_id: str, fields: dict[bytes, bytes]) -> Record:
    """What a stream holds under one id, decoded."""
    raw = fields.get(_FIELD)
    if raw is None:
        return Record(tenant_id, shard, entry_id, b"", None, "the entry has no bytes under its field")
    decoded = decode_entry(raw)
    if isinstance(decoded, str):
        return Record(tenant_id, shard, entry_id, raw, None, decoded)
    if decoded.tenant_id != tenant_id:
        fault = f"an entry of tenant {decoded.tenant_id} in the log of tenant {tenant_id}"
        return Record(tenant_id, shard, entry_id, raw, None, fault)
    return Record(tenant_id, shard, entry_id, raw, decoded)
