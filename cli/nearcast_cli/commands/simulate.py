"""nearcast simulate: how much is learned of a town whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import Server, client_options, json_option
from nearcast_cli.finiterange import FiniteRange
from nearcast_cli.place import town_option
from nearcast_cli.policyfile import read_policy_file

if TYPE_CHECKING:
    from nearcast_cli.lives import Life
    from nearcast_cli.livetown import TownReport
    from nearcast_config.policy import Policy
    from nearcast_geo.point import Point
    from nearcast_town.report import Report

DEFAULT = "default"


@click.command("simulate")
@click.option(
    "--steps", type=click.IntRange(min=1), default=10_000, show_default=True, help="Questions asked."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many towns.")
@click.option("--first-seed", type=click.IntRange(min=0), default=1, show_default=True, help="The first one.")
@click.option(
    "--days",
    type=FiniteRange(min=0, min_open=True, max=3650),
    default=14.0,
    show_default=True,
    help="Town's days.",
)
@click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Policy to try (TOML); the default policy if unset.",
)
@click.option(
    "--against",
    metavar="FILE",
    help="Live the same towns under this policy too, and compare; 'default' is the one without a file.",
)
@click.option("--scenario", default="", metavar="NAME", help="Surface to ask; unset: default.")
@click.option(
    "--html",
    "html_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --against: write the comparison with its curves as one page.",
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Towns at a time; unset: one per core.")
@town_option
@click.option("--live", is_flag=True, help="On a running instance in wall-clock time, not in process.")
@click.option(
    "--minutes", type=FiniteRange(min=2.2, max=600), default=2.2, show_default=True, help="With --live."
)
@client_options
@json_option
def command(town_at: "Point", live: bool, server: Server, as_json: bool, **options: Any) -> None:
    """Simulate people in a town with hidden true rates, and measure how much of them is learned.

    Fast mode lives days in seconds, in process, with the real rules, fold and sampler. It prints the gap
    closed, (policy - random) / (oracle - random) in expected clicks, its curve over time, and whether people
    clicked more than under a random order.

    With --against an old and a new policy live through the same towns, and the differences are told with
    95 % intervals, paired by town: clicks and applies per session, what was missed, and how often new items
    come on screen. Towns lie in no market, so what a policy says of single markets is not tried.

    With --live the town lives on a running instance, and minute 2 is compared with a random order. Where
    `nearcast up` drives a town already, that one is waited for and reported.
    """
    if options["html_path"] and (live or options["against"] is None):
        raise click.UsageError("--html shows a comparison: it needs --against, and goes without --live")
    if live:
        if options["against"] is not None:
            raise click.UsageError("--against and --live exclude each other: live there is one policy")
        from nearcast_cli.livesimulation import simulate_live

        report = simulate_live(server, town_at, options["first_seed"], options["minutes"])
        _show_live(report, as_json)
    elif options["against"] is not None:
        _rehearse(_lives(town_at, options), as_json, options)
    else:
        _show(_lived(_lives(town_at, options), options["jobs"]), as_json)


def _lives(town_at: "Point", options: dict[str, Any]) -> "list[Life]":
    from nearcast_cli.lives import Life

    path = options["policy_path"]
    policy = _policy(None if path is None else str(path))
    return [
        Life(
            options["first_seed"] + number,
            town_at,
            policy,
            options["steps"],
            options["days"],
            options["scenario"],
        )
        for number in range(options["seeds"])
    ]


def _lived(lives: "list[Life]", jobs: int | None) -> "list[Report]":
    from nearcast_cli.lives import live_all

    reports = []
    for life, report in live_all(lives, jobs):
        reports.append(report)
        if len(lives) > 1:
            _tell(life.name, report)
    return sorted(reports, key=lambda report: report.seed)


def _tell(name: str, report: "Report") -> None:
    under = f", {name}" if name else ""
    click.echo(f"seed {report.seed}{under}: gap closed {report.last.gap_closed:.3f}", err=True)


def _policy(path: str | None) -> "Policy":
    from nearcast_config.policytext import default_policy, load_policy_text

    if path is None or path == DEFAULT:
        return default_policy()
    try:
        text = read_policy_file(Path(path))
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--against") from error
    return load_policy_text(text, path)


def _rehearse(lives: "list[Life]", as_json: bool, options: dict[str, Any]) -> None:
    from nearcast_cli.outfile import written
    from nearcast_cli.printing import print_json
    from nearcast_cli.rehearsing import page, rehearse

    rehearsal = rehearse(lives, _policy(options["against"]), options["jobs"], _tell)
    about = _about(lives, options)
    if options["html_path"] is not None:
        with written(options["html_path"]) as file:
            file.write(page(rehearsal, about).encode())
    if as_json:
        print_json(rehearsal.as_dict())
        return
    click.echo(f"{about}\n\n{rehearsal.text()}")


def _about(lives: "list[Life]", options: dict[str, Any]) -> str:
    """What was lived, in a sentence."""
    seeds = f"{lives[0].seed}" if len(lives) == 1 else f"{lives[0].seed} to {lives[-1].seed}"
    new = options["policy_path"] or DEFAULT
    return (
        f"{new} against {options['against']}: towns of seed {seeds}, {lives[0].steps:,} questions "
        f"over {lives[0].days:g} days each"
    )


def _show(reports: "list[Report]", as_json: bool) -> None:
    from nearcast_cli.livesimulation import p_words
    from nearcast_cli.printing import print_json
    from nearcast_town.measure import beats_random, total
    from nearcast_town.report import Summary

    summary = Summary(tuple(reports))
    test = beats_random(total(report.last for report in reports))
    if as_json:
        clicks = {"clicks": test.clicks, "expected_random": test.expected, "p_value": test.p_value}
        print_json({**summary.as_dict(), "click_test_last_fifth": clicks})
        return
    click.echo(reports[0].text() if len(reports) == 1 else summary.text())
    click.echo(
        f"\nclicks in the last 20 %: {test.clicks}, a random order {test.expected:.0f} "
        f"({p_words(test.p_value)})"
    )


def _show_live(report: "TownReport", as_json: bool) -> None:
    from msgspec import to_builtins

    from nearcast_cli.livesimulation import clicks_line
    from nearcast_cli.printing import print_json

    if as_json:
        print_json(to_builtins(report))
        return
    click.echo(report.text)
    for name, clicks in (("minute 2", report.minute_two), ("the last minute", report.last_minute)):
        click.echo(f"{name}: {clicks_line(clicks)}" if clicks else f"{name}: not over yet")
