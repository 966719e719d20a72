"""nearcast policy: what a tenant has set."""

import asyncio
from pathlib import Path

import click

from nearcast_cli.commands.policy_curve import curve
from nearcast_cli.commands.policy_preview import preview
from nearcast_cli.commands.policy_revisions import (
    change_options,
    freeze,
    revisions,
    rollback,
    said,
    tell,
    unfreeze,
)
from nearcast_cli.commands.policy_shadow import shadow
from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.policyfile import read_policy_file
from nearcast_cli.tenant import tenant_option

_FILE = click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True)


@click.group("policy")
def command() -> None:
    """Priors, weights, feeds and scenarios of a tenant; changed without a restart."""


for _other in (curve, revisions, rollback, freeze, unfreeze, shadow, preview):
    command.add_command(_other)


@command.command("check")
@click.argument("file", type=_FILE)
@json_option
def check(file: Path, as_json: bool) -> int:
    """Say what is wrong with the policy of FILE (TOML), and what is probably not meant; needs no server.

    Exit status 1 when it cannot be applied.
    """
    from nearcast_cli.printing import counted, print_json
    from nearcast_config.consistency import policy_warnings
    from nearcast_config.policytext import load_policy_text
    from nearcast_config.problems import SettingsError, told

    problems, warnings = [], []
    try:
        warnings = list(policy_warnings(load_policy_text(read_policy_file(file), str(file))))
    except SettingsError as error:
        problems = list(error.problems)
    if as_json:
        print_json({"problems": said(problems), "warnings": said(warnings)})
    else:
        for word, listed in (("Problem", problems), ("Warning", warnings)):
            for line in told(listed):
                click.echo(f"{word}: {line}")
        can = "cannot be applied" if problems else "can be applied"
        click.echo(f"{file} {can}: {counted(len(problems), 'problem')}, {counted(len(warnings), 'warning')}.")
    return 1 if problems else 0


@command.command("diff")
@click.argument("file", type=_FILE)
@tenant_option
@database_options
@json_option
def diff(file: Path, tenant: str, database: Database, as_json: bool) -> None:
    """Say, key by key, what the policy of FILE (TOML) would change of the one in force."""
    from nearcast_cli.governing import govern
    from nearcast_cli.printing import print_json
    from nearcast_config.problems import told

    text = _checked(file)
    checked = asyncio.run(
        govern(
            database.find(),
            tenant,
            lambda governor, number: governor.check(number, text),
            database.first_policy(),
        )
    )
    if as_json:
        changes = [{"key": each.key, "before": each.before, "after": each.after} for each in checked.changes]
        print_json(
            {
                "tenant": tenant,
                "revisionInForce": checked.in_force,
                "changes": changes,
                "warnings": said(list(checked.warnings)),
            }
        )
        return
    for change in checked.changes:
        click.echo(str(change))
    if not checked.changes:
        click.echo(f"{file} says what revision {checked.in_force} of {tenant} says.")
    for line in told(checked.warnings):
        click.echo(f"Warning: {line}", err=True)


@command.command("apply")
@click.argument("file", type=_FILE)
@change_options
@tenant_option
@database_options
@json_option
def apply(
    file: Path,
    note: str,
    expect: int,
    request_id: str,
    tenant: str,
    database: Database,
    as_json: bool,
) -> None:
    """Make the policy of FILE (TOML) the revision in force.

    What the file leaves out has its default. Gateways follow within a second or two; the same policy again
    changes nothing.
    """
    from nearcast_cli.governing import govern, wish_of

    text, wish = _checked(file), wish_of(note, expect, request_id)
    made = asyncio.run(
        govern(database.find(), tenant, lambda governor, number: governor.apply(number, text, wish))
    )
    tell(made, tenant, as_json)


@command.command("show")
@click.option(
    "--revision",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Its number; 0 = the one in force.",
)
@tenant_option
@database_options
@json_option
def show(revision: int, tenant: str, database: Database, as_json: bool) -> None:
    """Print the policy in force, or an older revision, as TOML, ready to be changed and applied."""
    from msgspec import to_builtins

    from nearcast_cli.governing import govern
    from nearcast_cli.printing import print_json
    from nearcast_config.policytext import policy_to_toml

    found = asyncio.run(
        govern(
            database.find(),
            tenant,
            lambda governor, number: governor.revision(number, revision),
            database.first_policy(),
        )
    )
    if as_json:
        print_json({"tenant": tenant, "revision": found.number, "policy": to_builtins(found.policy)})
    else:
        click.echo(f"# revision {found.number} of {tenant}\n{policy_to_toml(found.policy)}", nl=False)


def _checked(file: Path) -> str:
    """The text of a policy that can be applied; SettingsError names the file with each fault."""
    from nearcast_config.policytext import load_policy_text

    text = read_policy_file(file)
    load_policy_text(text, str(file))
    return text
