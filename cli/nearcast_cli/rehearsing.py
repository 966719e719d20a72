"""nearcast simulate --against: the lives of two policies in the same towns, and the page that shows them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from itertools import accumulate

from nearcast_cli.lives import Life, live_all
from nearcast_config.policy import Policy
from nearcast_town.curves import draw_curves
from nearcast_town.intervals import Interval, interval
from nearcast_town.rehearsal import Rehearsal, mean_curve, shown, span
from nearcast_town.report import Report

OLD, NEW = "old policy", "new policy"
_STYLE = (
    "body{font:15px/1.5 system-ui,-apple-system,Segoe UI,Roboto,sans-serif;max-width:900px;margin:2em auto;"
    "padding:0 1em;background:#fff;color:#1f2328}table{border-collapse:collapse;width:100%}"
    "th,td{padding:.35em .6em;border-bottom:1px solid #d1d9e0;text-align:right}"
    "th:first-child,td:first-child,td:last-child,th:last-child{text-align:left}svg{max-width:100%;height:auto}"
    "@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th,td{border-color:#3d444d}}"
)


def rehearse(
    lives: Sequence[Life], old: Policy, jobs: int | None, say: Callable[[str, Report], None]
) -> Rehearsal:
    """Live every town twice: under its policy, and under the old one."""
    both = [*(replace(life, policy=old, name=OLD) for life in lives)]
    both += [replace(life, name=NEW) for life in lives]
    found: dict[str, list[Report]] = {OLD: [], NEW: []}
    for life, report in live_all(both, jobs):
        found[life.name].append(report)
        say(life.name, report)
    by_seed = {name: sorted(reports, key=lambda report: report.seed) for name, reports in found.items()}
    return Rehearsal(tuple(by_seed[OLD]), tuple(by_seed[NEW]))


def page(rehearsal: Rehearsal, about: str) -> str:
    """One HTML document with nothing outside of itself."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A policy rehearsed</title>'
        f"<style>{_STYLE}</style></head><body><h1>A policy rehearsed</h1><p>{escape(about)}</p>"
        f"{_table(rehearsal)}{''.join(_plots(rehearsal))}</body></html>\n"
    )


def _table(rehearsal: Rehearsal) -> str:
    rows = [
        f"<tr><td>{escape(line.measure.words)}</td><td>{shown(line.old.mean)}</td><td>{shown(line.new.mean)}</td>"
        f"<td>{escape(span(line.difference))}</td><td>{escape(line.says)}</td></tr>"
        for line in rehearsal.lines
    ]
    head = "<tr><th></th><th>old</th><th>new</th><th>difference (95 %)</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _plots(rehearsal: Rehearsal) -> Iterator[str]:
    lives = {OLD: rehearsal.old, NEW: rehearsal.new}
    asked = sum(window.asks for window in rehearsal.old[0].windows)
    gaps = {name: mean_curve(reports, lambda window: window.gap_closed) for name, reports in lives.items()}
    across = ("questions asked", float(asked))
    yield draw_curves("Gap closed between a random order and the best", across, "gap closed", gaps)
    regrets = {name: regret_curve(reports) for name, reports in lives.items()}
    yield draw_curves("Clicks missed so far", across, "expected clicks", regrets)


def regret_curve(reports: Sequence[Report]) -> list[Interval]:
    """What was missed until the end of each window, over the towns."""
    runs = [list(accumulate(window.regret for window in report.windows)) for report in reports]
    return [interval(values) for values in zip(*runs, strict=False)]
