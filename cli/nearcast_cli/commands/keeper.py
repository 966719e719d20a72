"""nearcast keeper: the stats keeper."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.commands.keeper_source import command as source
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, database_options, json_option, redis_option
from nearcast_cli.moment import EXAMPLE, Moment, shown
from nearcast_cli.serving import process_options, run_process, unsafe_option

if TYPE_CHECKING:
    from nearcast_config.process import ProcessConfig


@click.group("keeper", invoke_without_command=True)
@unsafe_option
@click.option(
    "--bury-unforeseen",
    is_flag=True,
    help="Put aside the entries that stop keepers (see `log status`): for when no gateway wrote them.",
)
@process_options
@click.pass_context
def command(
    ctx: click.Context,
    config_path: Path | None,
    postgres_dsn: str | None,
    redis_url: str | None,
    unsafe: bool,
    bury_unforeseen: bool,
) -> None:
    """Run a keeper: counts events, carries items to the index, runs the jobs. Ends cleanly on SIGTERM.

    Several may run; they share the events, and one of them leads. Refuses to start on settings of Redis or
    Postgres that lose what was acknowledged; see docs/preflight.md.
    """
    if ctx.invoked_subcommand is not None:
        return
    from nearcast_statskeeper.app import run_keeper

    overrides: dict[str, object] = {
        "postgres.dsn": postgres_dsn,
        "redis.geo_url": redis_url,
        "preflight.enforce": False if unsafe else None,
        "keeper.bury_unforeseen": True if bury_unforeseen else None,
    }
    run_process(config_path, overrides, run_keeper)


command.add_command(source)


@command.command("rewind")
@click.option("--to", "to_ms", type=Moment(), required=True, metavar="TIME", help=f"From when on: {EXAMPLE}.")
@redis_option
@database_options
@json_option
def rewind(to_ms: int, redis_url: str | None, database: Database, as_json: bool) -> None:
    """Let the keepers fold again every event that was appended at TIME or later, of all tenants.

    For a Postgres that was restored from a backup, or failed over and lost its last commits: what it still
    knows is not counted again. Keepers may run meanwhile. Refused when the log no longer reaches back so far.
    """
    from nearcast_cli.ledgers import with_redis
    from nearcast_cli.printing import print_json

    shards = asyncio.run(_rewind(with_redis(database, redis_url), to_ms))
    if as_json:
        print_json({"to": shown(to_ms), "shards": shards})
    elif shards:
        click.echo(f"The keepers fold again from {shown(to_ms)} on, in {len(shards)} shards.")
    else:
        click.echo(f"Nothing was folded after {shown(to_ms)}; there is nothing to rewind.")


async def _rewind(process: "ProcessConfig", to_ms: int) -> list[dict[str, object]]:
    from nearcast_cli.ledgers import open_audit, open_ledger
    from nearcast_statskeeper.rewinding import LogTooShortError, rewind_keepers

    async with open_ledger(process.postgres.dsn) as ledger, open_audit(process) as audit:
        slugs = dict(await ledger.tenants(None))
        try:
            heads = await rewind_keepers(audit, list(slugs), to_ms)
        except LogTooShortError as error:
            raise CommandFailedError(
                str(error),
                reason="LOG_TOO_SHORT",
                field="to",
                advice="The furthest back is:"
                f"  {command_name()} keeper rewind --to {shown(error.reaches_back_ms)}",
                details={"reachesBackTo": shown(error.reaches_back_ms)},
            ) from error
    return [
        {"tenant": slugs[head.tenant_id], "shard": head.shard, "from": shown(head.delivered[0])}
        for head in heads
    ]
