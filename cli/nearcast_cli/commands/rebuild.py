"""nearcast rebuild: what can be made again out of Postgres."""

import asyncio
from typing import TYPE_CHECKING

import click

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, database_options, json_option, require_dsn, require_redis
from nearcast_cli.tenant import any_tenant_option

if TYPE_CHECKING:
    from nearcast_store.counting.correcting import Corrected


@click.group("rebuild")
def command() -> None:
    """Make again what Postgres holds the record of."""


@command.command("redis")
@click.option("--redis-url", metavar="URL", help="Redis; or NEARCAST_REDIS__GEO_URL, or as the database.")
@database_options
@json_option
def redis(
    redis_url: str | None,
    database: Database,
    as_json: bool,
) -> None:
    """Build the index of every tenant from nothing.

    Each index is built aside and then takes the place of the old one at once, so gateways go on answering. It
    may run beside a keeper.
    """
    from nearcast_cli.printing import print_json
    from nearcast_statskeeper.app import run_rebuild

    process = database.process({"redis.geo_url": redis_url})
    require_dsn(process, database.state)
    require_redis(process)
    done: list[str] = []

    def tell(slug: str) -> None:
        done.append(slug)
        if not as_json:
            click.echo(f"rebuilt {slug}")

    asyncio.run(run_rebuild(process, tell))
    if as_json:
        print_json({"rebuilt": done})
    elif not done:
        click.echo("There are no tenants yet.")


@command.command("stats")
@any_tenant_option
@database_options
@json_option
def stats(tenant: str | None, database: Database, as_json: bool) -> None:
    """Make the counts again from the ledger's rows, and correct what differs.

    Keepers go on: they wait only while the corrections are written, all in one transaction. Gateways take up
    what changed. Counts of days that the ledger no longer holds stay as they are.
    """
    from nearcast_cli.printing import print_json

    corrected = asyncio.run(_rebuild_stats(database.find(), tenant))
    if as_json:
        print_json(
            {
                "itemCounts": corrected.item_counts,
                "totals": corrected.totals,
                "feedTrials": corrected.feed_trials,
                "feedCounts": corrected.feed_counts,
            }
        )
    else:
        click.echo(
            f"Counted again. Corrected {corrected.item_counts} item counts,"
            f" {corrected.totals} totals, {corrected.feed_trials} feed trials"
            f" and {corrected.feed_counts} feed counts."
        )


async def _rebuild_stats(dsn: str, tenant: str | None) -> "Corrected":
    from nearcast_cli.ledgers import open_ledger
    from nearcast_statskeeper.rebuilding import RebuildRunsError, rebuild_stats

    async with open_ledger(dsn) as ledger:
        try:
            return await rebuild_stats(dsn, ledger.pool, await ledger.tenant_id(tenant))
        except RebuildRunsError as error:
            raise CommandFailedError(
                str(error), reason="REBUILD_RUNS", advice="Wait for it to end."
            ) from error
