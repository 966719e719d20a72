"""Asks Redis and Postgres how they are set, over connections of its own; what is hidden is probed for."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from nearcast_store.connection import Command, RedisConnection, RedisDownError, RedisReplyError, Reply
from nearcast_store.errors import SchemaError, StoreError
from nearcast_store.migration import require_schema
from nearcast_store.postgres import Connection, translated
from nearcast_store.preflight.facts import PostgresFacts, RedisFacts
from nearcast_store.queries import queries
from nearcast_store.redis_address import RedisAddress, parse_address

_SQL = queries("preflight")
_ASKED = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory", "maxmemory-policy")
_SHOWN = frozenset({"host", "port", "user", "dbname", "sslmode", "sslrootcert", "target_session_attrs"})
_YES: Mapping[str | None, bool] = {"yes": True, "1": True, "no": False, "0": False}


async def gather_redis(url: str, timeout_s: float) -> RedisFacts:
    """How this Redis is set; its trouble when it does not answer in time."""
    address = parse_address(url)
    connection = RedisConnection(url, command_timeout_s=timeout_s)
    asked: list[Command] = [("INFO",), ("WAITAOF", 1, 0, 1)]
    asked += [("CONFIG", "GET", name) for name in _ASKED]
    try:
        info, waited, *settings = await connection.exchange(asked)
    except RedisDownError as error:
        return RedisFacts(_redis_cli(address), trouble=str(error))
    finally:
        await connection.close()
    said = _info_of(info)
    return _redis_facts(_redis_cli(address), said, _settings_of(settings), waited)


async def gather_postgres(dsn: str, timeout_s: float) -> PostgresFacts:
    """How a new connection finds the database; its trouble when it does not answer in time."""
    psql = _psql(dsn)
    try:
        async with asyncio.timeout(timeout_s):
            with translated():
                connection = await asyncpg.connect(
                    dsn,
                    timeout=timeout_s,
                    command_timeout=timeout_s,
                    server_settings={"application_name": "nearcast preflight"},
                )
            try:
                with translated():
                    return await _postgres_facts(psql, connection)
            finally:
                connection.terminate()
    except TimeoutError:
        return PostgresFacts(psql, trouble=f"Postgres does not answer within {timeout_s:g} s")
    except StoreError as error:
        return PostgresFacts(psql, trouble=str(error))


def _redis_facts(cli: str, info: Mapping[str, str], config: Mapping[str, str], waited: Reply) -> RedisFacts:
    """CONFIG says more than INFO, and INFO is forbidden less often."""
    refusal = str(waited) if isinstance(waited, RedisReplyError) else ""
    append_only = _YES.get(config.get("appendonly", info.get("aof_enabled")))
    if append_only is None and "appendonly" in refusal:
        append_only = False
    limit = config.get("maxmemory", info.get("maxmemory"))
    status = info.get("aof_last_write_status")
    return RedisFacts(
        cli=cli,
        version=info.get("redis_version"),
        role=info.get("role"),
        loading=_YES.get(info.get("loading")),
        replicas=int(info["connected_slaves"]) if "connected_slaves" in info else None,
        append_only=append_only,
        append_fsync=config.get("appendfsync"),
        no_fsync_on_rewrite=_YES.get(config.get("no-appendfsync-on-rewrite")),
        writes_succeed=None if status is None else status == "ok",
        memory_limit_bytes=None if limit is None else int(limit),
        eviction=config.get("maxmemory-policy", info.get("maxmemory_policy")),
        waits_for_disk=None if refusal.startswith(("NOPERM", "LOADING")) else not refusal,
    )


def _info_of(reply: Reply) -> dict[str, str]:
    if isinstance(reply, RedisReplyError):
        return {}
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _settings_of(replies: Sequence[Reply]) -> dict[str, str]:
    """What CONFIG GET told; a setting that is forbidden or not known is left out."""
    return {
        name: reply[1].decode()
        for name, reply in zip(_ASKED, replies, strict=True)
        if not isinstance(reply, RedisReplyError) and len(reply) == 2
    }


def _redis_cli(address: RedisAddress) -> str:
    """Without the password: a command line is for every user of the machine to read."""
    login = f" --user {address.username} --askpass" if address.username else ""
    login = login or (" --askpass" if address.password else "")
    where = f"-s {address.path}" if address.path else f"-h {address.host} -p {address.port}"
    return f"redis-cli {where}{login}"


async def _postgres_facts(psql: str, connection: Connection) -> PostgresFacts:
    settings = await connection.fetchrow(_SQL["read_settings"])
    assert settings is not None, "a row without a table"
    schema_trouble = ""
    try:
        await require_schema(connection)
    except SchemaError as error:
        schema_trouble = str(error)
    partitions = await connection.fetch(_SQL["list_ledger_partitions"])
    days = set()
    for row in partitions:
        with suppress(ValueError):
            days.add(datetime.strptime(row["name"], "events_%Y%m%d").date())  # noqa: DTZ007 - a day, no time
    return PostgresFacts(
        psql=psql,
        **dict(settings),
        schema_trouble=schema_trouble,
        # Without the table there is the schema's finding, and that says it all.
        ledger_days=None if schema_trouble and not partitions else frozenset(days),
        default_partition=next((row["name"] for row in partitions if row["is_default"]), ""),
    )


def _psql(dsn: str) -> str:
    """Without what is secret: of the parameters only those that say where to connect and as whom."""
    parts = urlsplit(dsn)
    if not parts.scheme.startswith("postgres"):
        return "psql"
    login, at, host = parts.netloc.rpartition("@")
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name in _SHOWN]
    netloc = f"{login.partition(':')[0]}{at}{host}"
    # A path of a socket is easier to read, and as good, with its slashes.
    return f'psql "{urlunsplit(parts._replace(netloc=netloc, query=urlencode(kept, safe="/")))}"'
