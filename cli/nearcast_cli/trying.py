"""What the commands share that try a policy beside the one in force."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import Database
from nearcast_cli.policyfile import read_policy_file

if TYPE_CHECKING:
    from nearcast_server.comparing import Standing
    from nearcast_server.experimenting import Begun, Plan
    from nearcast_store.experiments.protocol import Experiment, Mode

POLICY_FILE = click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True)


@dataclass(frozen=True, slots=True)
class Tried:
    """Which revision instead of a file, on what share, and why."""

    revision: int
    share: float
    note: str

    def plan(self, name: str, mode: "Mode", file: Path | None) -> "Plan":
        """What is to begin."""
        from nearcast_server.experimenting import Plan

        text = ""
        if file is not None:
            text = read_policy_file(file)
        return Plan(name, mode, self.share, text, self.revision)


def tried_options(whose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--revision, --share and --note."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_tried(*, revision: int, share: float, note: str, **others: Any) -> Any:
            return command(tried=Tried(revision, share, note), **others)

        wrapped: Callable[..., Any] = with_tried
        for option in (
            click.option("--note", default="", metavar="TEXT", help="Why."),
            click.option(
                "--share",
                type=float,
                default=0.1,
                show_default=True,
                metavar="SHARE",
                help=f"Of {whose}: above 0, at most 1.",
            ),
            click.option(
                "--revision",
                type=click.IntRange(0),
                default=0,
                metavar="N",
                help="Try a revision that is not in force, instead of a file.",
            ),
        ):
            wrapped = option(wrapped)
        return wrapped

    return decorated


def begin(plan: "Plan", note: str, tenant: str, database: Database, as_json: bool) -> None:
    """Begin to try it, and say what runs."""
    from nearcast.v1 import admin_pb2
    from nearcast_cli.experimenting import Bench, experiment
    from nearcast_cli.governing import wish_of
    from nearcast_cli.printing import print_message
    from nearcast_cli.standings import heading
    from nearcast_server.rpc.admin import to_notes
    from nearcast_server.rpc.experiments import to_experiment

    async def act(bench: Bench) -> "Begun":
        return await bench.experimenter.start(bench.tenant_id, plan, wish_of(note, 0, ""))

    begun = asyncio.run(experiment(database.find(), tenant, act))
    if as_json:
        started, warnings = to_experiment(begun.experiment), to_notes(begun.warnings)
        print_message(admin_pb2.StartExperimentResponse(experiment=started, warnings=warnings))
        return
    for warning in begun.warnings:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"Begun: {heading(begun.experiment)}")


def tell_one(found: "Experiment", word: str, as_json: bool) -> None:
    """What became of it, on a line."""
    from nearcast_cli.printing import print_message
    from nearcast_cli.standings import heading
    from nearcast_server.rpc.experiments import to_experiment

    if as_json:
        print_message(to_experiment(found))
    else:
        click.echo(f"{word}: {heading(found)}")


def tell_report(standing: "Standing", as_json: bool) -> None:
    """How it stands."""
    from nearcast_cli.printing import print_message
    from nearcast_cli.standings import tell_standing
    from nearcast_server.rpc.experiments import to_standing

    if as_json:
        print_message(to_standing(standing))
    else:
        tell_standing(standing)
