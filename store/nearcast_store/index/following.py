"""Following a tenant's index in Redis: everything once, then each change, and when that is not enough."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from nearcast_catalogue.item import ServedItem
from nearcast_store import redis_keys
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import RedisConnection, RedisDownError, RedisReplyError
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.serving import UnreadableItemError, unpack

# Why what was read so far cannot be brought forward: Redis holds nothing of the tenant, it is at an older
# change, the changes in between are gone, the index was refilled, the change read last is another one now.
Reason = Literal["empty", "rolled_back", "gap", "refilled", "rewritten"]

_RESET = b"reset"
_SCANNED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """The entry of the change stream that was read last, and what tells its content from any other's.

    The digest is empty when there was no entry to look into.
    """

    entry_id: bytes
    digest: bytes

    @property
    def sequence(self) -> int:
        """Number of the last change that is known."""
        return _sequence(self.entry_id)


@dataclass(frozen=True, slots=True)
class Everything:
    """All items, in batches, some perhaps twice: the later one counts. It holds at `mark` only after the
    changes beyond `mark` were applied, and if there is no Resync among them."""

    mark: Mark
    batches: AsyncIterator[list[ServedItem]]


@dataclass(frozen=True, slots=True)
class Followed:
    """Changes without a gap; `waiting` more are known of. An unreadable item counts as taken out."""

    changes: Sequence[Change]
    mark: Mark
    waiting: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Resync:
    """Everything must be read anew."""

    reason: Reason
    explanation: str


class IndexFollower:
    """One round trip per question, nothing is kept between them. Raises IndexUnavailableError."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def read_all(self, tenant_id: int) -> Everything | None:
        """None while Redis holds nothing of the tenant: no relay has brought it there (yet, or again)."""
        key = redis_keys.changes(tenant_id)
        with _translated_errors():
            replies = await self._connection.pipeline(
                [
                    ("MULTI",),
                    ("GET", redis_keys.position(tenant_id)),
                    ("XREVRANGE", key, "+", "-", "COUNT", 1),
                    ("EXEC",),
                ]
            )
        position, newest = replies[-1]
        if position is None:
            return None
        mark = Mark(b"%d-0" % int(position), b"")
        for entry_id, fields in newest:
            if _sequence(entry_id) == mark.sequence:
                mark = Mark(entry_id, _digest(fields))
        return Everything(mark, self._batches(tenant_id))

    async def count(self, tenant_id: int) -> int:
        """How many items the index holds."""
        with _translated_errors():
            return int(await self._connection.execute("HLEN", redis_keys.items(tenant_id)))

    async def after(self, tenant_id: int, mark: Mark, most: int) -> Followed | Resync:
        """Up to so many changes beyond the mark."""
        key = redis_keys.changes(tenant_id)
        with _translated_errors():
            position, held, streams = await self._connection.pipeline(
                [
                    ("GET", redis_keys.position(tenant_id)),
                    ("XRANGE", key, mark.entry_id, mark.entry_id),
                    ("XREAD", "COUNT", most, "STREAMS", key, mark.entry_id),
                ]
            )
        if position is None:
            return Resync("empty", "Redis holds nothing of the tenant")
        if int(position) < mark.sequence:
            return Resync(
                "rolled_back", f"Redis is at change {int(position)}, {mark.sequence} was read already"
            )
        entries = streams[0][1] if streams else []
        return _broken(mark, held, entries, int(position)) or _followed(mark, entries, int(position))

    async def _batches(self, tenant_id: int) -> AsyncIterator[list[ServedItem]]:
        cursor: Any = b"0"
        while True:
            with _translated_errors():
                cursor, pairs = await self._connection.execute(
                    "HSCAN", redis_keys.items(tenant_id), cursor, "COUNT", _SCANNED_AT_ONCE
                )
            found = [_readable(raw) for raw in pairs[1::2]]
            yield [served for served in found if served is not None]
            if cursor == b"0":
                return


def _broken(mark: Mark, held: Any, entries: Any, position: int) -> Resync | None:
    if any(fields[0] == _RESET for _, fields in entries):
        return Resync("refilled", "the index was filled anew")
    expected = mark.sequence + 1
    for entry_id, _ in entries:
        if _sequence(entry_id) != expected:
            return Resync("gap", f"after change {expected - 1} comes {_sequence(entry_id)}")
        expected += 1
    if not entries and (position > mark.sequence or (mark.digest and not held)):
        return Resync("gap", f"Redis is at change {position}, and what follows {mark.sequence} is gone")
    if mark.digest and held and _digest(held[0][1]) != mark.digest:
        return Resync("rewritten", f"change {mark.sequence} is another one now")
    return None


def _followed(mark: Mark, entries: Any, position: int) -> Followed:
    changes, unreadable = [], 0
    for entry_id, fields in entries:
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        raw = named.get(b"item")
        served = None if raw is None else _readable(raw)
        unreadable += raw is not None and served is None
        changes.append(Change(_sequence(entry_id), int(named[b"posting"]), served))
    if entries:
        mark = Mark(entries[-1][0], _digest(entries[-1][1]))
    return Followed(changes, mark, max(position - mark.sequence, 0), unreadable)


def _readable(raw: bytes) -> ServedItem | None:
    try:
        return unpack(raw)
    except UnreadableItemError:
        return None


def _digest(fields: Sequence[bytes]) -> bytes:
    digest = blake2b(digest_size=8)
    for each in fields:
        digest.update(b"%d:%b" % (len(each), each))
    return digest.digest()


def _sequence(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (RedisDownError, RedisReplyError) as error:
        raise IndexUnavailableError(f"the index does not answer: {error}") from error
