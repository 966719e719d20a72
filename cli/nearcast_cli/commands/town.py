"""nearcast town: the people of a simulated town, as customers of a running instance."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Server, client_options
from nearcast_cli.pace import pace_options
from nearcast_cli.place import town_option

if TYPE_CHECKING:
    from nearcast_cli.finding import Target
    from nearcast_geo.point import Point
    from nearcast_town.simulate import LivePace


@click.command("town", hidden=True)
@town_option
@pace_options
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Which town.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="File that is told of it.")
@client_options
def command(
    town_at: "Point",
    pace: "LivePace",
    seed: int,
    report: Path | None,
    server: Server,
) -> None:
    """Let a simulated town live on a running instance until stopped; `nearcast up` does this."""
    target = server.find()
    asyncio.run(_live_until_stopped(target, town_at, pace, seed, report))


async def _live_until_stopped(
    target: "Target", centre: "Point", pace: "LivePace", seed: int, path: Path | None
) -> None:
    from nearcast_cli.livetown import TownReport, live, write_report
    from nearcast_telemetry.signals import stop_on_signals

    def told(report: TownReport) -> None:
        if path is not None:
            write_report(path, report)

    with stop_on_signals() as stop:
        living = asyncio.create_task(live(target, centre, seed, told, pace=pace))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if living.done():
            living.result()
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
