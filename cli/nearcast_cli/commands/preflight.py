"""nearcast preflight: whether Redis and Postgres keep what is promised on top of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Database, database_options, json_option, require_dsn, require_redis

if TYPE_CHECKING:
    from nearcast_config.process import ProcessConfig
    from nearcast_store.preflight.finding import Finding


@click.command("preflight")
@click.option("--redis-url", metavar="URL", help="Redis; or NEARCAST_REDIS__GEO_URL, or as the database.")
@database_options
@json_option
def command(redis_url: str | None, database: Database, as_json: bool) -> int:
    """Look at the settings of Redis and Postgres; exit status 1 when any is unsafe, or a store is away.

    Each finding says what is wrong, why it matters, and the command that ends it. `serve` and `keeper` look
    at the same before they are ready, and again while they run.
    """
    from nearcast_cli.printing import print_json
    from nearcast_store.preflight.finding import Severity

    process = database.process({"redis.geo_url": redis_url})
    require_dsn(process, database.state)
    require_redis(process)
    found = asyncio.run(_look(process))
    is_safe = all(finding.severity is Severity.WARN for finding in found)
    if as_json:
        print_json({"safe": is_safe, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            click.echo(f"{finding.told()}\n")
        away = all(finding.severity is not Severity.REFUSE for finding in found)
        unsafe = "a store is away, start or name it" if away else "correct what is refused above"
        click.echo("Safe." if is_safe else f"Not safe: {unsafe}, then ask again.")
    return 0 if is_safe else 1


async def _look(process: "ProcessConfig") -> "Sequence[Finding]":
    from nearcast_store.preflight.inspection import inspections

    each = await asyncio.gather(*(one.look() for one in inspections(process, "command")))
    return [finding for found in each for finding in found]
