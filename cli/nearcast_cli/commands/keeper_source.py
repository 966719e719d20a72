"""nearcast keeper source: a customer's own table of behaviour, as the keeper reads it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, database_options, json_option, require_dsn
from nearcast_cli.moment import stamp

if TYPE_CHECKING:
    from nearcast_config.source import Source
    from nearcast_statskeeper.grounding import TenantGrounds
    from nearcast_store.behaviour.cursors import PostgresSourceCursors, Reject, Status

MOST_LOST = 1000


@click.group("source")
def command() -> None:
    """Look at [keeper.source], the table of a customer's own that the keeper reads; see docs/source.md."""


@command.command("check")
@click.option(
    "--rows", type=click.IntRange(1, 1000), default=10, show_default=True, metavar="N", help="How many."
)
@database_options
@json_option
def check(rows: int, database: Database, as_json: bool) -> int:
    """Read the newest rows and say what would become of each; nothing is recorded and no cursor moves.

    Exit status 1 when a row would be refused, or when rows have no time or no id.
    """
    from nearcast_cli.printing import print_json, print_table

    looked = asyncio.run(_check(database, rows))
    if as_json:
        plain = asdict(looked)
        print_json({**plain, "withoutPlace": plain.pop("without_place")})
    else:
        click.echo(f"Read by {looked.time} and {looked.id}.")
        print_table(
            ("time", "id", "kind", "item", "outcome"),
            [(each.time, each.id, each.kind, each.item, each.outcome) for each in looked.rows],
        )
        if looked.without_place:
            more = " or more" if looked.without_place == MOST_LOST else ""
            click.echo(f"{looked.without_place}{more} rows have no time or no id, and are never read.")
    refused = any(not each.accepted for each in looked.rows)
    return 1 if refused or looked.without_place else 0


@dataclass(frozen=True, slots=True)
class Looked:
    """One row, and what would become of it."""

    time: str
    id: str
    kind: str
    item: str
    accepted: bool
    learned: bool
    reason: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the source says."""

    time: str
    id: str
    rows: tuple[Looked, ...]
    without_place: int


async def _check(database: Database, most: int) -> Found:
    from nearcast_statskeeper.sourcing import looked_at
    from nearcast_store.behaviour.errors import SourceError
    from nearcast_store.behaviour.table import BehaviourTable
    from nearcast_telemetry.logs import redact

    async with _opened(database) as opened:
        grounds, source = await opened.grounds(), opened.source
        try:
            async with BehaviourTable(source).open() as reading:
                rows, lost = await reading.newest(most), await reading.without_place(MOST_LOST)
                kinds = reading.selection
        except SourceError as error:
            raise CommandFailedError(
                redact(str(error)), reason="SOURCE_UNREADABLE", field="keeper.source"
            ) from error
        columns = source.columns
        return Found(
            f"{columns.time} ({kinds.time_type})",
            f"{columns.id} ({kinds.id_type})",
            tuple(
                Looked(
                    row.time,
                    row.id,
                    kind,
                    row.values.get("item") or "",
                    judged.outcome.code == "OK",
                    judged.learned,
                    judged.outcome.reason,
                    _outcome(judged.outcome.reason, judged.outcome.field, judged.outcome.message),
                )
                for row, kind, judged in looked_at(source, grounds, rows, int(time.time() * 1000))
            ),
            lost,
        )


def _outcome(reason: str, field: str, message: str) -> str:
    named = "" if message.startswith("stored") else f"{field} "
    return f"{reason}: {named}{message}" if reason else "accepted and learned from"


@command.command("status")
@database_options
@json_option
def status(database: Database, as_json: bool) -> int:
    """Say how far the source is read, how many of its rows are refused and why, and what is wrong with it.

    Exit status 1 when its last run could not read it.
    """
    from nearcast_cli.printing import print_json

    found, reasons = asyncio.run(_status(database))
    plain = _plain_status(found, reasons)
    if as_json:
        print_json(plain)
    else:
        for name, value in plain.items():
            click.echo(f"{_spaced(name)}: {_words(value)}")
        if found.caught_up_at is None and not found.trouble:
            click.echo("No keeper with this source has been through it yet.")
    return 1 if found.trouble else 0


async def _status(database: Database) -> "tuple[Status, dict[str, int]]":
    async with _opened(database) as opened:
        tenant_id, name = (await opened.grounds()).tenant_id, opened.source.name
        return await opened.cursors.status(tenant_id, name), await opened.cursors.reasons(tenant_id, name)


def _plain_status(found: "Status", reasons: dict[str, int]) -> dict[str, object]:
    return {
        "readUpTo": found.row_seconds and _moment(datetime.fromtimestamp(found.row_seconds, UTC)),
        "rowId": found.row_id,
        "read": found.read,
        "accepted": found.accepted,
        "refused": reasons,
        "movedAt": _moment(found.moved_at),
        "caughtUpAt": _moment(found.caught_up_at),
        "trouble": found.trouble,
        "troubledAt": _moment(found.troubled_at),
    }


@command.command("rejects")
@click.option("--reason", metavar="REASON", help="Only these, such as KIND_UNKNOWN.")
@click.option("--after", type=int, default=0, metavar="ID", help="Begin after this one; to page.")
@click.option(
    "--limit", type=click.IntRange(1, 10000), default=50, show_default=True, metavar="N", help="How many."
)
@database_options
@json_option
def rejects(reason: str | None, after: int, limit: int, database: Database, as_json: bool) -> None:
    """List the rows that are no events, with the reason; the newest 10,000 of them are kept.

    A row that was put right while the overlap still reads it is accepted, and leaves the list.
    """
    from nearcast_cli.printing import print_json, print_table

    found = asyncio.run(_rejects(database, after, limit, reason))
    if as_json:
        print_json({"rejects": [_plain_reject(each) for each in found]})
    elif not found:
        click.echo("There are none.")
    else:
        rows = [(str(each.reject_id), each.row_time, each.row_id, each.reason, each.detail) for each in found]
        print_table((">id", "time", "row", "reason", "detail"), rows)


async def _rejects(database: Database, after: int, limit: int, reason: str | None) -> "list[Reject]":
    async with _opened(database) as opened:
        tenant_id = (await opened.grounds()).tenant_id
        return list(await opened.cursors.rejects(tenant_id, opened.source.name, after, limit, reason))


def _plain_reject(reject: "Reject") -> dict[str, object]:
    return {
        "id": reject.reject_id,
        "rowId": reject.row_id,
        "rowTime": reject.row_time,
        "reason": reject.reason,
        "detail": reject.detail,
        "since": _moment(reject.rejected_at),
    }


@dataclass(frozen=True, slots=True)
class _Opened:
    source: "Source"
    grounds: "TenantGrounds"
    cursors: "PostgresSourceCursors"


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[_Opened]:
    from nearcast_cli.ledgers import open_ledger
    from nearcast_statskeeper.grounding import TenantGrounds
    from nearcast_store.behaviour.cursors import PostgresSourceCursors

    process = database.process({})
    source = process.keeper.source
    if not source.dsn:
        raise CommandFailedError(
            "no source is set",
            reason="NO_SOURCE",
            field="keeper.source.dsn",
            advice="Name one under [keeper.source] of a settings file, and the file by --config.",
        )
    async with open_ledger(require_dsn(process, database.state)) as ledger:
        grounds = TenantGrounds(source.tenant, ledger.records.tenants, ledger.records.policies)
        yield _Opened(source, grounds, PostgresSourceCursors(ledger.pool))


def _moment(at: datetime | None) -> str | None:
    return None if at is None else stamp(at)


def _spaced(name: str) -> str:
    """readUpTo is "read up to"."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{reason} {number}" for reason, number in value.items()) or "none"
    return "-" if value in (None, "") else str(value)
