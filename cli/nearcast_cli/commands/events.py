"""nearcast events: events in, and the rows of the ledger out."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Database, Server, client_options, database_options, json_option
from nearcast_cli.moment import EXAMPLE, Moment
from nearcast_cli.printing import counted
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_cli.eventrows import RefusedEvent
    from nearcast_cli.eventstream import Sent
    from nearcast_cli.outbox import Outbox
    from nearcast_store.counting.exporting import Span


MOST_ROWS_SHOWN = 50


@click.group("events")
def command() -> None:
    """Send events, and work with stored ones."""


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False), default=Path("-"))
@click.option(
    "--since", "since_ms", type=Moment(), default=0, metavar="TIME", help=f"At or after: {EXAMPLE}."
)
@click.option("--until", "until_ms", type=Moment(), metavar="TIME", help="Before that time.")
@click.option("--kind", metavar="KIND", help="Only this kind, such as view.")
@tenant_option
@database_options
def export(
    file: Path, since_ms: int, until_ms: int | None, kind: str | None, tenant: str, database: Database
) -> None:
    """Export the ledger of a tenant to FILE, or to standard output, one JSON object per line.

    Sorted by `time`: when the item was shown, or when the sender made the event id. An export that broke off
    goes on with --since and the `time` of its last line; rows of that very millisecond come again.

    A row may be stored up to seven days after its time: to keep a copy current, begin each export a week
    back. A row never changes; `originId`, `posting` and `kind` tell it from every other. 64-bit numbers are
    strings.
    """
    from nearcast_store.counting.exporting import Span, UnknownKindError

    if until_ms is not None and until_ms <= since_ms:
        raise click.BadParameter("must be after --since", param_hint="'--until'")
    try:
        count = asyncio.run(_export(database.find(), tenant, file, Span(since_ms, until_ms, kind)))
    except UnknownKindError as error:
        raise click.BadParameter(str(error), param_hint="'--kind'") from error
    click.echo(f"Exported {counted(count, 'event')}.", err=True)


async def _export(dsn: str, tenant: str, file: Path, span: "Span") -> int:
    from contextlib import aclosing

    from nearcast_cli.eventlines import line_of
    from nearcast_cli.ledgers import open_ledger
    from nearcast_cli.outfile import written
    from nearcast_store.counting.exporting import stream_events

    count = 0
    async with open_ledger(dsn) as ledger:
        rows = stream_events(ledger.pool, await ledger.records.tenant_id(tenant), span)
        with written(file) as out:
            async with aclosing(rows):
                async for row in rows:
                    out.write(line_of(tenant, row))
                    count += 1
    return count


@command.command("send")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True))
@click.option("--client-name", default="", metavar="NAME", help="Who sends, for the server's log.")
@client_options
@json_option
def send(file: Path, client_name: str, server: Server, as_json: bool) -> int:
    """Send events from FILE, or from standard input when it is "-", over one stream to the last ack.

    One event per line as JSON, with the field names of the API in either spelling (eventId or event_id):

    \b
    {"kind": "view", "reward_token": "…"}
    {"kind": "view", "event_id": "01920000-0000-7000-8000-000000000000", "item_id": "cafe-1"}

    A connection that is lost is opened again, and what was not acknowledged is sent again: an event counts
    once however often it is sent. Lines from a pipe are sent as they come. Lines that are refused are listed
    with line, field and reason, the others count; the exit status is 1 if any was refused. When it is
    interrupted it says up to which line all is acknowledged: go on from there, or send all again.
    """
    from nearcast_cli.calling import Gateway
    from nearcast_cli.eventrows import read_events
    from nearcast_cli.eventstream import EventSender
    from nearcast_cli.printing import print_json

    target = server.find()
    with _opened(file) as lines, _progress() as noticed, Gateway(target) as gateway:
        sender = EventSender(gateway, noticed, _say_interrupted, client_name=client_name)
        try:
            done = sender.send(read_events(lines))
        except KeyboardInterrupt:
            raise sender.interrupted() from None
    if as_json:
        print_json(done.as_dict(sender.refused))
    else:
        _show_sent(done, sender.refused)
    return 1 if sender.refused else 0


@contextmanager
def _opened(file: Path) -> Iterator[Iterable[bytes]]:
    if str(file) == "-":
        yield _lines(sys.stdin.fileno())
    else:
        with file.open("rb") as lines:
            yield lines


def _lines(descriptor: int) -> Iterator[bytes]:
    """Unbuffered: a thread that waits in a buffered read keeps the interpreter from ending."""
    rest = b""
    while read := os.read(descriptor, 65_536):
        *whole, rest = (rest + read).split(b"\n")
        yield from whole
    if rest:
        yield rest


@contextmanager
def _progress() -> "Iterator[Callable[[Sent, Outbox], None]]":
    """A line on a terminal that keeps up with the acks; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _sent, _outbox: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from nearcast_cli.printing import console

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task("sending", total=None)

        def noticed(sent: "Sent", outbox: "Outbox") -> None:
            said = f"{sent.accepted} accepted, {len(outbox.refused)} refused, to line {sent.last_line}"
            progress.update(task, description=said)

        yield noticed


def _say_interrupted(why: str, again: int) -> None:
    resent = f", sending {counted(again, 'batch', 'batches')} without an ack again" if again else ""
    click.echo(f"{why}; connecting again{resent}", err=True)


def _show_sent(done: "Sent", refused: "list[RefusedEvent]") -> None:
    if refused:
        click.echo(f"Refused {counted(len(refused), 'line')}:", err=True)
        for row in refused[:MOST_ROWS_SHOWN]:
            where = f" {row.field}" if row.field else ""
            click.echo(f"  line {row.line}: {row.reason}{where}: {row.message}", err=True)
        if len(refused) > MOST_ROWS_SHOWN:
            click.echo(f"… and {len(refused) - MOST_ROWS_SHOWN} more; --json lists all.", err=True)
    what = f"{counted(done.accepted, 'event')} in {counted(done.batches, 'batch', 'batches')}"
    click.echo(f"Accepted {what}, {done.learned} to learn from.")
