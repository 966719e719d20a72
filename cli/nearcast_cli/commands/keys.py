"""nearcast keys: who may call, and what signs reward tokens."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.finiterange import FiniteRange
from nearcast_cli.moment import stamp
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nearcast_store.tenants.protocol import KeyInfo, Role

DAY_S = 86400.0


@click.group("keys")
def command() -> None:
    """Make, list and revoke API keys; rotate the key that signs reward tokens."""


@command.command("create")
@click.option(
    "--role",
    type=click.Choice(["client", "backend", "operator"]),
    default="client",
    show_default=True,
    help="client asks and records; backend also writes items and reads statistics; operator may all.",
)
@click.option("--label", default="", metavar="TEXT", help="What it is for.")
@click.option(
    "--expires-days", type=FiniteRange(min=0, min_open=True, max=36500), metavar="N", help="Unset: never."
)
@tenant_option
@database_options
@json_option
def create(
    role: str,
    label: str,
    expires_days: float | None,
    tenant: str,
    database: Database,
    as_json: bool,
) -> None:
    """Make a key and print it, this once; the tenant is made when it is new."""
    from nearcast_cli.operating import check_slug
    from nearcast_cli.printing import print_json

    check_slug(tenant)
    expires_at = None if expires_days is None else time.time() + expires_days * DAY_S
    dsn = database.find()
    key, info = asyncio.run(_create(dsn, tenant, cast("Role", role), label, expires_at))
    if as_json:
        print_json({"key": key, **_plain(info)})
    else:
        click.echo(key)
        click.echo(f"Key {info.key_id} for {tenant} with role {role}. It is not shown again.", err=True)


async def _create(
    dsn: str, tenant: str, role: "Role", label: str, expires_at: float | None
) -> "tuple[str, KeyInfo]":
    from nearcast_cli.operating import open_records

    async with open_records(dsn) as records:
        tenant_id = await records.tenants.ensure_tenant(tenant, tenant)
        return await records.tenants.create_key(tenant_id, role, label, expires_at)


@command.command("list")
@tenant_option
@database_options
@json_option
def list_(tenant: str, database: Database, as_json: bool) -> None:
    """List the keys of a tenant, never the keys themselves."""
    from nearcast_cli.printing import print_json, print_table

    keys = asyncio.run(_list(database.find(), tenant))
    if as_json:
        print_json({"keys": [_plain(key) for key in keys]})
        return
    columns = (">id", "begins with", "role", "label", "made", "expires", "revoked")
    print_table(columns, [_row(key) for key in keys])


async def _list(dsn: str, tenant: str) -> "Sequence[KeyInfo]":
    from nearcast_cli.operating import open_records

    async with open_records(dsn) as records:
        return await records.tenants.keys(await records.tenant_id(tenant))


@command.command("revoke")
@click.argument("key_id", type=int, metavar="KEY_ID")
@tenant_option
@database_options
@json_option
def revoke(
    key_id: int,
    tenant: str,
    database: Database,
    as_json: bool,
) -> None:
    """Revoke a key by its number in `nearcast keys list`; gateways refuse it within seconds."""
    from nearcast_cli.printing import print_json

    if not asyncio.run(_revoke(database.find(), tenant, key_id)):
        raise CommandFailedError(
            f"{tenant} has no key {key_id}",
            reason="KEY_UNKNOWN",
            field="key_id",
            advice=f"See them with:  {command_name()} keys list --tenant {tenant}",
        )
    if as_json:
        print_json({"revoked": key_id})
    else:
        click.echo(f"Revoked key {key_id} of {tenant}.")


async def _revoke(dsn: str, tenant: str, key_id: int) -> bool:
    from nearcast_cli.operating import open_records

    async with open_records(dsn) as records:
        return await records.tenants.revoke_key(await records.tenant_id(tenant), key_id)


@command.command("rotate-signing")
@tenant_option
@database_options
@json_option
def rotate_signing(tenant: str, database: Database, as_json: bool) -> None:
    """Sign reward tokens with a new key.

    Two keys are live. The new one signs as soon as every process had time to read it, and the one before it
    goes on verifying. Any older one is retired: it goes on verifying for 8 days (7 in which an event may come
    in, and 1 in which the log may be read again) and is then forgotten. No token is lost by it.
    """
    from nearcast_cli.printing import print_json

    key_ids = asyncio.run(_rotate(database.find(), tenant))
    *others, signs = key_ids
    made = others[-1] if others else signs
    if as_json:
        print_json({"made": made, "signs": signs, "verify": sorted(key_ids)})
        return
    verifying = ", ".join(map(str, sorted(key_ids)))
    until = "" if made == signs else f" until every process knows key {made}, which was made now"
    click.echo(f"Signing key {signs} signs{until}; verifying: {verifying}.")


async def _rotate(dsn: str, tenant: str) -> list[int]:
    """The keys that verify: the one that signs last, and before it the one that was made now."""
    from nearcast_cli.operating import open_records

    async with open_records(dsn) as records:
        keyring = await records.policies.rotate(await records.tenant_id(tenant))
    return [key.key_id for key in keyring.keys]


def _plain(key: "KeyInfo") -> dict[str, object]:
    return {
        "keyId": key.key_id,
        "tenant": key.tenant,
        "prefix": key.prefix,
        "role": key.role,
        "label": key.label,
        "createdAt": _moment(key.created_at),
        "expiresAt": _moment(key.expires_at),
        "revokedAt": _moment(key.revoked_at),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else stamp(datetime.fromtimestamp(seconds, UTC))


def _row(key: "KeyInfo") -> tuple[str, ...]:
    times = (_moment(key.created_at), _moment(key.expires_at), _moment(key.revoked_at))
    return (str(key.key_id), key.prefix, key.role, key.label, *(moment or "" for moment in times))
