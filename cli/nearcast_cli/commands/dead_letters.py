"""nearcast dead-letters: events that could not be stored."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, database_options, json_option, redis_option
from nearcast_cli.moment import stamp
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_cli.ledgers import Ledger
    from nearcast_config.process import ProcessConfig
    from nearcast_statskeeper.reviving import Refusal
    from nearcast_store.counting.letters import Letter, PostgresLetters, State

PAGE = 200


@click.group("dead-letters")
def command() -> None:
    """Look at events that could not be stored, and settle them.

    They stay as a record when they are settled, so that every accepted event remains accounted for.
    """


@command.command("list")
@click.option(
    "--which",
    type=click.Choice(["dead", "retried", "discarded", "all"]),
    default="dead",
    show_default=True,
    help="dead is what nobody has settled.",
)
@click.option("--reason", metavar="REASON", help="Only these, such as TEXT_NUL.")
@click.option("--after", type=int, default=0, metavar="ID", help="Begin after this one; to page.")
@click.option(
    "--limit", type=click.IntRange(1, 10000), default=50, show_default=True, metavar="N", help="How many."
)
@tenant_option
@database_options
@json_option
def list_(
    which: str, reason: str | None, after: int, limit: int, tenant: str, database: Database, as_json: bool
) -> None:
    """List dead letters, oldest first."""
    from nearcast_cli.printing import print_json, print_table

    wanted = None if which == "all" else cast("State", which)
    letters = asyncio.run(_list(database.find(), tenant, after, limit, wanted, reason))
    if as_json:
        print_json({"letters": [_plain(letter) for letter in letters]})
        return
    if not letters:
        click.echo("There are none.")
        return
    rows = [(str(each.letter_id), each.state, _time(each), each.reason, each.detail) for each in letters]
    print_table((">id", "state", "since", "reason", "detail"), rows)
    if len(letters) == limit:
        click.echo(f"There may be more: --after {letters[-1].letter_id}")


async def _list(
    dsn: str, tenant: str, after: int, limit: int, state: "State | None", reason: str | None
) -> "list[Letter]":
    from nearcast_cli.ledgers import open_ledger

    async with open_ledger(dsn) as ledger:
        tenant_id = await ledger.records.tenant_id(tenant)
        return list(await _letters(ledger).page(tenant_id, after, limit, state, reason))


@command.command("show")
@click.argument("letter_id", type=int, metavar="ID")
@tenant_option
@database_options
@json_option
def show(letter_id: int, tenant: str, database: Database, as_json: bool) -> None:
    """Show one letter with what it holds, decoded where that is possible."""
    from nearcast_cli.printing import print_json

    letter = asyncio.run(_show(database.find(), tenant, letter_id))
    if letter is None:
        raise CommandFailedError(
            f"{tenant} has no dead letter {letter_id}",
            reason="LETTER_UNKNOWN",
            advice=f"See them with:  {command_name()} dead-letters list --tenant {tenant}",
        )
    plain = {**_plain(letter), **_content(letter)}
    if as_json:
        print_json(plain)
        return
    for name, value in plain.items():
        click.echo(f"{name}: {'-' if value in (None, '') else value}")


async def _show(dsn: str, tenant: str, letter_id: int) -> "Letter | None":
    from nearcast_cli.ledgers import open_ledger

    async with open_ledger(dsn) as ledger:
        return await _letters(ledger).letter(await ledger.records.tenant_id(tenant), letter_id)


@command.command("retry")
@click.argument("letter_ids", type=int, nargs=-1, metavar="[ID]...")
@click.option("--reason", metavar="REASON", help="All dead ones with this reason, instead of ids.")
@tenant_option
@redis_option
@database_options
@json_option
def retry(
    letter_ids: tuple[int, ...],
    reason: str | None,
    tenant: str,
    redis_url: str | None,
    database: Database,
    as_json: bool,
) -> int:
    """Send letters through the event log again, under the identity their events had.

    However often that is done, or broken off, each event is counted once. A letter that the keeper would only
    bury again is refused and stays. Exit status 1 if any was refused.
    """
    from nearcast_cli.ledgers import with_redis

    if bool(letter_ids) == (reason is not None):
        raise click.UsageError("name letters by their ids, or all of a --reason")
    process = with_redis(database, redis_url)
    return _told("retried", as_json, asyncio.run(_retry(process, tenant, letter_ids, reason)))


async def _retry(
    process: "ProcessConfig", tenant: str, letter_ids: tuple[int, ...], reason: str | None
) -> "dict[int, Refusal | None]":
    from nearcast_cli.ledgers import open_ledger, open_log
    from nearcast_statskeeper.reviving import retry_letter

    async with open_ledger(process.postgres.dsn) as ledger, open_log(process) as log:
        tenant_id, letters = await ledger.records.tenant_id(tenant), _letters(ledger)
        chosen = list(letter_ids) if reason is None else await _all_dead(letters, tenant_id, reason)
        return await _each(chosen, lambda letter_id: retry_letter(letters, log, tenant_id, letter_id))


@command.command("discard")
@click.argument("letter_ids", type=int, nargs=-1, required=True, metavar="ID...")
@click.option("--note", required=True, metavar="TEXT", help="Why; kept with the letter.")
@tenant_option
@database_options
@json_option
def discard(letter_ids: tuple[int, ...], note: str, tenant: str, database: Database, as_json: bool) -> int:
    """Give letters up, and keep why. Exit status 1 if any was settled before or is unknown."""
    outcomes = asyncio.run(_discard(database.find(), tenant, letter_ids, note))
    return _told("discarded", as_json, outcomes)


async def _discard(
    dsn: str, tenant: str, letter_ids: tuple[int, ...], note: str
) -> "dict[int, Refusal | None]":
    from nearcast_cli.ledgers import open_ledger
    from nearcast_statskeeper.reviving import discard_letter

    async with open_ledger(dsn) as ledger:
        tenant_id, letters = await ledger.records.tenant_id(tenant), _letters(ledger)
        return await _each(letter_ids, lambda letter_id: discard_letter(letters, tenant_id, letter_id, note))


async def _each(
    letter_ids: "tuple[int, ...] | list[int]", settle: "Callable[[int], Awaitable[Refusal | None]]"
) -> "dict[int, Refusal | None]":
    return {letter_id: await settle(letter_id) for letter_id in letter_ids}


async def _all_dead(letters: "PostgresLetters", tenant_id: int, reason: str) -> list[int]:
    found: list[int] = []
    while page := await letters.page(tenant_id, found[-1] if found else 0, PAGE, "dead", reason):
        found += [letter.letter_id for letter in page]
    return found


def _letters(ledger: "Ledger") -> "PostgresLetters":
    from nearcast_store.counting.letters import PostgresLetters

    return PostgresLetters(ledger.pool)


def _told(done: str, as_json: bool, outcomes: "dict[int, Refusal | None]") -> int:
    from nearcast_cli.printing import print_json

    refused = {letter_id: refusal for letter_id, refusal in outcomes.items() if refusal is not None}
    settled = [letter_id for letter_id in outcomes if letter_id not in refused]
    if as_json:
        print_json(
            {
                done: settled,
                "refused": [
                    {"id": letter_id, "reason": refusal.reason, "message": refusal.message}
                    for letter_id, refusal in refused.items()
                ],
            }
        )
    else:
        for refusal in refused.values():
            click.echo(f"{refusal.reason}: {refusal.message}", err=True)
        click.echo(f"{done.capitalize()} {len(settled)}, refused {len(refused)}.")
    return 1 if refused else 0


def _plain(letter: "Letter") -> dict[str, object]:
    return {
        "id": letter.letter_id,
        "state": letter.state,
        "reason": letter.reason,
        "detail": letter.detail,
        "since": _time(letter),
        "shard": letter.shard,
        "entry": letter.entry_id,
        "event": letter.event_index,
        "settledAt": letter.settled_at and stamp(letter.settled_at),
        "note": letter.settled_note,
    }


def _content(letter: "Letter") -> dict[str, object]:
    from nearcast_store.log.codec import decode_entry

    entry = decode_entry(letter.entry)
    if isinstance(entry, str):
        return {"bytes": letter.entry.hex()}
    return {"gateway": entry.gateway_id, "events": [repr(event) for event in entry.events]}


def _time(letter: "Letter") -> str:
    return stamp(letter.created_at)
