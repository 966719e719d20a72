"""How experiments are told to people: tables, and the verdict in words."""

import time
from collections.abc import Iterator, Sequence

import click

from nearcast_bandit.evaluation.report import Estimate
from nearcast_cli.governing import when
from nearcast_cli.printing import counted, print_table
from nearcast_server.comparing import ShadowReport, SplitReport, Standing
from nearcast_store.experiments.protocol import Experiment


def tell_standing(standing: Standing) -> None:
    """Print how an experiment stands."""
    click.echo(heading(standing.experiment))
    for problem in standing.paused_by:
        click.echo(f"Paused, everybody gets the policy in force: {problem}")
    if standing.split is not None:
        _tell_split(standing.split)
    if standing.shadow is not None:
        _tell_shadow(standing.shadow)


def heading(experiment: Experiment) -> str:
    """One line on what is tried."""
    wanted = experiment.wanted
    began, ended = when(wanted.started_at), experiment.stopped_at
    lasted = f"since {began} UTC" if ended is None else f"from {began} to {when(ended)} UTC"
    return (
        f"{wanted.mode} {wanted.name}: revision {wanted.revision} against {wanted.against}, "
        f"share {wanted.share:g}, {lasted}"
    )


def tell_experiments(listed: Sequence[Experiment]) -> None:
    """Print a table of them."""
    rows = [
        (
            each.wanted.name,
            each.wanted.mode,
            str(each.wanted.revision),
            str(each.wanted.against),
            f"{each.wanted.share:g}",
            when(each.wanted.started_at),
            "running" if each.stopped_at is None else when(each.stopped_at),
            each.wanted.note,
        )
        for each in listed
    ]
    columns = ("name", "mode", ">revision", ">against", ">share", "started (UTC)", "stopped (UTC)", "note")
    print_table(columns, rows)


def shadow_name() -> str:
    """One that was not used before, unless two begin within a second."""
    return time.strftime("shadow-%Y%m%d-%H%M%S", time.gmtime())


def _tell_split(report: SplitReport) -> None:
    print_table(("", ">in force", ">contender"), _arm_rows(report))
    comparison = report.comparison
    if comparison.difference is not None and comparison.gain is not None:
        click.echo(
            f"A session is worth {_interval(comparison.difference)} more under the contender"
            f" ({_interval(comparison.gain, percent=True)}), at 95 %: {_verdict(comparison.difference)}"
        )
    else:
        click.echo("No verdict:")
    for missing in report.missing:
        click.echo(f"- {missing}")
    if report.arms.mixed:
        click.echo(f"{counted(report.arms.mixed, 'session')} in both arms left out.")
    if len([each for each in report.served if each.counted]) > 1:
        served = ", ".join(f"{each.revision} ({each.sessions})" for each in report.served if each.counted)
        click.echo(f"The policy in force changed meanwhile; counted are revisions (sessions): {served}")
    for each in report.served:
        if not each.counted:
            click.echo(
                f"Left out: {counted(each.sessions, 'session')} of revision {each.revision}, paused then."
            )
    click.echo(
        "Both arms learn into the same counts of items: a difference in what is learned is not in this."
    )


def _arm_rows(report: SplitReport) -> Iterator[tuple[str, str, str]]:
    one, other = report.arms.against, report.arms.contender
    yield "sessions", str(one.sums.sessions), str(other.sums.sessions)
    yield "impressions", str(one.impressions), str(other.impressions)
    for name, number in report.kinds.items():
        yield name, str(one.successes.get(number, 0)), str(other.successes.get(number, 0))
    yield "sessions with a reward", str(one.sums.rewarded), str(other.sums.rewarded)
    comparison = report.comparison
    if comparison.first is not None and comparison.second is not None:
        yield "reward per session", _interval(comparison.first), _interval(comparison.second)


def _tell_shadow(report: ShadowReport) -> None:
    if not report.compared:
        click.echo("Nothing was compared yet: no request fell into its share, or none was written down.")
        return
    click.echo(f"{counted(report.compared, 'request')} compared, of what is still kept:")
    rows = [
        ("items in both", f"{report.overlap:.1%}"),
        ("same first item", f"{report.same_first:.1%}"),
        ("same items in the same order", f"{report.equal:.1%}"),
        ("new items, in force", f"{report.new_share:.2%}"),
        ("new items, shadow", f"{report.shadow_new_share:.2%}"),
    ]
    print_table(("", ">share"), rows)
    feeds = [
        (feed, shadow_feed, str(count), f"{count / report.compared:.1%}")
        for feed, shadow_feed, count in report.feeds
    ]
    print_table(("feed", "shadow's feed", ">requests", ">share"), feeds)


def _interval(estimate: Estimate, *, percent: bool = False) -> str:
    if percent:
        return f"{estimate.value:+.1%} [{estimate.low:+.1%}, {estimate.high:+.1%}]"
    return f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"


def _verdict(difference: Estimate) -> str:
    if difference.low > 0:
        return "better."
    if difference.high < 0:
        return "worse."
    return "undecided, the interval holds both answers."
