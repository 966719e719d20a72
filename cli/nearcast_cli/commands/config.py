"""nearcast config: the settings of a process, checked and shown."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import config_option, json_option

if TYPE_CHECKING:
    from msgspec import Struct

    from nearcast_config.problems import SettingProblem


@click.group("config")
def command() -> None:
    """Check and show settings."""


@command.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path), envvar="NEARCAST_CONFIG")
@json_option
def check(file: Path | None, as_json: bool) -> int:
    """Check FILE and the environment; every fault with its key, its range and the nearest known name.

    The exit status is 1 if there is any.
    """
    from nearcast_cli.printing import print_json
    from nearcast_config.consistency import policy_warnings
    from nearcast_config.loading import load_file
    from nearcast_config.problems import SettingsError

    problems: tuple[SettingProblem, ...] = ()
    warnings: tuple[SettingProblem, ...] = ()
    try:
        settings = load_file(file, os.environ)
    except SettingsError as error:
        problems = error.problems
    else:
        warnings = policy_warnings(settings.policy) if settings.policy else ()
    if as_json:
        print_json(
            {
                "ok": not problems,
                "problems": list(map(_plain, problems)),
                "warnings": list(map(_plain, warnings)),
            }
        )
    else:
        _tell(file, problems, warnings)
    return 1 if problems else 0


def _plain(problem: "SettingProblem") -> dict[str, str]:
    return {"key": problem.key, "message": problem.message, "source": problem.source}


def _tell(
    file: Path | None, problems: "tuple[SettingProblem, ...]", warnings: "tuple[SettingProblem, ...]"
) -> None:
    for problem in problems:
        click.echo(str(problem), err=True)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    what = str(file) if file else "the environment"
    click.echo(f"{what}: {len(problems)} problems" if problems else f"{what}: good", err=bool(problems))


@command.command("show")
@config_option
@json_option
def show(config_path: Path | None, as_json: bool) -> None:
    """Print the settings a process would start with: defaults, file and environment. Secrets are hidden."""
    from msgspec import to_builtins

    from nearcast_cli.printing import print_json
    from nearcast_config.loading import load_file
    from nearcast_config.tomltext import write_toml

    settings = load_file(config_path, os.environ)
    document = _without_secrets(settings.process)
    if settings.policy is not None:
        document["policy"] = to_builtins(settings.policy)
    if as_json:
        print_json(document)
    else:
        click.echo(write_toml(document), nl=False)


def _without_secrets(process: "Struct") -> dict[str, object]:
    from msgspec import to_builtins

    from nearcast_config.declaration import settings_of
    from nearcast_telemetry.logs import HIDDEN

    document: dict[str, object] = to_builtins(process)
    for setting in settings_of(type(process)):
        *sections, name = setting.key.split(".")
        table: dict[str, Any] = document
        for section in sections:
            table = table[section]
        if setting.secret and table[name]:
            table[name] = HIDDEN
    return document
