"""nearcast scribe: the writer of this host's replicas."""

from pathlib import Path

import click

from nearcast_cli.serving import process_options, run_process


@click.command("scribe")
@process_options
def command(config_path: Path | None, postgres_dsn: str | None, redis_url: str | None) -> None:
    """Write this host's replica of all items, which its gateways answer from. Ends cleanly on SIGTERM.

    `nearcast serve` runs one by itself; of several on a host one writes and the others stand by.
    """
    from nearcast_server.scribeapp import run_scribe

    overrides: dict[str, object] = {"postgres.dsn": postgres_dsn, "redis.geo_url": redis_url}
    run_process(config_path, overrides, run_scribe, worker="scribe")
