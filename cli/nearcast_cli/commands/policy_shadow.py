"""nearcast policy shadow: a policy that is decided beside what is served, and never shown."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.tenant import tenant_option
from nearcast_cli.trying import POLICY_FILE, Tried, begin, tell_one, tell_report, tried_options

if TYPE_CHECKING:
    from nearcast_cli.experimenting import Bench
    from nearcast_server.comparing import Standing
    from nearcast_store.experiments.protocol import Experiment


@click.command("shadow")
@click.argument("file", type=POLICY_FILE, required=False)
@tried_options("requests")
@click.option("--report", "act", flag_value="report", help="Tell how the last shadow stands.")
@click.option("--stop", "act", flag_value="stop", help="Stop the one that runs.")
@tenant_option
@database_options
@json_option
def shadow(
    file: Path | None, tried: Tried, act: str | None, tenant: str, database: Database, as_json: bool
) -> None:
    """Decide a share of requests a second time by the policy of FILE, beside what is served.

    After the answer, and nothing of it is shown: --report tells how many items stand in both slates, which
    feeds would have been given, and how many new items shown. It runs until --stop.
    """
    from nearcast_cli.experimenting import REPORT_S, experiment
    from nearcast_cli.standings import shadow_name

    dsn = database.find()
    if act == "report":
        tell_report(asyncio.run(experiment(dsn, tenant, _report, REPORT_S)), as_json)
    elif act == "stop":
        tell_one(asyncio.run(experiment(dsn, tenant, _stop)), "Stopped", as_json)
    else:
        begin(tried.plan(shadow_name(), "shadow", file), tried.note, tenant, database, as_json)


async def _report(bench: "Bench") -> "Standing":
    found = await bench.shadow(running=False)
    return await bench.comparer.standing(bench.tenant_id, found.wanted.name)


async def _stop(bench: "Bench") -> "Experiment":
    found = await bench.shadow(running=True)
    return await bench.experimenter.stop(bench.tenant_id, found.wanted.name)
