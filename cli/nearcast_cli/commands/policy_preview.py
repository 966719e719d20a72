"""nearcast policy preview: what a policy would do to new items."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.policyfile import read_policy_file
from nearcast_cli.tenant import tenant_option
from nearcast_cli.trying import POLICY_FILE

if TYPE_CHECKING:
    from nearcast_cli.countreading import Ground
    from nearcast_cli.previewing import MarketPreview, Outlook

_MOST_MARKETS = 200
_COLUMNS = (
    "market",
    ">items",
    ">new",
    ">places",
    ">a new item is shown",
    ">its mean rank",
    ">new items' share of places",
    ">exposures",
)


@click.command("preview")
@click.argument("file", type=POLICY_FILE)
@click.option(
    "--markets",
    "top",
    type=click.IntRange(1, _MOST_MARKETS),
    default=5,
    show_default=True,
    metavar="N",
    help="Markets with the most items.",
)
@click.option(
    "--candidates",
    type=click.IntRange(2, 5000),
    default=300,
    show_default=True,
    metavar="N",
    help="Items of a market that compete in a request, at most.",
)
@tenant_option
@database_options
@json_option
def preview(file: Path, top: int, candidates: int, tenant: str, database: Database, as_json: bool) -> None:
    """Tell what the policy of FILE (TOML) would do to new items, from what the tenant has counted.

    For each market, under the policy in force and under FILE: how often an item of which nothing is known
    takes one of the places of a slate that is drawn, its mean rank, the share of places that goes to items
    hardly seen (fewer than one exposure), and what all exposures there come to. Nothing is changed.
    """
    from nearcast_cli.countreading import read_ground
    from nearcast_cli.previewing import preview as previewed
    from nearcast_cli.printing import print_json
    from nearcast_config.policytext import load_policy_text

    text = read_policy_file(file)
    policy = load_policy_text(text, str(file))
    ground = asyncio.run(read_ground(database.find(), tenant, policy, database.first_policy()))
    markets = previewed(ground.sides, ground.live, ground.markets, top, candidates)
    if as_json:
        print_json(_plain(tenant, ground, markets))
    else:
        _tell(ground, markets, candidates)


def _tell(ground: "Ground", markets: "list[MarketPreview]", candidates: int) -> None:
    from nearcast_cli.previewing import forgets_sooner
    from nearcast_cli.printing import print_table

    if not markets:
        click.echo("There is no item that may be shown: nothing to tell.")
        return
    shown = [each for each in markets if each.before is not None and each.after is not None]
    if shown:
        print_table(_COLUMNS, [_row(each) for each in shown])
        click.echo(
            "In force -> new, in answers that draw, exploring ones among them; of each market at most"
            f" {candidates} items compete. Budgets, caps, filters and other feeds are not in it."
        )
    for each in markets:
        if each.missing:
            click.echo(f"{each.market or '(no market)'}: not told, as {each.missing}")
    before, after = (side.revision.policy for side in ground.sides)
    if forgets_sooner(before, after):
        click.echo(
            f"Half-life {before.exposure.half_life_hours:g} -> {after.exposure.half_life_hours:g} hours: "
            "what is forgotten is seen in exposures, and items fall back towards their priors."
        )


def _row(market: "MarketPreview") -> tuple[str, ...]:
    before, after = market.before, market.after
    assert before is not None
    assert after is not None
    one, other = before.entry, after.entry
    return (
        market.market or "(no market)",
        str(market.items),
        str(market.new_items),
        _both(str(before.places), str(after.places)),
        f"{one.chance:.2%} -> {other.chance:.2%}",
        f"{one.expected_rank:.1f} -> {other.expected_rank:.1f}",
        f"{one.stranger_share:.2%} -> {other.stranger_share:.2%}",
        _both(f"{before.exposures:,.0f}", f"{after.exposures:,.0f}"),
    )


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _plain(tenant: str, ground: "Ground", markets: "list[MarketPreview]") -> dict[str, object]:
    return {
        "tenant": tenant,
        "revisionInForce": ground.sides[0].revision.number,
        "markets": [
            {
                "market": each.market,
                "items": each.items,
                "newItems": each.new_items,
                "inForce": _outlook(each.before),
                "new": _outlook(each.after),
                "missing": each.missing,
            }
            for each in markets
        ],
    }


def _outlook(outlook: "Outlook | None") -> dict[str, float] | None:
    if outlook is None:
        return None
    return {
        "places": outlook.places,
        "chanceOfNewItem": outlook.entry.chance,
        "meanRankOfNewItem": outlook.entry.expected_rank,
        "newItemsShareOfPlaces": outlook.entry.stranger_share,
        "exposures": outlook.exposures,
    }
