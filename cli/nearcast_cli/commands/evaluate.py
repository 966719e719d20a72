"""nearcast evaluate: what another policy would have earned, before it ships."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.finding import Database, database_options
from nearcast_cli.finiterange import FiniteRange
from nearcast_cli.moment import EXAMPLE, Moment
from nearcast_cli.policyfile import read_policy_file
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from rich.progress import TaskID

    from nearcast_cli.evaluating.asking import Wanted
    from nearcast_cli.evaluating.judgement import Judgement
    from nearcast_cli.evaluating.progress import Noticed, Stage

_DAY_MS = 86_400_000
# Records of the last seconds may still be on their way.
_ON_ITS_WAY_MS = 30_000
_FILE = click.Path(path_type=Path, allow_dash=True, dir_okay=False)


@click.command("evaluate")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False, exists=True),
    required=True,
    metavar="FILE",
    help="The policy to judge (TOML), as for `policy apply`.",
)
@click.option("--since", "since_ms", type=Moment(), metavar="TIME", help=f"At or after: {EXAMPLE}.")
@click.option("--until", "until_ms", type=Moment(), metavar="TIME", help="Before that time; now unless said.")
@click.option("--market", default="", metavar="ID", help="Only requests from within this market.")
@click.option("--kind", default="", metavar="KIND", help="Reward: such events, instead of all by weight.")
@click.option(
    "--most",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    metavar="N",
    help="Decisions to judge at most, chosen evenly.",
)
@click.option(
    "--positions",
    type=click.IntRange(1, 200),
    default=200,
    show_default=True,
    metavar="N",
    help="Only the first N places of each slate.",
)
@click.option(
    "--draws",
    type=click.IntRange(100, 1_000_000),
    default=2000,
    show_default=True,
    metavar="N",
    help="Draws for what cannot be integrated, such as diversity.",
)
@click.option(
    "--guardrail",
    type=FiniteRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Loss that is put up with: 0.02 for 2 %.",
)
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write one JSON document; - prints it.")
@click.option("--html", "html_file", type=_FILE, metavar="FILE", help="Write a page with plots.")
@tenant_option
@database_options
def command(  # noqa: PLR0913 - a name for each option
    *,
    policy_file: Path,
    since_ms: int | None,
    until_ms: int | None,
    market: str,
    kind: str,
    most: int,
    positions: int,
    draws: int,
    guardrail: float,
    json_file: Path | None,
    html_file: Path | None,
    tenant: str,
    database: Database,
) -> int:
    """Judge a policy by logged decisions and what came of them, before it ships.

    Nothing is changed. The policy in force and the new one are weighed on the same requests by the
    probability with which each would have shown what was shown. Without --since as far back as decisions
    are kept.

    Exit status: 0 better, or no worse than the guardrail allows; 1 worse or undecided (or the command
    failed, with a reason); 2 misunderstood; 3 no verdict, as the log does not hold enough: it says what is
    missing.
    """
    from nearcast_bandit.evaluation.verdict import Gate
    from nearcast_cli.evaluating.asking import Wanted
    from nearcast_config.policytext import load_policy_text
    from nearcast_config.problems import SettingProblem, SettingsError
    from nearcast_store.decisions.reading import Days

    text = read_policy_file(policy_file)
    if not text.strip():
        shown = f"`{command_name()} policy show`"
        message = f"is empty, which would be the policy that nobody changed; {shown} writes one"
        raise SettingsError([SettingProblem("", message, str(policy_file))])
    policy = load_policy_text(text, str(policy_file))
    process = database.process({})
    settled_ms = int(time.time() * 1000) - _ON_ITS_WAY_MS
    until = settled_ms if until_ms is None else min(until_ms, settled_ms)
    since = until - process.keeper.decision_keep_days * _DAY_MS if since_ms is None else since_ms
    if until <= since:
        raise click.BadParameter("must lie before --until, and half a minute back", param_hint="'--since'")
    gate = Gate(guardrail=guardrail)
    wanted = Wanted(
        tenant, policy, Days(since, until), kind, market, since_ms is not None, most, positions, draws, gate
    )
    judgement = asyncio.run(_ask(database, wanted))
    source = "the policy on standard input" if str(policy_file) == "-" else str(policy_file)
    _write(judgement, tenant, source, json_file, html_file)
    if str(json_file) != "-":
        _tell(judgement, tenant, source)
    return _status(judgement)


async def _ask(database: Database, wanted: "Wanted") -> "Judgement":
    from nearcast_cli.evaluating.asking import ask
    from nearcast_cli.ledgers import open_ledger

    with _progress() as noticed:
        async with open_ledger(database.find()) as ledger:
            return await ask(ledger, wanted, noticed)


@contextmanager
def _progress() -> "Iterator[Noticed]":
    """A bar on a terminal, a line now and then otherwise; both on stderr."""
    from nearcast_cli.evaluating.progress import Spoken

    if not sys.stderr.isatty():
        yield Spoken(partial(click.echo, err=True), time.monotonic)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from nearcast_cli.printing import console

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def notice(stage: "Stage", done: int, most: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage)
            progress.update(tasks[stage], completed=done, total=most)

        yield notice


def _write(
    judgement: "Judgement", tenant: str, source: str, json_file: Path | None, html_file: Path | None
) -> None:
    import json

    from nearcast_cli.evaluating.document import document
    from nearcast_cli.evaluating.page import page
    from nearcast_cli.outfile import written

    if json_file is not None:
        with written(json_file) as out:
            plain = json.dumps(document(judgement, tenant), indent=2, ensure_ascii=False)
            out.write(f"{plain}\n".encode())
    if html_file is not None:
        with written(html_file) as out:
            out.write(page(judgement, tenant, source).encode())


def _tell(judgement: "Judgement", tenant: str, source: str) -> None:
    from nearcast_cli.evaluating import telling
    from nearcast_cli.printing import print_table

    for line in (*telling.heading(judgement, tenant, source), *telling.basis(judgement)):
        click.echo(line)
    if judgement.items is not None:
        current, wanted = judgement.items.current, judgement.items.wanted
        click.echo("\nReward per request")
        print_table(
            ("estimator", ">in force", ">95 %", ">new", ">95 %"), telling.estimate_rows(current, wanted)
        )
        click.echo(f"\nBy position, {telling.NAMES[wanted.judged_by]}")
        head = (">position", ">rows", ">in force", ">new", ">95 %", ">ESS", ">largest weight")
        print_table(head, telling.position_rows(current, wanted))
        markets = list(telling.market_rows(judgement))
        if markets:
            click.echo("\nBy market")
            print_table(("market", ">requests", ">in force", ">new", ">gain"), markets)
    if judgement.feeds is not None:
        click.echo("\nSessions that were pleased, by feeds alone")
        feeds = judgement.feeds
        print_table(
            ("estimator", ">in force", ">95 %", ">new", ">95 %"),
            telling.estimate_rows(feeds.current, feeds.wanted),
        )
    click.echo()
    for line in telling.conclusion(judgement):
        click.echo(line)


def _status(judgement: "Judgement") -> int:
    from nearcast_bandit.evaluation.verdict import Outcome

    verdict = judgement.verdict
    if verdict.may_ship:
        return 0
    return 3 if verdict.outcome is Outcome.REFUSED else 1
