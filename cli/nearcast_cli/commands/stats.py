"""nearcast stats: what has been learned."""

from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from nearcast.v1.stats_pb2 import GetStatsResponse, ItemStats

_MEASURE = "impression"


@click.command("stats")
@click.argument("item_ids", nargs=-1, metavar="[ITEM_ID]...")
@click.option("--limit", type=int, default=0, metavar="N", help="How many without ids; 0 = 20.")
@click.option("--positions", is_flag=True, help="Also how often each item was served at which positions.")
@click.option("--market", default="", metavar="ID", help="Feeds as they stand in this market.")
@click.option("--segment", default="", metavar="NAME", help="Feeds as they stand for this segment of people.")
@click.option("--watch", is_flag=True, help="Go on with what changes, until interrupted.")
@click.option(
    "--resume", default="", metavar="TOKEN", help="With --watch: what changed since that token first."
)
@client_options
@json_option
def command(
    item_ids: tuple[str, ...], watch: bool, resume: str, server: Server, as_json: bool, **asked: Any
) -> int:
    """Counts and posteriors of items, and the share of each feed.

    Without ids: the items with the most impressions. Exit status 1 when none of the named items exists.

    With --watch the named items, or none, and then every change as it is counted. It comes back by itself
    when the gateway goes away, and misses nothing. With --json each line is one message, with its resume
    token.
    """
    if resume and not watch:
        raise click.UsageError("--resume goes with --watch")
    for name in ("positions", "market", "segment"):
        if asked[name] and watch:
            raise click.UsageError(f"--{name} does not go with --watch")
    if watch:
        _watch(item_ids, resume, server, as_json)
        return 0
    from nearcast.v1.stats_pb2 import GetStatsRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    with Gateway(server.find()) as gateway:
        request = GetStatsRequest(item_ids=item_ids, page_size=asked.pop("limit"), **asked)
        response = gateway.call(gateway.stats.GetStats, request)
    if as_json:
        print_message(response)
    else:
        _show(response, item_ids)
    return 1 if item_ids and not response.items else 0


def _watch(item_ids: tuple[str, ...], resume: str, server: Server, as_json: bool) -> None:
    from nearcast_cli.calling import Gateway
    from nearcast_cli.following import follow, lines_of
    from nearcast_cli.printing import print_line

    with Gateway(server.find()) as gateway:
        for message in follow(gateway, item_ids, resume):
            if as_json:
                print_line(message)
            for line in () if as_json else lines_of(message):
                click.echo(line)


def _show(response: "GetStatsResponse", asked: tuple[str, ...]) -> None:
    from nearcast_cli.printing import print_table

    if response.items:
        counted = [name for kind in response.items[0].kinds for name in _columns(kind.kind)]
        print_table(("title", "id", ">served", *counted), [_row(item) for item in response.items])
    served_at = [(item.title, item.item_id, _positions(item)) for item in response.items if item.positions]
    if served_at:
        click.echo()
        print_table(("title", "id", "served at position"), served_at)
    missing = sorted(set(asked) - {item.item_id for item in response.items})
    if missing:
        click.echo(f"No such item: {', '.join(missing)}")
    elif not response.items:
        click.echo(f"Nothing has been seen yet. Ask with: {command_name()} recommend LAT LON")
    if response.feeds:
        click.echo()
        print_table(
            ("feed", ">share", ">sessions", ">rewarded", ">rate", ">best"),
            [
                (
                    feed.feed,
                    f"{feed.probability:.1%}",
                    str(feed.trials),
                    str(feed.rewards),
                    f"{feed.posterior_a / max(feed.posterior_a + feed.posterior_b, 1e-12):.1%}",
                    f"{feed.best_probability:.1%}",
                )
                for feed in response.feeds
            ],
        )
        click.echo(_advice(response))
    totals = ", ".join(f"{total.count} {total.kind}" for total in response.totals)
    click.echo(
        f"\nIn all: {totals or 'no events'}. Policy revision {response.policy_revision}, "
        f"epoch {response.policy_epoch}."
    )


def _advice(response: "GetStatsResponse") -> str:
    from nearcast.v1.stats_pb2 import StopAdvice

    standing = response.standing
    word = StopAdvice.Name(standing.advice).removeprefix("STOP_ADVICE_").replace("_", " ").lower()
    return (
        f"Best so far: {standing.leader}; another may be better by up to {standing.value_remaining:.1%} "
        f"(95 %). After {standing.days:.1f} days: {word}."
    )


def _columns(kind: str) -> tuple[str, ...]:
    """An impression is what rates are measured by; it has none."""
    return (f">{kind}",) if kind == _MEASURE else (f">{kind}", ">rate")


def _row(item: "ItemStats") -> tuple[str, ...]:
    cells = [item.title, item.item_id, str(item.served)]
    for kind in item.kinds:
        cells += [str(kind.count)] if kind.kind == _MEASURE else [str(kind.count), _percent(kind.rate)]
    return tuple(cells)


def _positions(item: "ItemStats") -> str:
    spans = {
        f"{at.first}" if at.first == at.last else f"{at.first}-{at.last}": at.served for at in item.positions
    }
    return ", ".join(f"{span}: {served}" for span, served in spans.items())


def _percent(rate: float) -> str:
    return f"{rate:.2%}" if rate < 0.1 else f"{rate:.1%}"
