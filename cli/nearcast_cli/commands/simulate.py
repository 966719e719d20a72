"""nearcast simulate: how much is learned of a town whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.finding import Server, client_options, json_option
from nearcast_cli.place import town_option

if TYPE_CHECKING:
    from nearcast_cli.livetown import TownReport
    from nearcast_config.policy import Policy
    from nearcast_geo.point import Point
    from nearcast_town.report import Report


@click.command("simulate")
@click.option(
    "--steps", type=click.IntRange(min=1), default=10_000, show_default=True, help="Questions asked."
)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many towns.")
@click.option("--first-seed", type=click.IntRange(min=0), default=1, show_default=True, help="The first one.")
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True),
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
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Towns at a time; unset: one per core.")
@town_option
@click.option("--live", is_flag=True, help="On a running instance in wall-clock time, not in process.")
@click.option(
    "--minutes", type=click.FloatRange(min=2.2, max=600), default=2.2, show_default=True, help="With --live."
)
@client_options
@json_option
def command(town_at: "Point", live: bool, server: Server, as_json: bool, **options: Any) -> None:
    """Simulate people in a town with hidden true rates, and measure how much of them is learned.

    Fast mode lives days in seconds, in process, with the real rules, fold and sampler. It prints the gap
    closed, (policy - random) / (oracle - random) in expected clicks, its curve over time, and whether people
    clicked more than under a random order.

    With --live the town lives on a running instance, and minute 2 is compared with a random order. Where
    `nearcast up` drives a town already, that one is waited for and reported.
    """
    if live:
        from nearcast_cli.livesimulation import simulate_live

        report = simulate_live(server, town_at, options["first_seed"], options["minutes"])
        _show_live(report, as_json)
    else:
        _show(_lives(town_at, **options), as_json)


def _lives(town_at: "Point", **options: Any) -> "list[Report]":
    from nearcast_cli.lives import Life, live_all

    policy = _policy(options["policy_path"])
    lives = [
        Life(options["first_seed"] + number, town_at, policy, options["steps"], options["days"])
        for number in range(options["seeds"])
    ]
    reports = []
    for report in live_all(lives, options["jobs"]):
        reports.append(report)
        if len(lives) > 1:
            click.echo(f"seed {report.seed}: gap closed {report.last.gap_closed:.3f}", err=True)
    return sorted(reports, key=lambda report: report.seed)


def _policy(path: Path | None) -> "Policy":
    from nearcast_config.policytext import default_policy, load_policy_text

    return default_policy() if path is None else load_policy_text(path.read_text("utf-8"), str(path))


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
