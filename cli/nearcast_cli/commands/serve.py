"""nearcast serve: the gateway."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.serving import process_options, run_process, unsafe_option

if TYPE_CHECKING:
    from nearcast_config.policy import Policy
    from nearcast_config.process import ProcessConfig


@click.command("serve")
@click.option("--grpc-port", type=int, metavar="N", help="Port; or NEARCAST_GATEWAY__GRPC_PORT.")
@click.option(
    "--workers", type=int, metavar="N", help="Processes that share the port; or NEARCAST_GATEWAY__WORKERS."
)
@click.option("--worker", "place", type=(int, int), hidden=True)  # its number, and the line to who keeps it
@unsafe_option
@process_options
def command(
    grpc_port: int | None,
    workers: int | None,
    place: tuple[int, int] | None,
    config_path: Path | None,
    postgres_dsn: str | None,
    redis_url: str | None,
    unsafe: bool,
) -> None:
    """Run a gateway: answers Recommend, takes items and events. Ends cleanly on SIGTERM.

    Beside it runs a scribe, which keeps this host's replica of the items; see docs/replica.md.
    Refuses to start on settings of Redis or Postgres that lose what was acknowledged; see docs/preflight.md.
    With several workers SIGHUP replaces them one by one; see docs/workers.md.
    Where a setting has no option here, use the file or its variable.
    """
    overrides: dict[str, object] = {
        "gateway.grpc_port": grpc_port,
        "gateway.workers": workers,
        "postgres.dsn": postgres_dsn,
        "redis.geo_url": redis_url,
        "preflight.enforce": False if unsafe else None,
    }
    if place is None:
        _serve(config_path, overrides)
    else:
        _serve_as_worker(config_path, *place)


def _serve(config_path: Path | None, overrides: dict[str, object]) -> None:
    from nearcast_config.loading import load_file

    process = load_file(config_path, os.environ, overrides).process
    if process.gateway.workers > 1:
        from nearcast_cli.workers import run_workers

        run_workers(process, config_path, overrides)
    else:
        from nearcast_cli.scribes import scribe_beside
        from nearcast_cli.workers import environment_of
        from nearcast_server.app import run_gateway

        environment = environment_of(config_path, overrides)

        async def serve(
            config: "ProcessConfig", stop: asyncio.Event, *, first_policy: "Policy | None"
        ) -> None:
            async with scribe_beside(config, environment):
                await run_gateway(config, stop, first_policy=first_policy)

        run_process(config_path, overrides, serve)


def _serve_as_worker(config_path: Path | None, number: int, descriptor: int) -> None:
    from nearcast_server.app import run_gateway
    from nearcast_telemetry.link import WorkerLink

    link = WorkerLink.inherited(descriptor)
    run_process(config_path, {}, partial(run_gateway, link=link), worker=str(number))
