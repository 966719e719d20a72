"""nearcast stats: what has been learned."""

from typing import TYPE_CHECKING

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from nearcast.v1.stats_pb2 import GetStatsResponse, ItemStats


@click.command("stats")
@click.argument("item_ids", nargs=-1, metavar="[ITEM_ID]...")
@click.option("--limit", type=int, default=0, metavar="N", help="How many without ids; 0 = 20.")
@client_options
@json_option
def command(
    item_ids: tuple[str, ...],
    limit: int,
    server: Server,
    as_json: bool,
) -> None:
    """Counts and posteriors of items, and the share of each feed.

    Without ids: the items with the most impressions.
    """
    from nearcast.v1.stats_pb2 import GetStatsRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    with Gateway(server.find()) as gateway:
        request = GetStatsRequest(item_ids=item_ids, page_size=limit)
        response = gateway.call(gateway.stats.GetStats, request)
    if as_json:
        print_message(response)
    else:
        _show(response, item_ids)


def _show(response: "GetStatsResponse", asked: tuple[str, ...]) -> None:
    from nearcast_cli.printing import print_table

    kinds = [kind.kind for kind in response.items[0].kinds] if response.items else []
    if response.items:
        rated = [kind for kind in kinds if kind != "impression"]
        columns = ("title", "id", *(f">{kind}" for kind in kinds), *(f">{kind} rate" for kind in rated))
        print_table(columns, [_row(item, rated) for item in response.items])
    missing = sorted(set(asked) - {item.item_id for item in response.items})
    if missing:
        click.echo(f"No such item: {', '.join(missing)}")
    elif not response.items:
        click.echo(f"Nothing has been seen yet. Ask with: {command_name()} recommend LAT LON")
    if response.feeds:
        click.echo()
        print_table(
            ("feed", ">share", ">sessions", ">rewarded", ">rate"),
            [
                (
                    feed.feed,
                    f"{feed.probability:.1%}",
                    str(feed.trials),
                    str(feed.rewards),
                    f"{feed.posterior_a / max(feed.posterior_a + feed.posterior_b, 1e-12):.1%}",
                )
                for feed in response.feeds
            ],
        )
    totals = ", ".join(f"{total.count} {total.kind}" for total in response.totals)
    click.echo(
        f"\nIn all: {totals or 'no events'}. Policy revision {response.policy_revision}, "
        f"epoch {response.policy_epoch}."
    )


def _row(item: "ItemStats", rated: list[str]) -> tuple[str, ...]:
    rates = {kind.kind: kind.rate for kind in item.kinds}
    counts = [str(kind.count) for kind in item.kinds]
    return (item.title, item.item_id, *counts, *(f"{rates.get(kind, 0.0):.2%}" for kind in rated))
