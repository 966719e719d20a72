"""nearcast serve: the gateway."""

from pathlib import Path

import click

from nearcast_cli.serving import process_options, run_process, unsafe_option


@click.command("serve")
@click.option("--grpc-port", type=int, metavar="N", help="Port; or NEARCAST_GATEWAY__GRPC_PORT.")
@unsafe_option
@process_options
def command(
    grpc_port: int | None,
    config_path: Path | None,
    postgres_dsn: str | None,
    redis_url: str | None,
    unsafe: bool,
) -> None:
    """Run a gateway: answers Recommend, takes items and events. Ends cleanly on SIGTERM.

    Refuses to start on settings of Redis or Postgres that lose what was acknowledged; see docs/preflight.md.
    Where a setting has no option here, use the file or its variable.
    """
    from nearcast_server.app import run_gateway

    overrides: dict[str, object] = {
        "gateway.grpc_port": grpc_port,
        "postgres.dsn": postgres_dsn,
        "redis.geo_url": redis_url,
        "preflight.enforce": False if unsafe else None,
    }
    run_process(config_path, overrides, run_gateway)
