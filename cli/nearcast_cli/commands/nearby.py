"""nearcast nearby: what is near, nearest first."""

from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.asking import place_options, take_filter, title_of
from nearcast_cli.checkout import command_name
from nearcast_cli.coordinates import PlaceCommand
from nearcast_cli.finding import Server, client_options, json_option

if TYPE_CHECKING:
    from nearcast.v1.recommend_pb2 import NearbyResponse


@click.command("nearby", cls=PlaceCommand)
@place_options
@client_options
@json_option
def command(server: Server, as_json: bool, **options: Any) -> None:
    """What is near LAT LON, nearest first; nothing is drawn or learned."""
    from nearcast.v1.location_pb2 import LatLng
    from nearcast.v1.recommend_pb2 import NearbyRequest
    from nearcast_cli.calling import Gateway
    from nearcast_cli.printing import print_message

    request = NearbyRequest(
        filter=take_filter(options),
        location=LatLng(latitude=options["latitude"], longitude=options["longitude"]),
        radius_m=options["radius_m"],
        limit=options["limit"],
        page_token=options["page_token"],
    )
    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.recommend.Nearby, request)
    if as_json:
        print_message(response)
    else:
        _show(response)


def _show(response: "NearbyResponse") -> None:
    from nearcast_cli.printing import distance, print_table

    if not response.items:
        click.echo(
            f"Nothing within {distance(response.radius_used_m)}. "
            f"See all items with: {command_name()} items list"
        )
        return
    print_table(
        ("title", "id", ">distance", "category", "tags"),
        [
            (
                title_of(near.item, near.item_id),
                near.item_id,
                distance(near.distance_m),
                near.item.category,
                ", ".join(tag.name for tag in near.item.tags),
            )
            for near in response.items
        ],
    )
    if response.truncated:
        click.echo("More points lie here than one call looks at.")
    if response.next_page_token:
        click.echo(f"\nGo on with the same options and:\n  --page-token {response.next_page_token}")
