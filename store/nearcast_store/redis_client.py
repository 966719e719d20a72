"""redis-py as it is used off the hot path: no command is sent twice, and old servers are understood."""

from collections.abc import Iterable
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from nearcast_store.connection import Command


def open_client(url: str, *, command_timeout_s: float = 5.0) -> Redis:
    """The caller closes it with `aclose`."""
    redis = Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=command_timeout_s,
        socket_connect_timeout=command_timeout_s,
    )
    redis.connection_pool.connection_class = _packed_in_c(redis.connection_pool.connection_class)
    return redis


def _packed_in_c(connection: Any) -> Any:
    """redis-py's asyncio packs argument by argument in Python, which is half of what a large batch costs."""

    class Packed(connection):  # type: ignore[misc]
        def pack_command(self, *command: Any) -> list[bytes]:
            name, *arguments = command
            return [hiredis.pack_command((*name.split(), *arguments))]

    return Packed


async def run(redis: Redis | Pipeline, *command: str | bytes | float) -> Any:
    """One command and its reply; on a pipeline, one that watches."""
    return await redis.execute_command(*command)


async def run_guarded(pipe: Pipeline, commands: Iterable[Command]) -> None:
    """Commands in one transaction, on a pipeline that watches."""
    pipe.multi()  # type: ignore[no-untyped-call]
    for command in commands:
        pipe.execute_command(*command)
    await pipe.execute()


async def run_all(redis: Redis, commands: Iterable[Command], **options: bool) -> list[Any]:
    """Commands in one go, and no transaction; the first error is raised."""
    replies = await run_each(redis, commands, **options)
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies


async def run_each(redis: Redis, commands: Iterable[Command], **options: bool) -> list[Any]:
    """Commands in one go; an error stands in its place among the replies. Options are redis-py's parser's."""
    async with redis.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command, **options)
        return await pipe.execute(raise_on_error=False)
