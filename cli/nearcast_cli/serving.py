"""Running one of our long-lived processes: settings, logs, schema, loop and signals."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nearcast_cli.finding import config_option, require_dsn, require_redis

if TYPE_CHECKING:
    from nearcast_config.process import ProcessConfig

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Body = Callable[["ProcessConfig", asyncio.Event], Coroutine[Any, Any, None]]


def process_options(command: Decorated) -> Decorated:
    """--config, --postgres-dsn and --redis-url; everything else has a variable."""
    command = click.option("--redis-url", metavar="URL", help="Redis; or NEARCAST_REDIS__GEO_URL.")(command)
    command = click.option("--postgres-dsn", metavar="DSN", help="Database; or NEARCAST_POSTGRES__DSN.")(
        command
    )
    return config_option(command)


def run_process(config_path: Path | None, overrides: dict[str, object], body: Body) -> None:
    """Run the body until SIGTERM or SIGINT; a schema that does not fit ends it with the command to run."""
    from nearcast_config.loading import load_process
    from nearcast_telemetry.logs import configure

    process = load_process(config_path, os.environ, overrides)
    require_dsn(process, Path(".nearcast"))
    require_redis(process)
    configure(process.logging.level, process.logging.format)
    run_loop(_guarded(process, body))


async def _guarded(process: "ProcessConfig", body: Body) -> None:
    from nearcast_telemetry.signals import stop_on_signals

    with stop_on_signals() as stop:
        await _check_schema(process)
        if not stop.is_set():
            await body(process, stop)


async def _check_schema(process: "ProcessConfig") -> None:
    """A Postgres that is away for the moment is no reason to end: the process itself waits for it."""
    from nearcast_cli.operating import check_schema
    from nearcast_store.errors import StoreUnavailableError
    from nearcast_store.postgres import open_pool
    from nearcast_telemetry.logs import logger

    pool = await open_pool(process.postgres.dsn, 1, process.postgres.command_timeout_s)
    try:
        await check_schema(pool)
    except StoreUnavailableError as error:
        logger("cli").warning("schema.not_checked", reason=error)
    finally:
        await pool.close()


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
