"""nearcast items: what can be shown, in and out."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.commands.items_import import import_
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from nearcast.v1.catalog_pb2 import DeleteItemsResponse
    from nearcast.v1.item_pb2 import Item
    from nearcast_cli.calling import Gateway

PAGE_SIZE = 500


@click.group("items")
def command() -> None:
    """Import, export, look at and delete items."""


command.add_command(import_)


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
