"""nearcast bench: the benchmarks of the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import click

from nearcast_cli.checkout import find_checkout
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import json_option


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Only those with a quick form, under five minutes in all.")
@click.option(
    "--peers", is_flag=True, help="Install further peers into a folder apart, and measure them too."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep JSON and plots here.")
@click.option("--list", "listing", is_flag=True, help="Say which there are, and how long they take.")
@json_option
def command(
    names: tuple[str, ...], quick: bool, peers: bool, out: Path | None, listing: bool, as_json: bool
) -> int:
    """Measure nearcast beside its peers on this machine: all benchmarks of the checkout, or those named.

    Says first how long it takes, and at last in one table: what, against what, the ratio, the goal, and
    whether it is reached. A goal that is missed is no failure; the exit status is 1 when a benchmark does not
    end well.
    """
    options = {"--quick": quick, "--peers": peers, "--list": listing, "--json": as_json}
    chosen = [option for option, given in options.items() if given]
    kept = () if out is None else ("--out", str(out.absolute()))
    root = benchmarks_root(find_checkout())
    # They lie beside the rooms and are no part of an installed nearcast: only this makes them importable.
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": str(root)}
    argv = [sys.executable, "-m", "benchmarks", *names, *chosen, *kept]
    return subprocess.run(argv, cwd=root, env=environment, check=False).returncode


def benchmarks_root(checkout: Path | None) -> Path:
    """The folder in which `benchmarks` lies."""
    if checkout is None or not (checkout / "benchmarks" / "__main__.py").is_file():
        raise CommandFailedError(
            "the benchmarks are part of the checkout, and this nearcast was installed without it",
            reason="NO_CHECKOUT",
            advice="Clone the repository and run there:  ./nearcast bench --quick",
        )
    return checkout
