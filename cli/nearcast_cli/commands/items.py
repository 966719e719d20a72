"""nearcast items: what can be shown, in and out."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from nearcast.v1.catalog_pb2 import DeleteItemsResponse
    from nearcast.v1.item_pb2 import Item
    from nearcast_cli.calling import Gateway
    from nearcast_cli.importing import Imported

MOST_ROWS_SHOWN = 50
PAGE_SIZE = 500


@click.group("items")
def command() -> None:
    """Import, export, look at and delete items."""


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True))
@client_options
@json_option
def import_(file: Path, server: Server, as_json: bool) -> int:
    """Import items from FILE, or from standard input when it is "-".

    One item per line as JSON, with the field names of the API in either spelling (itemId or item_id):

    \b
    {"item_id": "cafe-1", "locations": [{"latitude": 59.91, "longitude": 10.75}], "title": "Café"}

    An id that exists is replaced. Lines that are refused are listed with line, field and reason, the others
    are imported; the exit status is 1 if any was refused.
    """
    from nearcast_cli.calling import Gateway
    from nearcast_cli.importing import import_items
    from nearcast_cli.printing import print_json

    target = server.find()
    with _opened(file) as lines, _progress(lines, file) as noticed, Gateway(target) as gateway:
        done = import_items(gateway, lines, noticed)
    if as_json:
        print_json(done.as_dict())
    else:
        _show_imported(done)
    return 1 if done.refused else 0


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
    else:
        with file.open("rb") as lines:
            yield lines


@contextmanager
def _progress(lines: IO[bytes], file: Path) -> Iterator["Callable[[Imported], None]"]:
    """A bar on a terminal, by bytes read where the size is known; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from nearcast_cli.printing import console

    known = str(file) != "-" and file.is_file()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task("importing", total=file.stat().st_size if known else None)

        def noticed(done: "Imported") -> None:
            said = f"{done.written} imported, {len(done.refused)} refused"
            progress.update(task, description=said, completed=lines.tell() if known else done.last_line)

        yield noticed


def _show_imported(done: "Imported") -> None:
    if done.refused:
        shown = done.refused[:MOST_ROWS_SHOWN]
        click.echo(f"{len(done.refused)} lines were refused:", err=True)
        for row in shown:
            # A table would cut what the reader needs most.
            what = " ".join(filter(None, (row.reason, row.item_id, row.field)))
            click.echo(f"  line {row.line}: {what}: {row.message}", err=True)
        if len(shown) < len(done.refused):
            click.echo(f"… and {len(done.refused) - len(shown)} more; --json lists all.", err=True)
    replaced = done.written - done.created
    click.echo(f"Imported {done.written} items: {done.created} new, {replaced} that were there already.")


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False), default=Path("-"))
@click.option("--show-expired", is_flag=True, help="Also items that have expired and are still kept.")
@click.option("--versions", is_flag=True, help="Keep versions: an import then refuses what is newer there.")
@client_options
def export(file: Path, show_expired: bool, versions: bool, server: Server) -> None:
    """Export items to FILE, or to standard output, as `items import` reads them."""
    from nearcast_cli.calling import Gateway
    from nearcast_cli.outfile import written
    from nearcast_cli.rows import write_row

    count = 0
    with Gateway(server.find()) as gateway, written(file) as out:
        for item in _all_items(gateway, show_expired):
            out.write(f"{write_row(item, versions)}\n".encode())
            count += 1
    click.echo(f"Exported {count} items.", err=True)


def _all_items(gateway: "Gateway", show_expired: bool) -> "Iterator[Item]":
    from nearcast.v1.catalog_pb2 import ListItemsRequest

    request = ListItemsRequest(page_size=PAGE_SIZE, show_expired=show_expired)
    while True:
        page = gateway.call(gateway.catalog.ListItems, request)
        yield from page.items
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


@command.command("get")
@click.argument("item_id", metavar="ITEM_ID")
@client_options
@json_option
def get(item_id: str, server: Server, as_json: bool) -> None:
    """Show one item as it is stored."""
    from google.protobuf.json_format import MessageToJson

    from nearcast.v1.catalog_pb2 import GetItemRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.catalog.GetItem, GetItemRequest(item_id=item_id))
    if as_json:
        print_message(response)
    else:
        click.echo(MessageToJson(response.item, indent=2, ensure_ascii=False))


@command.command("list")
@click.option("--limit", type=int, default=0, metavar="N", help="How many, up to 1000; 0 = 100.")
@click.option("--page-token", default="", metavar="TOKEN", help="Go on after an answer.")
@click.option("--show-expired", is_flag=True, help="Also items that have expired and are still kept.")
@client_options
@json_option
def list_(
    limit: int,
    page_token: str,
    show_expired: bool,
    server: Server,
    as_json: bool,
) -> None:
    """List items in the order of their ids."""
    from nearcast.v1.catalog_pb2 import ListItemsRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message, print_table

    request = ListItemsRequest(page_size=limit, page_token=page_token, show_expired=show_expired)
    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.catalog.ListItems, request)
    if as_json:
        print_message(response)
        return
    if not response.items:
        click.echo(f"There are no items. Import some with: {command_name()} items import FILE")
        return
    print_table(("id", "title", "category", "place", ">version"), [_row(item) for item in response.items])
    if response.next_page_token:
        click.echo(f"\nGo on with:\n  {command_name()} items list --page-token {response.next_page_token}")


def _row(item: "Item") -> tuple[str, ...]:
    place = item.locations[0] if item.locations else None
    where = f"{place.latitude:.5f}, {place.longitude:.5f}" if place else ""
    more = f" +{len(item.locations) - 1}" if len(item.locations) > 1 else ""
    return (item.item_id, item.title, item.category, where + more, str(item.version))


@command.command("delete")
@click.argument("item_ids", nargs=-1, required=True, metavar="ITEM_ID...")
@click.option("--allow-missing", is_flag=True, help="An id that does not exist is no failure.")
@client_options
@json_option
def delete(
    item_ids: tuple[str, ...],
    allow_missing: bool,
    server: Server,
    as_json: bool,
) -> None:
    """Delete items; they are not shown any more within about a second."""
    from nearcast.v1.catalog_pb2 import DeleteItemsRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    request = DeleteItemsRequest(item_ids=item_ids, allow_missing=allow_missing)
    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.catalog.DeleteItems, request)
    if as_json:
        print_message(response)
    else:
        deleted = sum(result.outcome.code == 0 for result in response.results)
        click.echo(f"Deleted {deleted} of {len(item_ids)}.")
    _refuse(response)


def _refuse(response: "DeleteItemsResponse") -> None:
    from nearcast.v1.error_reason_pb2 import ErrorReason

    for result in response.results:
        if result.outcome.code != 0:
            reason = ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_")
            raise CommandFailedError(
                f"{result.item_id}: {result.outcome.message}",
                reason=reason,
                field=result.outcome.field,
                details={"itemId": result.item_id},
            )
