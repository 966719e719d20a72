"""nearcast policy: what a tenant has set."""

import asyncio
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_config.policy import Policy
    from nearcast_store.policies.protocol import Revision


@click.group("policy")
def command() -> None:
    """Priors, weights, feeds and scenarios of a tenant; changed without a restart."""


@command.command("apply")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True))
@click.option("--note", default="", metavar="TEXT", help="Why.")
@tenant_option
@database_options
@json_option
def apply(
    file: Path,
    note: str,
    tenant: str,
    database: Database,
    as_json: bool,
) -> None:
    """Make the policy of FILE (TOML) the revision in force.

    What the file leaves out has its default. Gateways follow within a second or two; the same policy again
    changes nothing.
    """
    from nearcast_cli.printing import print_json
    from nearcast_config.consistency import policy_warnings
    from nearcast_config.policytext import load_policy_text

    text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    policy = load_policy_text(text, str(file))
    revision = asyncio.run(_apply(database.find(), tenant, policy, note))
    warnings = policy_warnings(policy)
    if as_json:
        said = [{"key": warning.key, "message": warning.message} for warning in warnings]
        print_json({"tenant": tenant, "revision": revision.number, "warnings": said})
        return
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"Revision {revision.number} of {tenant} is in force.")


async def _apply(dsn: str, tenant: str, policy: "Policy", note: str) -> "Revision":
    from nearcast_cli.operating import open_records

    async with open_records(dsn) as records:
        tenant_id = await records.tenant_id(tenant)
        return await records.policies.apply(tenant_id, policy, _author(), note)


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@command.command("show")
@tenant_option
@database_options
@json_option
def show(tenant: str, database: Database, as_json: bool) -> None:
    """Print the policy in force as TOML, ready to be changed and applied."""
    from msgspec import to_builtins

    from nearcast_cli.printing import print_json
    from nearcast_config.policytext import policy_to_toml

    revision = asyncio.run(_show(database.find(), tenant, database.first_policy()))
    if as_json:
        document = {
            "tenant": tenant,
            "revision": revision.number,
            "policy": to_builtins(revision.policy),
        }
        print_json(document)
    else:
        click.echo(f"# revision {revision.number} of {tenant}\n{policy_to_toml(revision.policy)}", nl=False)


async def _show(dsn: str, tenant: str, first: "Policy | None") -> "Revision":
    from nearcast_cli.operating import open_records

    async with open_records(dsn, first) as records:
        return await records.policies.current(await records.tenant_id(tenant))
