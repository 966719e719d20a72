"""How far an import is: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from nearcast_cli.itemfile.journal import Journal
from nearcast_cli.itemfile.opening import Opened

TOLD_EVERY_S = 10.0
Noticed = Callable[[Journal], None]


@contextmanager
def telling(source: Opened, done: str = "imported") -> Iterator[Noticed]:
    """To standard error; `done` is what happens to items."""
    if not sys.stderr.isatty():
        yield steps(source, done, time.monotonic, lambda line: click.echo(line, err=True))
        return
    with _bar(source, done) as noticed:
        yield noticed


def steps(source: Opened, done: str, clock: Callable[[], float], tell: Callable[[str], None]) -> Noticed:
    """A line every ten seconds; a short import says nothing."""
    began, dealt_before = clock(), None
    told = began

    def noticed(journal: Journal) -> None:
        nonlocal told, dealt_before
        dealt = journal.counted.written + journal.counted.refused
        dealt_before = dealt if dealt_before is None else dealt_before
        now = clock()
        if now - told < TOLD_EVERY_S:
            return
        told = now
        rate = (dealt - dealt_before) / (now - began)
        tell(f"{_counts(journal, done)}, {rate:,.0f}/s{_left(source, now - began)}")

    return noticed


def _left(source: Opened, took_s: float) -> str:
    if not source.size or not source.read_bytes:
        return ""
    left_s = took_s * (source.size / source.read_bytes - 1.0)
    return f", about {left_s / 60:.0f} min left" if left_s >= 90 else f", about {left_s:.0f} s left"


def _counts(journal: Journal, done: str) -> str:
    return f"{journal.counted.written:,} {done}, {journal.counted.refused:,} refused"


@contextmanager
def _bar(source: Opened, done: str) -> Iterator[Noticed]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from nearcast_cli.printing import console

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    began = time.monotonic()
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task, first = progress.add_task("reading", total=source.size), None

        def noticed(journal: Journal) -> None:
            nonlocal first
            dealt = journal.counted.written + journal.counted.refused
            first = dealt if first is None else first
            rate = (dealt - first) / max(time.monotonic() - began, 0.001)
            said = f"{_counts(journal, done)}, {rate:,.0f}/s"
            progress.update(task, description=said, completed=source.read_bytes)

        yield noticed
