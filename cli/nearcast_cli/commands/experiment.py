"""nearcast experiment: a policy tried on a share of sessions."""

import asyncio
from pathlib import Path

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.tenant import tenant_option
from nearcast_cli.trying import POLICY_FILE, Tried, begin, tell_one, tell_report, tried_options


@click.group("experiment")
def command() -> None:
    """Try a policy on a share of sessions, beside the one in force."""


@command.command("start")
@click.argument("name")
@click.option("--policy", "file", type=POLICY_FILE, metavar="FILE", help="The policy to try, as TOML.")
@tried_options("sessions")
@tenant_option
@database_options
@json_option
def start(name: str, file: Path | None, tried: Tried, tenant: str, database: Database, as_json: bool) -> None:
    """Decide a share of sessions by another policy, under a NAME that is never used again.

    Which sessions is decided by a hash with the name as its salt: a session keeps its arm while the
    experiment runs. Gateways follow within a second or two. What decides what is counted or believed cannot
    differ.
    """
    begin(tried.plan(name, "split", file), tried.note, tenant, database, as_json)


@command.command("report")
@click.argument("name")
@tenant_option
@database_options
@json_option
def report(name: str, tenant: str, database: Database, as_json: bool) -> None:
    """Tell what sessions were worth in each arm of experiment NAME, and the difference, at 95 %.

    With too little evidence it says what is missing instead.
    """
    from nearcast_cli.experimenting import REPORT_S, Bench, experiment
    from nearcast_server.comparing import Standing

    async def act(bench: Bench) -> Standing:
        return await bench.comparer.standing(bench.tenant_id, name)

    tell_report(asyncio.run(experiment(database.find(), tenant, act, REPORT_S)), as_json)


@command.command("stop")
@click.argument("name")
@tenant_option
@database_options
@json_option
def stop(name: str, tenant: str, database: Database, as_json: bool) -> None:
    """End experiment NAME: from now on the policy in force decides everything."""
    from nearcast_cli.experimenting import Bench, experiment
    from nearcast_store.experiments.protocol import Experiment

    async def act(bench: Bench) -> Experiment:
        return await bench.experimenter.stop(bench.tenant_id, name)

    tell_one(asyncio.run(experiment(database.find(), tenant, act)), "Stopped", as_json)


@command.command("list")
@tenant_option
@database_options
@json_option
def listed(tenant: str, database: Database, as_json: bool) -> None:
    """List the last hundred experiments, shadows too, the newest first."""
    from nearcast.v1 import admin_pb2
    from nearcast_cli.experimenting import Bench, experiment
    from nearcast_cli.printing import print_message
    from nearcast_cli.standings import tell_experiments
    from nearcast_server.rpc.experiments import to_experiment
    from nearcast_store.experiments.protocol import Experiment

    async def act(bench: Bench) -> list[Experiment]:
        return await bench.experimenter.listed(bench.tenant_id)

    found = asyncio.run(experiment(database.find(), tenant, act))
    if as_json:
        print_message(admin_pb2.ListExperimentsResponse(experiments=map(to_experiment, found)))
    else:
        tell_experiments(found)
