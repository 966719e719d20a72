"""All benchmarks, or those named, one after the other: `nearcast bench`, `python -m benchmarks`."""

import shlex
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from benchmarks.events.report import progress
from benchmarks.machine import Machine, look
from benchmarks.plots.drawing import draw
from benchmarks.suite.listing import BENCHMARKS, NAMES, Step, in_words, plan
from benchmarks.suite.outcome import Outcome, Report
from benchmarks.suite.running import run
from benchmarks.suite.summary import announcement, summary


def _measured(steps: Sequence[Step], command: str, machine: Machine, out: Path | None) -> Report:
    begun_at, began = datetime.now(UTC), time.monotonic()
    outcomes = run(steps, progress)
    plots = [] if out is None else _plotted(outcomes, out)
    took_s = round(time.monotonic() - began, 1)
    return Report(command, f"{begun_at:%Y-%m-%d %H:%M} UTC", machine, machine.loaded, took_s, outcomes, plots)


def _plotted(outcomes: Sequence[Outcome], out: Path) -> list[str]:
    paths = []
    for name, text in draw(outcomes):
        (out / name).write_text(text, encoding="utf-8")
        paths.append(str(out / name))
    return paths


def _list() -> None:
    for each in BENCHMARKS:
        quick = f"quick {in_words(each.quick_s)}, " if each.quick is not None else ""
        print(f"{each.name:<12} {each.asks} ({quick}whole {in_words(each.whole_s)})")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Only those with a quick form, under five minutes in all.")
@click.option(
    "--peers", is_flag=True, help="Install further peers into a folder apart, and measure them too."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep JSON and plots here.")
@click.option("--list", "listing", is_flag=True, help="Say which there are, and how long they take.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    names: tuple[str, ...], quick: bool, peers: bool, out: Path | None, listing: bool, as_json: bool
) -> None:
    """A goal that is missed is no failure; the exit status is 1 when a benchmark did not come to its end."""
    if listing:
        _list()
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    steps, machine = plan(names, quick, peers), look()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    progress(announcement(steps, machine))
    report = _measured(steps, shlex.join(["nearcast", "bench", *sys.argv[1:]]), machine, out)
    document = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    if out is not None:
        (out / "bench.json").write_text(f"{document}\n", encoding="utf-8")
    print(document if as_json else summary(report))
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    command()
