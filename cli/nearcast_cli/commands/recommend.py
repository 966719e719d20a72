"""nearcast recommend: what is worth showing here, to this person."""

from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.asking import person_options, place_options, take_filter, title_of
from nearcast_cli.checkout import command_name
from nearcast_cli.coordinates import PlaceCommand
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from nearcast.v1.recommend_pb2 import RecommendRequest, RecommendResponse


@click.command("recommend", cls=PlaceCommand)
@place_options
@person_options
@click.option("--session", default="", metavar="ID", help="The visit: one feed while it lasts.")
@click.option("--session-token", default="", metavar="TOKEN", help="From the answer before in this visit.")
@click.option("--scenario", default="", metavar="NAME", help="The surface that asks.")
@click.option("--segment", default="", metavar="NAME", help="The group of people that the person belongs to.")
@click.option(
    "--exclude-seen/--include-seen",
    default=None,
    help="Leave out what the person has seen lately, or not; unset: as the scenario says.",
)
@click.option("--explain", is_flag=True, help="Say why each item stands where it stands.")
@click.option(
    "--explain-item",
    "explain_items",
    multiple=True,
    metavar="ID",
    help="Say what became of this item, shown or not; may be given up to 20 times.",
)
@click.option("--tokens", is_flag=True, help="Print every reward token whole.")
@client_options
@json_option
def command(server: Server, as_json: bool, tokens: bool, **options: Any) -> None:
    """What is worth showing at LAT LON, best first.

    Every answer may differ: unless told otherwise, items are drawn by how good they may be. Act on an item
    with `nearcast record KIND --token TOKEN`, and later answers change.
    """
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    request = _request(options)
    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.recommend.Recommend, request)
    if as_json:
        print_message(response)
        return
    _show(response, tokens)
    if request.segment and not response.segment:
        click.echo(f"The policy names no segment {request.segment}: the answer is that for nobody's.")


def _request(options: dict[str, Any]) -> "RecommendRequest":
    from nearcast.v1.location_pb2 import LatLng
    from nearcast.v1.recommend_pb2 import RecommendRequest

    return RecommendRequest(
        filter=take_filter(options),
        location=LatLng(latitude=options["latitude"], longitude=options["longitude"]),
        radius_m=options["radius_m"],
        limit=options["limit"],
        person=options["person"],
        session_id=options["session"],
        session_token=options["session_token"],
        scenario=options["scenario"],
        page_token=options["page_token"],
        explain=options["explain"],
        exclude_seen=options["exclude_seen"],
        explain_item_ids=options["explain_items"],
        segment=options["segment"],
    )


def _show(response: "RecommendResponse", tokens: bool) -> None:
    from nearcast_cli.appraisals import tell_explanation, tell_of_items
    from nearcast_cli.printing import distance, print_table, short_token

    if not response.items:
        click.echo(
            f"Nothing within {distance(response.radius_used_m)}. "
            f"See all items with: {command_name()} items list"
        )
        tell_of_items(response.explained_items)
        return
    print_table(
        (">#", "title", "id", ">distance", ">score", "token"),
        [
            (
                str(item.rank),
                title_of(item.item, item.item_id),
                item.item_id,
                distance(item.distance_m),
                f"{item.score:.4g}",
                short_token(item.reward_token),
            )
            for item in response.items
        ],
    )
    click.echo(_summary(response))
    for item in response.items:
        if item.HasField("explanation"):
            title = f"#{item.rank} {title_of(item.item, item.item_id)}"
            tell_explanation(f"{title}, posting {item.explanation.posting}", item.explanation)
    tell_of_items(response.explained_items)
    _hint(response, tokens)


def _summary(response: "RecommendResponse") -> str:
    from nearcast.v1.recommend_pb2 import DegradedReason
    from nearcast_cli.printing import distance

    age_s = response.stats_age.seconds + response.stats_age.nanos / 1e9
    text = (
        f"\nFeed {response.feed} ({response.feed_propensity:.0%} of requests), within "
        f"{distance(response.radius_used_m)}, policy revision {response.policy_revision}, epoch "
        f"{response.policy_epoch}, statistics {age_s:.1f} s old."
    )
    if response.truncated:
        text += " More points lie here than one call looks at."
    if response.degraded_reasons:
        names = [DegradedReason.Name(reason) for reason in response.degraded_reasons]
        text += " Degraded: " + ", ".join(name.removeprefix("DEGRADED_REASON_") for name in names) + "."
    return text


def _hint(response: "RecommendResponse", tokens: bool) -> None:
    """Lines to copy; printed plain, so that a token is never cut or wrapped by us."""
    if tokens:
        click.echo()
        for item in response.items:
            click.echo(f"{item.rank} {item.item_id} {item.reward_token}")
        last = len(response.items) - 1
        click.echo(
            "\nTell in one event what came on screen, here all of it:\n"
            f"  {command_name()} record impression --slate {response.slate_token} --seen 0-{last}"
        )
    first = response.items[0]
    click.echo(
        "\nAct on the first one (all tokens: --tokens):\n"
        f"  {command_name()} record apply --token {first.reward_token}"
    )
    if response.next_page_token:
        click.echo(f"Go on with the same options and:\n  --page-token {response.next_page_token}")
