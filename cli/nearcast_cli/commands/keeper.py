"""nearcast keeper: the stats keeper."""

from pathlib import Path

import click

from nearcast_cli.serving import process_options, run_process


@click.command("keeper")
@process_options
def command(config_path: Path | None, postgres_dsn: str | None, redis_url: str | None) -> None:
    """Run a keeper: counts events, carries items to the index, runs the jobs. Ends cleanly on SIGTERM.

    Several may run; they share the events, and one of them leads.
    """
    from nearcast_statskeeper.app import run_keeper

    run_process(config_path, {"postgres.dsn": postgres_dsn, "redis.geo_url": redis_url}, run_keeper)
