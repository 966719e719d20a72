"""nearcast test: the tests of the checkout."""

import os
import subprocess
import sys
from importlib.util import find_spec

import click

from nearcast_cli.checkout import command_name, find_checkout
from nearcast_cli.failure import CommandFailedError

# Most of the time of the whole suite is waited for processes that start, die and come back. A file stays in
# one worker, and with it what its tests share; the tests themselves say which files begin.
MOST_WORKERS = 4
LEAST_WORKERS = 2


@click.command(
    "test", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST ARGS]...")
def command(arguments: tuple[str, ...]) -> int:
    """Run the tests of the checkout, with pytest's own arguments; without any, all of them in parallel."""
    root = find_checkout()
    if root is None:
        raise CommandFailedError(
            "the tests are part of the checkout, and this nearcast was installed without it",
            reason="NO_CHECKOUT",
            advice="Clone the repository and run there:  ./nearcast test",
        )
    if find_spec("pytest") is None:
        raise CommandFailedError(
            "this environment was made for running, not for testing",
            reason="NO_PYTEST",
            advice=f"Run:  {command_name()} test",
        )
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *(arguments or in_parallel(os.cpu_count() or 1))],
        cwd=root,
        env=environment,
        check=False,
    ).returncode


def in_parallel(cores: int) -> tuple[str, ...]:
    """What tells pytest to run in several processes, each with servers of its own."""
    workers = min(max(cores, LEAST_WORKERS), MOST_WORKERS)
    return (f"--numprocesses={workers}", "--dist=loadfile", "--no-loadscope-reorder")
