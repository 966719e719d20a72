"""Running one of our long-lived processes: settings, logs, schema, first policy, loop and signals."""

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from nearcast_cli import settling
from nearcast_cli.finding import config_option, require_dsn, require_redis

if TYPE_CHECKING:
    from nearcast_config.loading import Settings
    from nearcast_config.policy import Policy
    from nearcast_config.process import ProcessConfig

# Objects that could be part of a cycle, between two looks for cycles; Python's own 700 are a few events.
_COLLECT_AFTER = 20_000

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Body(Protocol):
    """A process from its start to its stop; a tenant without a policy is given the first one."""

    def __call__(
        self, config: "ProcessConfig", stop: asyncio.Event, *, first_policy: "Policy | None"
    ) -> Coroutine[Any, Any, None]: ...


def process_options(command: Decorated) -> Decorated:
    """--config, --postgres-dsn and --redis-url; everything else has a variable."""
    command = click.option("--redis-url", metavar="URL", help="Redis; or NEARCAST_REDIS__GEO_URL.")(command)
    command = click.option("--postgres-dsn", metavar="DSN", help="Database; or NEARCAST_POSTGRES__DSN.")(
        command
    )
    return config_option(command)


def unsafe_option(command: Decorated) -> Decorated:
    """--unsafe, for development."""
    return click.option(
        "--unsafe",
        is_flag=True,
        help="Only warn of unsafe settings of Redis and Postgres; for development.",
    )(command)


def run_process(
    config_path: Path | None, overrides: dict[str, object], body: Body, *, worker: str = ""
) -> None:
    """Run the body until SIGTERM or SIGINT; a schema that does not fit ends it with the command to run."""
    from nearcast_config.loading import load_file
    from nearcast_telemetry.logs import configure

    settings = load_file(config_path, os.environ, overrides)
    process = settings.process
    require_dsn(process, None)
    require_redis(process)
    configure(process.logging.level, process.logging.format, worker=worker)
    run_loop(_guarded(settings, config_path, body))


async def _guarded(settings: "Settings", config_path: Path | None, body: Body) -> None:
    from nearcast_telemetry.signals import stop_on_signals

    with stop_on_signals() as stop:
        await _check_database(settings, config_path)
        if not stop.is_set():
            asyncio.get_running_loop().call_later(settling.AFTER_S, settling.settle)
            await body(settings.process, stop, first_policy=settings.policy)


async def _check_database(settings: "Settings", config_path: Path | None) -> None:
    """A Postgres that is away for the moment is no reason to end: the process itself waits for it."""
    from nearcast_cli.operating import check_schema, records_on
    from nearcast_cli.seeding import warn_of_others
    from nearcast_store.errors import StoreUnavailableError
    from nearcast_store.postgres import open_pool
    from nearcast_telemetry.logs import logger

    process, policy = settings.process, settings.policy
    pool = await open_pool(process.postgres.dsn, 1, process.postgres.command_timeout_s)
    try:
        await check_schema(pool)
        if policy is not None and config_path is not None:
            await warn_of_others(records_on(pool, policy), policy, config_path)
    except StoreUnavailableError as error:
        logger("cli").warning("schema.not_checked", reason=error)
    finally:
        await pool.close()


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one."""
    _collect_seldom()
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def _collect_seldom() -> None:
    """What was imported stays, and events are in no cycles: looking for some took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
