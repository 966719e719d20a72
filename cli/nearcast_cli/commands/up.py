"""nearcast up: everything in one place."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import config_option, state_option
from nearcast_cli.pace import pace_options
from nearcast_cli.place import town_option

if TYPE_CHECKING:
    from nearcast_geo.point import Point
    from nearcast_town.simulate import LivePace

SETTINGS = {
    "grpc_port": "gateway.grpc_port",
    "http_port": "gateway.http_port",
    "workers": "gateway.workers",
    "postgres_dsn": "postgres.dsn",
    "redis_url": "redis.geo_url",
}


@click.command("up")
@click.option("--no-town", is_flag=True, help="Without the simulated town: your own items and people only.")
@town_option
@pace_options
@click.option(
    "--grpc-port", type=int, metavar="N", help="Port of the gateway [default: 50051; 0 = any free]."
)
@click.option("--workers", type=int, metavar="N", help="Gateway processes that share the port [default: 1].")
@click.option("--http-port", type=int, metavar="N", help="Reserved for HTTP/JSON [default: 8080].")
@click.option("--postgres-dsn", metavar="DSN", help="Your Postgres 15 or newer, instead of the embedded one.")
@click.option("--redis-url", metavar="URL", help="Your Redis 6.2 or Valkey, instead of the embedded one.")
@state_option
@config_option
def command(
    no_town: bool,
    town_at: "Point",
    pace: "LivePace",
    state: Path,
    config_path: Path | None,
    **settings: Any,
) -> None:
    """Run everything in one place: Postgres, Valkey, gateway, keeper, and a simulated town to learn from.

    Everything is kept in the state directory and found again by the next start. Ctrl-C stops all of it.
    """
    from nearcast_cli.house.house import open_house
    from nearcast_cli.house.plan import Plan
    from nearcast_cli.house.screen import Screen
    from nearcast_cli.printing import console
    from nearcast_config.loading import load_file

    overrides = {key: settings[flag] for flag, key in SETTINGS.items()}
    loaded = load_file(config_path, os.environ, overrides)
    plan = Plan(state, config_path, loaded.process, loaded.policy, None if no_town else town_at, pace)
    open_house(plan, Screen(console()))
