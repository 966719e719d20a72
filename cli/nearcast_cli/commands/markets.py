"""nearcast markets: named pieces of the earth, drawn from a file."""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nearcast.v1.catalog_pb2 import MarketResult
    from nearcast.v1.market_pb2 import Market
    from nearcast_cli.calling import Gateway


@click.group("markets")
def command() -> None:
    """Draw, list, export and delete markets."""


@command.command("apply")
@click.argument("file", type=click.File("rb"))
@click.option("--prune", is_flag=True, help="Delete markets that are not in the file.")
@client_options
@json_option
def apply(file: BinaryIO, prune: bool, server: Server, as_json: bool) -> int:
    """Draw the markets of FILE, a GeoJSON FeatureCollection, or of standard input when it is "-".

    Each feature is a market: its geometry a Polygon or MultiPolygon, its properties market_id (or the
    feature's id), display_name (or name), priority and disabled. A market that exists is replaced; the same
    file again changes nothing. Markets that are refused are listed with field and reason, the others are
    drawn; the exit status is 1 if any was refused, and then nothing is pruned.
    """
    from nearcast_cli.calling import Gateway
    from nearcast_cli.marketfile import read_markets
    from nearcast_cli.printing import print_json

    markets = read_markets(file.read())
    with Gateway(server.find()) as gateway:
        results = list(_draw(gateway, markets))
        refused = [result for result in results if result.outcome.code]
        pruned = _prune(gateway, {market.market_id for market in markets}) if prune and not refused else []
    created = sum(result.created for result in results)
    if as_json:
        facts = {"applied": len(results) - len(refused), "created": created, "pruned": pruned}
        print_json({**facts, "refused": [_refusal(result) for result in refused]})
    else:
        _show_applied(len(results), created, refused, pruned)
    return 1 if refused else 0


@command.command("list")
@client_options
@json_option
def list_(server: Server, as_json: bool) -> None:
    """List markets in the order of their ids."""
    from nearcast.v1.catalog_pb2 import ListMarketsResponse
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message, print_table

    with Gateway(server.find()) as gateway:
        markets = list(_all(gateway))
    if as_json:
        print_message(ListMarketsResponse(markets=markets))
    elif markets:
        print_table(("id", "title", ">number", ">priority", "state"), [_row(market) for market in markets])
    else:
        click.echo(f"There are no markets. Draw some with: {command_name()} markets apply FILE")


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False), default=Path("-"))
@client_options
def export(file: Path, server: Server) -> None:
    """Export markets to FILE, or to standard output, as `markets apply` reads them."""
    import json

    from nearcast_cli.calling import Gateway
    from nearcast_cli.marketfile import to_feature
    from nearcast_cli.outfile import written

    with Gateway(server.find()) as gateway:
        features = [to_feature(market) for market in _all(gateway, show_geometry=True)]
    collection = {"type": "FeatureCollection", "features": features}
    with written(file) as out:
        out.write(f"{json.dumps(collection, ensure_ascii=False)}\n".encode())
    click.echo(f"Exported {len(features)} markets.", err=True)


@command.command("delete")
@click.argument("market_ids", nargs=-1, required=True, metavar="MARKET_ID...")
@click.option("--allow-missing", is_flag=True, help="An id that does not exist is no failure.")
@client_options
@json_option
def delete(market_ids: tuple[str, ...], allow_missing: bool, server: Server, as_json: bool) -> None:
    """Delete markets; what was counted in them stays counted under their numbers."""
    from nearcast.v1.catalog_pb2 import DeleteMarketsRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    request = DeleteMarketsRequest(market_ids=market_ids, allow_missing=allow_missing)
    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.catalog.DeleteMarkets, request)
    if as_json:
        print_message(response)
    else:
        deleted = sum(result.outcome.code == 0 for result in response.results)
        click.echo(f"Deleted {deleted} of {len(market_ids)}.")
    for result in response.results:
        if result.outcome.code:
            facts = _refusal(result)
            raise CommandFailedError(
                f"{result.market_id}: {result.outcome.message}",
                reason=facts["reason"],
                field=facts["field"],
                details={"marketId": result.market_id},
            )


def _draw(gateway: "Gateway", markets: "Iterable[Market]") -> "Iterator[MarketResult]":
    from nearcast.v1.catalog_pb2 import UpsertMarketsRequest
    from nearcast_cli.marketfile import batches

    for batch in batches(markets):
        yield from gateway.call(gateway.catalog.UpsertMarkets, UpsertMarketsRequest(markets=batch)).results


def _prune(gateway: "Gateway", kept: set[str]) -> list[str]:
    from nearcast.v1.catalog_pb2 import DeleteMarketsRequest
    from nearcast_cli.marketfile import MOST_BATCH_MARKETS

    others = [market.market_id for market in _all(gateway) if market.market_id not in kept]
    for start in range(0, len(others), MOST_BATCH_MARKETS):
        some = others[start : start + MOST_BATCH_MARKETS]
        request = DeleteMarketsRequest(market_ids=some, allow_missing=True)
        gateway.call(gateway.catalog.DeleteMarkets, request)
    return others


def _all(gateway: "Gateway", *, show_geometry: bool = False) -> "Iterator[Market]":
    from nearcast.v1.catalog_pb2 import ListMarketsRequest

    request = ListMarketsRequest(page_size=1000, show_geometry=show_geometry)
    while True:
        page = gateway.call(gateway.catalog.ListMarkets, request)
        yield from page.markets
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _row(market: "Market") -> tuple[str, ...]:
    state = "disabled" if market.disabled else "enabled"
    return (market.market_id, market.display_name, str(market.number), str(market.priority), state)


def _refusal(result: "MarketResult") -> dict[str, str]:
    from nearcast.v1.error_reason_pb2 import ErrorReason

    return {
        "marketId": result.market_id,
        "field": result.outcome.field,
        "reason": ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_"),
        "message": result.outcome.message,
    }


def _show_applied(sent: int, created: int, refused: "list[MarketResult]", pruned: list[str]) -> None:
    from nearcast_cli.printing import counted

    if refused:
        click.echo(f"{counted(len(refused), 'market')} refused:", err=True)
        for facts in map(_refusal, refused):
            what = " ".join(filter(None, (facts["reason"], facts["marketId"], facts["field"])))
            click.echo(f"  {what}: {facts['message']}", err=True)
    applied = sent - len(refused)
    there = applied - created
    click.echo(f"Applied {counted(applied, 'market')}: {created} new, {there} there already.")
    if pruned:
        click.echo(f"Deleted {len(pruned)} that were not in the file: {', '.join(pruned)}.")
