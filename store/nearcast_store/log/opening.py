"""The end of the event log that is appended to, opened as a process is set."""

import secrets
from contextlib import AsyncExitStack

from nearcast_config.process import ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_store.connection import RedisConnection
from nearcast_store.log.durability import append_timeout_s
from nearcast_store.log.redis import RedisEventLog


def open_event_log(config: ProcessConfig, stack: AsyncExitStack) -> tuple[RedisConnection, RedisEventLog]:
    """The log, and the connection it writes by; both are closed with the stack."""
    durability = Durability[config.log.durability.upper()]
    connection = RedisConnection(
        config.redis.log_url or config.redis.geo_url,
        command_timeout_s=append_timeout_s(durability, config.redis.command_timeout_s),
    )
    stack.push_async_callback(connection.close)
    event_log = RedisEventLog(
        connection, shards=config.log.shards, durability=durability, choose=secrets.randbelow
    )
    event_log.start()
    stack.push_async_callback(event_log.close)
    return connection, event_log
