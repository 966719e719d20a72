"""nearcast simulate --live: a town's minutes on a running instance."""

import asyncio
import sys
import threading
import time
from pathlib import Path

import click

from nearcast_cli.embedded import running_instance
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Server, Target
from nearcast_cli.livetown import PACE, Clicks, TownReport, live, read_report
from nearcast_geo.point import Point

REPORT_NAME = "town.json"
FRESH_S = 10.0
LOOK_EVERY_S = 0.5


def simulate_live(server: Server, centre: Point, seed: int, minutes: float) -> TownReport:
    """Live so long, or watch the town that lives there already; what was measured."""
    target = server.find()
    path = server.state / REPORT_NAME
    if _lives_already(target, server.state, path):
        return _watch(path, minutes)
    steps = int(minutes * 60 * PACE.asks_per_s)
    return asyncio.run(live(target, centre, seed, _progress, steps))


def _lives_already(target: Target, state: Path, path: Path) -> bool:
    """Two towns on one instance would move each other's items."""
    instance = running_instance(state)
    report = read_report(path)
    here = instance is not None and instance.address == target.address
    return here and report is not None and time.time() - report.told_at < FRESH_S


def _watch(path: Path, minutes: float) -> TownReport:
    """Return once the town has lived so long."""
    while True:
        report = read_report(path)
        if report is None or time.time() - report.told_at > FRESH_S:
            raise CommandFailedError(
                "the town of this instance has stopped telling how it goes",
                reason="TOWN_AWAY",
                advice=f"See {path.parent / 'logs' / 'town.log'}",
            )
        if report.told_at - report.started_at >= minutes * 60 and report.minute_two:
            return report
        _progress(report)
        threading.Event().wait(LOOK_EVERY_S)


def _progress(report: TownReport) -> None:
    if sys.stderr.isatty():
        lived_s = report.told_at - report.started_at
        click.echo(f"\rthe town has lived {lived_s:.0f} s ", nl=False, err=True)


def clicks_line(clicks: Clicks) -> str:
    """Clicks per question, and how sure it is that they are more than by chance."""
    asked = max(clicks.questions, 1)
    chance, best = clicks.expected_random / asked, clicks.expected_oracle / asked
    return (
        f"{clicks.clicks / asked:.3f} clicks per question, a random order {chance:.3f}, the best {best:.3f} "
        f"({p_words(clicks.p_value)})"
    )


def p_words(p_value: float) -> str:
    """A probability that is too small to matter is not called nought."""
    return f"one-sided p = {p_value:.2g}" if p_value >= 1e-99 else "one-sided p < 1e-99"
