"""Applying numbered changes to the index in Redis, each exactly once and in order."""

from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, WatchError

from nearcast_catalogue.item import ServedItem
from nearcast_store import redis_keys
from nearcast_store.changes.protocol import Change
from nearcast_store.connection import Command
from nearcast_store.errors import IndexUnavailableError, StoreError
from nearcast_store.index.serving import pack
from nearcast_store.redis_client import run, run_guarded
from nearcast_store.relay.placement import putting, taking_out
from nearcast_store.relay.refilling import Refilling


class StaleRelayError(StoreError):
    """Redis is not where this relay believes it to be: another relay moved it, or it lost its tail."""


class RedisIndexWriter:
    """Writes one tenant's index at a time; where it stands is kept in Redis, with what it wrote.

    Raises IndexUnavailableError when Redis does not answer: a batch is then in the index whole or not at all,
    and the position tells which.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def position(self, tenant_id: int) -> int | None:
        """Sequence of the last change applied; None when Redis holds nothing of the tenant."""
        with _translated_errors(tenant_id):
            held = await run(self._redis, "GET", redis_keys.position(tenant_id))
        return None if held is None else int(held)

    async def apply(self, tenant_id: int, changes: Sequence[Change]) -> None:
        """Apply up to some 500 changes whose numbers follow the position. Raises StaleRelayError."""
        if not changes:
            return
        first = changes[0].sequence
        if [change.sequence for change in changes] != list(range(first, first + len(changes))):
            raise ValueError(f"the sequences from {first} must follow each other without a gap")
        with _translated_errors(tenant_id):
            async with self._redis.pipeline(transaction=True) as pipe:
                await _watch(pipe, tenant_id, expected=first - 1)
                await run_guarded(pipe, await _commands(pipe, tenant_id, changes))

    async def refill(
        self, tenant_id: int, sequence: int, batches: AsyncIterable[Sequence[ServedItem]]
    ) -> None:
        """Replace the whole index by these items, as of that sequence; until then the old one answers.

        Followers of the change stream find a reset. Raises StaleRelayError when another relay moved.
        """
        with _translated_errors(tenant_id):
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(redis_keys.position(tenant_id))
                refilling = Refilling(self._redis, tenant_id)
                async for batch in batches:
                    await refilling.add(batch)
                await run_guarded(pipe, await refilling.swap(sequence))

    async def trim_changes(self, tenant_id: int, keep: int) -> None:
        """Forget all but about the last `keep` entries of the change stream; a follower behind resyncs."""
        with _translated_errors(tenant_id):
            await run(self._redis, "XTRIM", redis_keys.changes(tenant_id), "MAXLEN", "~", keep)


@contextmanager
def _translated_errors(tenant_id: int) -> Iterator[None]:
    try:
        yield
    except WatchError as error:
        if isinstance(error.__context__, RedisError):  # the connection was lost while it watched
            raise _unavailable(error) from error
        raise StaleRelayError(f"another relay moved tenant {tenant_id} meanwhile") from error
    except RedisError as error:
        raise _unavailable(error) from error


async def _watch(pipe: Pipeline, tenant_id: int, expected: int) -> None:
    """From here on the transaction fails if anyone else moves the position."""
    key = redis_keys.position(tenant_id)
    await pipe.watch(key)
    position = int(await run(pipe, "GET", key) or 0)
    if position != expected:
        raise StaleRelayError(f"Redis is at {position} of tenant {tenant_id}, expected is {expected}")


async def _commands(pipe: Pipeline, tenant_id: int, changes: Sequence[Change]) -> list[Command]:
    last = {change.posting: change.served for change in changes}
    raws = await run(pipe, "HMGET", redis_keys.items(tenant_id), *last)

    def key(part: str) -> str:
        return redis_keys.part(tenant_id, part)

    return [
        *taking_out(zip(last, raws, strict=True), key),
        *putting([served for served in last.values() if served is not None], key),
        *[_entry(tenant_id, change) for change in changes],
        ("SET", redis_keys.position(tenant_id), changes[-1].sequence),
    ]


def _entry(tenant_id: int, change: Change) -> Command:
    """What a follower reads: the posting, and the packed item unless it is gone."""
    item = () if change.served is None else ("item", pack(change.served))
    entry_id = f"{change.sequence}-0"
    return ("XADD", redis_keys.changes(tenant_id), entry_id, "posting", change.posting, *item)


def _unavailable(error: RedisError) -> IndexUnavailableError:
    return IndexUnavailableError(f"the index cannot be written: {error}")
