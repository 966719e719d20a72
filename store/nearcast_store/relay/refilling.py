"""Building a tenant's index aside, to be swapped in at once."""

import secrets
from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from nearcast_catalogue.item import ServedItem
from nearcast_store import redis_keys
from nearcast_store.connection import Command
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.redis_client import run, run_all
from nearcast_store.relay.placement import putting

# What a refill that died has written goes away by itself; each batch puts it off again.
_LEFT_FOR_S = 600


class Refilling:
    """One refill under a name of its own, so that two at the same time never mix."""

    def __init__(self, redis: Redis, tenant_id: int) -> None:
        self._redis = redis
        self._tenant_id = tenant_id
        self._token = secrets.token_hex(8)
        self._written: set[str] = set()
        self._items = 0

    async def add(self, batch: Sequence[ServedItem]) -> None:
        """Write some items aside; no posting comes twice."""
        commands = putting(batch, self._shadow)
        self._written |= {str(command[1]) for command in commands}
        self._items += len(batch)
        await run_all(self._redis, [*commands, *[("EXPIRE", key, _LEFT_FOR_S) for key in self._written]])

    async def swap(self, sequence: int) -> list[Command]:
        """Commands that put what was written in the place of the index, for one transaction."""
        held = await run(self._redis, "HLEN", self._shadow("items"))
        if held != self._items:
            raise IndexUnavailableError(
                f"of {self._items} items written aside {held} are left: begin the refill again"
            )
        commands: list[Command] = []
        for part in redis_keys.INDEX_PARTS:
            key, shadow = redis_keys.part(self._tenant_id, part), self._shadow(part)
            commands.append(("UNLINK", key))
            if shadow in self._written:
                commands += [("RENAME", shadow, key), ("PERSIST", key)]
        changes = redis_keys.changes(self._tenant_id)
        return [
            *commands,
            ("UNLINK", changes),
            ("XADD", changes, f"{sequence}-{await self._reset_number(sequence)}", "reset", 1),
            ("SET", redis_keys.position(self._tenant_id), sequence),
        ]

    async def _reset_number(self, sequence: int) -> int:
        """Beyond any entry of this sequence, so that a follower that is up to date sees the reset too."""
        try:
            stream = await self._redis.xinfo_stream(redis_keys.changes(self._tenant_id))
        except ResponseError:
            return 1
        last_sequence, _, number = bytes(stream["last-generated-id"]).partition(b"-")
        return int(number) + 1 if int(last_sequence) == sequence else 1

    def _shadow(self, part: str) -> str:
        return redis_keys.shadow(self._tenant_id, self._token, part)
