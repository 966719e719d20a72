"""nearcast version."""

import platform
from importlib.metadata import PackageNotFoundError, version

import click

from nearcast_cli.checkout import find_checkout
from nearcast_cli.finding import json_option


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """The version of nearcast and of the Python that runs it."""
    from nearcast_cli.printing import print_json

    facts = {"version": _version(), "python": platform.python_version(), "platform": platform.platform()}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"nearcast {facts['version']} (Python {facts['python']}, {facts['platform']})")


def _version() -> str:
    """Of the checkout we run from, else of the installed package."""
    checkout = find_checkout()
    if checkout is not None:
        import tomllib

        project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project["version"])
    try:
        return version("nearcast")
    except PackageNotFoundError:
        return "unknown"
