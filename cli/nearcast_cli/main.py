"""The command `nearcast`: each subcommand is loaded when it is asked for, and every failure is told here."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from nearcast_cli.failure import INTERRUPTED, CommandFailedError, usage_json

# In the order in which somebody new needs them.
COMMANDS = {
    "up": "up",
    "recommend": "recommend",
    "nearby": "nearby",
    "record": "record",
    "stats": "stats",
    "items": "items",
    "markets": "markets",
    "simulate": "simulate",
    "policy": "policy",
    "experiment": "experiment",
    "evaluate": "evaluate",
    "explain": "explain",
    "replay": "replay",
    "config": "config",
    "keys": "keys",
    "migrate": "migrate",
    "preflight": "preflight",
    "rebuild": "rebuild",
    "verify-stats": "verify_stats",
    "log": "log",
    "events": "events",
    "dead-letters": "dead_letters",
    "serve": "serve",
    "scribe": "scribe",
    "keeper": "keeper",
    "town": "town",
    "bench": "bench",
    "test": "test",
    "version": "version",
}


class Commands(click.Group):
    """Imports the module of a command only when the command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All of them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command; `nearcast_cli.commands.<name>` holds it under the name `command`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"nearcast_cli.commands.{COMMANDS[cmd_name]}")
        found: click.Command = module.command
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def nearcast() -> None:
    """What is worth showing, here and now.

    Start everything with `nearcast up`, then ask `nearcast recommend LAT LON` in a second terminal.
    """


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments ask; the exit status: 0 done, 1 failed, 2 misunderstood, 130 interrupted."""
    as_json = "--json" in arguments
    try:
        code = nearcast.main(list(arguments), prog_name="nearcast", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        return _misunderstood(error, as_json)
    except click.Abort:
        click.echo("\nInterrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except click.ClickException as error:
        told = error if isinstance(error, CommandFailedError) else CommandFailedError(error.format_message())
        return _failed(told, as_json)
    except Exception as error:
        from nearcast_cli.explaining import explain

        explained = explain(error)
        if explained is None:
            raise
        return _failed(explained, as_json)
    return code if isinstance(code, int) else 0


def main() -> NoReturn:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


def _failed(error: CommandFailedError, as_json: bool) -> int:
    click.echo(error.as_json() if as_json else f"nearcast: {error.told()}", err=True)
    return error.exit_code


def _misunderstood(error: click.UsageError, as_json: bool) -> int:
    if as_json:
        click.echo(usage_json(error), err=True)
    else:
        error.show()
    return error.exit_code


def _reader_gone() -> int:
    """Whoever read our output has closed it, such as `head`: say nothing, also not while Python ends."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    return 1
