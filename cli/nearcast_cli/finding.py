"""Where server and database are: as told, as the environment says, or as the running instance knows."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError

if TYPE_CHECKING:
    from nearcast_cli.embedded import Instance
    from nearcast_config.policy import Policy
    from nearcast_config.process import ProcessConfig

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DEFAULT_STATE = Path(".nearcast")


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway and the key to show it."""

    address: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Server:
    """How a gateway was named on the command line."""

    address: str | None
    api_key: str | None
    state: Path

    def find(self) -> Target:
        """The gateway to speak to; CommandFailedError says how one is started or named."""
        if self.address and self.api_key:
            return Target(self.address, self.api_key)
        instance = _instance(self.state)
        if instance is None or not instance.address:
            if self.address:
                raise _no_key(self.address)
            raise _no_server(self.state, is_starting=instance is not None)
        if self.address and self.address != instance.address:
            raise _no_key(self.address)
        return Target(instance.address, self.api_key or instance.api_key)


@dataclass(frozen=True, slots=True)
class Database:
    """How a database was named on the command line."""

    dsn: str | None
    config_path: Path | None
    state: Path

    def find(self) -> str:
        """The DSN to work on; CommandFailedError says how to name one."""
        return require_dsn(self.process({}), self.state)

    def process(self, overrides: Mapping[str, object]) -> "ProcessConfig":
        """The settings, with the stores of the running instance where nothing else names any."""
        from nearcast_config.loading import load_process

        named = {"postgres.dsn": self.dsn, **overrides}
        process = load_process(self.config_path, os.environ, named)
        instance = None if process.postgres.dsn else _instance(self.state)
        if instance is None:
            return process
        stores = {"postgres.dsn": instance.postgres_dsn}
        if instance.runs_stores and not (process.redis.geo_url or process.redis.log_url):
            stores["preflight.state"] = str(self.state)
        if not process.redis.geo_url:
            stores["redis.geo_url"] = instance.redis_url
        return load_process(self.config_path, os.environ, {**named, **stores})

    def first_policy(self) -> "Policy | None":
        """The policy of the settings file, which a tenant has before anybody applied one."""
        from nearcast_config.loading import load_file

        return load_file(self.config_path, os.environ).policy


def state_option(command: Decorated) -> Decorated:
    """--state, for what can ask a running instance."""
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_STATE,
        show_default=True,
        envvar="NEARCAST_STATE",
        help="State directory of the instance.",
    )(command)


def client_options(command: Decorated) -> Decorated:
    """--address, --api-key and --state, handed to the command as one `server`."""

    @wraps(command)
    def with_server(*, address: str | None, api_key: str | None, state: Path, **others: Any) -> Any:
        return command(server=Server(address, api_key, state), **others)

    decorated = state_option(with_server)
    decorated = click.option(
        "--api-key", envvar="NEARCAST_API_KEY", metavar="KEY", help="Key to show; or NEARCAST_API_KEY."
    )(decorated)
    return cast(
        "Decorated",
        click.option(
            "--address",
            envvar="NEARCAST_ADDRESS",
            metavar="HOST:PORT",
            help="Gateway to ask; or NEARCAST_ADDRESS. Default: the running instance of --state.",
        )(decorated),
    )


def database_options(command: Decorated) -> Decorated:
    """--postgres-dsn, --config and --state, handed to the command as one `database`."""

    @wraps(command)
    def with_database(
        *, postgres_dsn: str | None, config_path: Path | None, state: Path, **others: Any
    ) -> Any:
        return command(database=Database(postgres_dsn, config_path, state), **others)

    decorated = config_option(state_option(with_database))
    return cast(
        "Decorated",
        click.option(
            "--postgres-dsn",
            metavar="DSN",
            help="Database; or NEARCAST_POSTGRES__DSN, or --config, or the running instance of --state.",
        )(decorated),
    )


def config_option(command: Decorated) -> Decorated:
    """--config, the settings file of a process."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="NEARCAST_CONFIG",
        metavar="FILE",
        help="Settings file (TOML); or NEARCAST_CONFIG.",
    )(command)


def redis_option(command: Decorated) -> Decorated:
    """--redis-url, beside --postgres-dsn."""
    return click.option(
        "--redis-url", metavar="URL", help="Redis; or NEARCAST_REDIS__GEO_URL, or as the database."
    )(command)


def json_option(command: Decorated) -> Decorated:
    """--json, one document on standard output."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def require_dsn(process: "ProcessConfig", state: Path | None) -> str:
    """The DSN of the settings, or what to do without; `state` is where an instance was looked for."""
    if process.postgres.dsn:
        return process.postgres.dsn
    raise CommandFailedError(
        f"no database is named, and no instance runs on {state}" if state else "no database is named",
        reason="NO_DATABASE",
        field="postgres.dsn",
        advice="Name one with --postgres-dsn, NEARCAST_POSTGRES__DSN or --config; or start:  "
        f"{command_name()} up",
    )


def require_redis(process: "ProcessConfig") -> str:
    """The URL of the index, or what to do when there is none."""
    if process.redis.geo_url:
        return process.redis.geo_url
    raise CommandFailedError(
        "no Redis is named",
        reason="NO_REDIS",
        field="redis.geo_url",
        advice="Name one with --redis-url, NEARCAST_REDIS__GEO_URL or --config.",
    )


def how_to_start() -> str:
    """What to type where nothing runs."""
    return f"Start one with:  {command_name()} up   (in another terminal)"


def _instance(state: Path) -> "Instance | None":
    from nearcast_cli.embedded import running_instance

    return running_instance(state)


def _no_server(state: Path, *, is_starting: bool) -> CommandFailedError:
    how = "is still starting" if is_starting else "does not run"
    return CommandFailedError(
        f"the instance of {state} {how}, and no --address or NEARCAST_ADDRESS names another",
        reason="NO_SERVER",
        advice=how_to_start(),
    )


def _no_key(address: str) -> CommandFailedError:
    return CommandFailedError(
        f"no key for {address}",
        reason="MISSING_CREDENTIALS",
        advice=f"Give one with --api-key or NEARCAST_API_KEY; make one with:  {command_name()} keys create",
    )
