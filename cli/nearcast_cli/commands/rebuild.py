"""nearcast rebuild: what can be made again out of Postgres."""

import asyncio

import click

from nearcast_cli.finding import Database, database_options, json_option, require_dsn, require_redis


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
