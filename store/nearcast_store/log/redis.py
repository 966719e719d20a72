"""The gateway's end of the log in Redis: one writer per process that appends in groups."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from nearcast_ledger.event import Durability, Entry
from nearcast_store import redis_keys
from nearcast_store.connection import Command, RedisConnection, RedisReplyError, Reply
from nearcast_store.errors import LogUnavailableError, StoreError
from nearcast_store.log.codec import encode_entry
from nearcast_store.log.durability import Proof, find_proof
from nearcast_telemetry.logs import logger

log = logger("events")

FIELD = "e"

_GROUP_ENTRIES = 512
_GROUP_BYTES = 4 * 1024 * 1024
_SEND_AGAIN = "whether the events were appended is unknown: send them again with the same ids"


class RedisEventLog:
    """While one group is on its way the next one gathers. Nothing is sent twice or trimmed.

    The connection is the log's own. `choose` picks one of so many shards. Beyond `most_waiting_bytes` an
    append fails at once.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        shards: int,
        durability: Durability,
        choose: Callable[[int], int],
        most_waiting_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        self._connection = connection
        self._shards = shards
        self._durability = durability
        self._choose = choose
        self._most_waiting_bytes = most_waiting_bytes
        self._queue: deque[_Append] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._open = False
        self._proof: Proof | None = None
        self._proven_by = -1
        self._proven_at = 0.0

    @property
    def alive(self) -> bool:
        """Whether what is appended will be written or refused in time; not whether Redis answers."""
        return self._open and self._writer is not None and not self._writer.done()

    def start(self) -> None:
        """Begin to write; needs a running loop and no Redis yet."""
        self._open = True
        self._writer = asyncio.create_task(self._write_groups())

    async def close(self) -> None:
        """Write what waits, then stop."""
        self._open = False
        self._wake.set()
        if self._writer is not None:
            await self._writer

    async def append(self, entry: Entry) -> Durability:
        """Append all of it or nothing; what it has survived when this returns. Raises LogUnavailableError."""
        raw = encode_entry(entry)
        if not self._open:
            raise LogUnavailableError("the event log is not open; nothing was appended")
        if self._waiting_bytes + len(raw) > self._most_waiting_bytes:
            raise LogUnavailableError(
                f"{len(self._queue)} appends already wait for the event log; nothing was appended"
            )
        stream = redis_keys.log(entry.tenant_id, self._choose(self._shards))
        append = _Append(stream, raw, asyncio.get_running_loop().create_future())
        self._queue.append(append)
        self._waiting_bytes += len(raw)
        self._wake.set()
        return await append.done

    async def _write_groups(self) -> None:
        try:
            while self._open or self._queue:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self._write(self._next_group())
        finally:
            self._open = False
            _fail(self._queue, "the event log was closed")

    def _next_group(self) -> "list[_Append]":
        group: list[_Append] = []
        size = 0
        while self._queue and len(group) < _GROUP_ENTRIES and size < _GROUP_BYTES:
            append = self._queue.popleft()
            self._waiting_bytes -= len(append.raw)
            if not append.done.done():  # else the caller has gone, and nothing was sent
                group.append(append)
                size += len(append.raw)
        return group

    async def _write(self, group: "Sequence[_Append]") -> None:
        reason: object = "the writer was stopped"
        try:
            for append, reply in zip(group, await self._exchange(group), strict=True):
                if isinstance(reply, RedisReplyError):
                    _fail([append], reply)
                elif not append.done.done():
                    append.done.set_result(self._durability)
        except StoreError as error:
            reason = error
        except Exception as error:  # noqa: BLE001 - one group must not end the writer of all that follow
            log.error("append.failed", cause=error, entries=len(group))
            reason = "the writer failed"
        finally:
            _fail(group, reason)

    async def _exchange(self, group: "Sequence[_Append]") -> list[Reply]:
        """Replies to the group once it has survived what was asked for."""
        proof = self._proof or await find_proof(self._connection, self._durability)
        self._proof = None  # after a failure the server is looked at before anything is appended to it
        questions = () if self._proven_lately(proof) else proof.questions
        commands: list[Command] = [("XADD", append.stream, "*", FIELD, append.raw) for append in group]
        commands += questions
        replies = await self._connection.exchange(commands)
        replies, proven = replies[: len(group)], replies[len(group) :]
        if questions:
            proof.require(proven)
            self._proven_by, self._proven_at = self._connection.generation, asyncio.get_running_loop().time()
        elif proof.questions and self._proven_by != self._connection.generation:
            raise LogUnavailableError("the log's Redis was connected to anew")
        self._proof = proof
        return replies

    def _proven_lately(self, proof: Proof) -> bool:
        age_s = asyncio.get_running_loop().time() - self._proven_at
        return self._proven_by == self._connection.generation and age_s < proof.lasts_s


class _Append:
    """One entry on its way."""

    __slots__ = ("done", "raw", "stream")

    def __init__(self, stream: str, raw: bytes, done: asyncio.Future[Durability]) -> None:
        self.stream = stream
        self.raw = raw
        self.done = done


def _fail(appends: "Sequence[_Append] | deque[_Append]", reason: object) -> None:
    for append in appends:
        if not append.done.done():
            append.done.set_exception(LogUnavailableError(f"{reason}; {_SEND_AGAIN}"))
