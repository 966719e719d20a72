"""nearcast policy revisions, rollback, freeze and unfreeze: what was set, and the ways back."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_config.problems import SettingProblem
    from nearcast_server.governing import Made, Wish

_LISTED = 20
_FROZEN = "every request gets the default feed by posterior mean, and nothing is explored."
_GOING = "Not frozen, but for markets that are frozen by themselves."


def change_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--note, --expect and --request-id, of every command that changes a policy."""
    for option in (
        click.option(
            "--request-id",
            default="",
            metavar="ID",
            help="Name of this call: sent again with the same one it changes nothing more.",
        ),
        click.option(
            "--expect",
            type=click.IntRange(0),
            default=0,
            metavar="N",
            help="Only if revision N is in force; 0 = whatever is.",
        ),
        click.option("--note", default="", metavar="TEXT", help="Why."),
    ):
        command = option(command)
    return command


def said(problems: "tuple[SettingProblem, ...] | list[SettingProblem]") -> list[dict[str, str]]:
    """Problems or warnings as plain facts."""
    from nearcast_config.ranges import allowed_at

    return [
        {"key": problem.key, "message": problem.message, "allowed": allowed_at(problem.key)}
        for problem in problems
    ]


def tell(made: "Made", tenant: str, as_json: bool, asked: str = "") -> None:
    """What has become of a change, and what is probably not meant by it: not the key that was asked for."""
    from nearcast_cli.printing import print_json

    if as_json:
        print_json(
            {
                "tenant": tenant,
                "revision": made.revision,
                "changed": made.is_changed,
                "revisionInForce": made.in_force,
                "warnings": said(list(made.warnings)),
            }
        )
        return
    for warning in made.warnings:
        if warning.key != asked:
            click.echo(f"Warning: {warning}", err=True)
    click.echo(_outcome(made, tenant))


def _outcome(made: "Made", tenant: str) -> str:
    if made.is_changed:
        return f"Revision {made.revision} of {tenant} is in force."
    if made.revision == made.in_force:
        return f"Nothing was changed: revision {made.revision} of {tenant} is in force, and says so already."
    return (
        f"Nothing was changed: this call made revision {made.revision} of {tenant} before, and revision"
        f" {made.in_force} is in force by now."
    )


@click.command("revisions")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=_LISTED, show_default=True, metavar="N", help="How many."
)
@click.option("--below", type=click.IntRange(0), default=0, metavar="N", help="Only those before revision N.")
@tenant_option
@database_options
@json_option
def revisions(limit: int, below: int, tenant: str, database: Database, as_json: bool) -> None:
    """List the revisions of a tenant's policy, the newest first."""
    from nearcast_cli.governing import govern, when
    from nearcast_cli.printing import print_json, print_table

    first = database.first_policy()
    notes, more = asyncio.run(
        govern(database.find(), tenant, lambda governor, number: governor.page(number, below, limit), first)
    )
    # A contender is never in force; what is before another one is so no longer.
    in_force = 0 if below else next((note.number for note in notes if not note.contender), 0)
    if as_json:
        listed = [
            {
                "revision": note.number,
                "author": note.author,
                "note": note.note,
                "createdAt": note.created_at,
                "etag": note.checksum.hex()[:16],
                "contender": note.contender,
                "inForce": note.number == in_force,
            }
            for note in notes
        ]
        print_json({"tenant": tenant, "revisions": listed, "below": more})
        return
    rows = [
        (
            str(note.number),
            when(note.created_at),
            note.author,
            note.note,
            note.checksum.hex()[:8],
            "in force" if note.number == in_force else "contender" if note.contender else "",
        )
        for note in notes
    ]
    if not rows:
        click.echo(f"There is no revision of {tenant} before {below}.")
        return
    print_table((">revision", "made (UTC)", "author", "note", "etag", ""), rows)
    if more:
        click.echo(f"Older ones: --below {more}")


@click.command("rollback")
@click.argument("revision", type=click.IntRange(1))
@change_options
@tenant_option
@database_options
@json_option
def rollback(
    revision: int,
    note: str,
    expect: int,
    request_id: str,
    tenant: str,
    database: Database,
    as_json: bool,
) -> None:
    """Put in force what REVISION said, as a new revision; those between stay."""
    from nearcast_cli.governing import govern, wish_of

    wish = wish_of(note, expect, request_id)
    made = asyncio.run(
        govern(database.find(), tenant, lambda governor, number: governor.rollback(number, revision, wish))
    )
    tell(made, tenant, as_json)


@click.command("freeze")
@click.argument("market", default="")
@change_options
@tenant_option
@database_options
@json_option
def freeze(
    market: str, note: str, expect: int, request_id: str, tenant: str, database: Database, as_json: bool
) -> None:
    """Stop drawing and exploring in MARKET, or everywhere without one.

    Every request then gets the default feed, with items by posterior mean; statistics go on. It outlasts
    every restart, until `policy unfreeze`.
    """
    from nearcast_cli.governing import wish_of

    _set(market, wish_of(note, expect, request_id), tenant, database, frozen=True, as_json=as_json)


@click.command("unfreeze")
@click.argument("market", default="")
@change_options
@tenant_option
@database_options
@json_option
def unfreeze(
    market: str, note: str, expect: int, request_id: str, tenant: str, database: Database, as_json: bool
) -> None:
    """Lift what `policy freeze` did in MARKET, or without one everywhere; single markets stay as they are."""
    from nearcast_cli.governing import wish_of

    _set(market, wish_of(note, expect, request_id), tenant, database, frozen=False, as_json=as_json)


def _set(market: str, wish: "Wish", tenant: str, database: Database, *, frozen: bool, as_json: bool) -> None:
    from nearcast_cli.governing import govern

    made = asyncio.run(
        govern(
            database.find(),
            tenant,
            lambda governor, number: governor.freeze(number, market, wish, frozen=frozen),
            database.first_policy(),
        )
    )
    key = f"policy.markets.{market}" if market else "policy.master"
    tell(made, tenant, as_json, f"{key}.frozen")
    if not as_json and frozen:
        click.echo(f"Frozen {f'in {market}' if market else 'everywhere'}: {_FROZEN}")
    elif not as_json:
        click.echo(f"Not frozen by itself: {market}." if market else _GOING)
