"""One table of everything, with the machine it was measured on."""

from collections.abc import Iterator, Sequence

from benchmarks.goals import Row
from benchmarks.machine import Machine
from benchmarks.suite.listing import Step, in_words
from benchmarks.suite.outcome import Report

HEAD = ("", "what", "against", "ratio", "goal", "reached")
SIGNS = {"at least": "≥", "at most": "≤", "": ""}


def announcement(steps: Sequence[Step], machine: Machine) -> str:
    """What will be run and how long it takes."""
    whole_s = sum(step.expected_s for step in steps)
    listed = ", ".join(f"{step.name} {in_words(step.expected_s)}" for step in steps)
    return f"About {in_words(whole_s)} in all: {listed}.{busy(machine)}"


def busy(machine: Machine) -> str:
    """A warning; empty on a quiet machine."""
    if not machine.loaded:
        return ""
    return (
        f"\nOther work keeps this machine busy (load {machine.load:g} on {machine.cores} cores"
        " before the start): times are too long, and ratios rank rather than tell."
    )


def shown(ratio: float) -> str:
    """Small ones also as one over how many."""
    plain = f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"
    return f"{plain} (1/{1 / ratio:.0f})" if 0 < ratio < 0.15 else plain


def cells(name: str, row: Row) -> tuple[str, ...]:
    """As in the table."""
    goal = "" if row.goal is None else f"{SIGNS[row.bound]} {row.goal:.3g}".strip()
    reached = {True: "yes", False: "no", None: ""}[row.reached]
    return name, row.what, row.against, shown(row.ratio), goal, reached


def summary(report: Report) -> str:
    """For people."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    table = [
        cells(outcome.name, row)
        for outcome in report.benchmarks
        for row in outcome.rows or [_nothing(outcome.status)]
    ]
    yield from _columns([HEAD, *table])
    yield ""
    for outcome in report.benchmarks:
        yield f"{outcome.name}: {outcome.status} in {in_words(outcome.took_s)}; {outcome.data or 'no data'}"
        yield f"  {outcome.command}"
        if outcome.not_measured:
            yield f"  not measured: {'; '.join(outcome.not_measured)}"
    yield ""
    yield from _whereabouts(report)


def _nothing(status: str) -> Row:
    return Row(f"({status}, no figures)", "", float("nan"))


def _whereabouts(report: Report) -> Iterator[str]:
    machine = report.machine
    yield f"{machine.cores} cores of {machine.cpu}, load {machine.load:g} before the start; {machine.kernel}"
    servers = f"{machine.redis}, Postgres {machine.postgres}"
    yield f"Python {machine.python}, {servers}, revision {machine.revision}"
    yield f"{report.command}, begun {report.begun_at}, took {in_words(report.took_s)}{busy(machine)}"
    yield from (f"plot: {path}" for path in report.plots)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
