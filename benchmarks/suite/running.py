"""One benchmark after the other, each in a process of its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from benchmarks.children import importable
from benchmarks.machine import ROOT
from benchmarks.suite.listing import Step, in_words
from benchmarks.suite.outcome import Outcome
from benchmarks.suite.reading import data_of, rows_of

Said = Callable[[str], None]


def run(steps: Sequence[Step], say: Said) -> list[Outcome]:
    """In turn; one that fails does not keep the others from running."""
    outcomes = []
    for number, step in enumerate(steps, start=1):
        say(f"[{number}/{len(steps)}] {step.name}: {step.asks} (about {in_words(step.expected_s)})")
        outcome = run_one(step)
        outcomes.append(outcome)
        say(f"[{number}/{len(steps)}] {step.name}: {outcome.status} after {in_words(outcome.took_s)}")
    return outcomes


def run_one(step: Step) -> Outcome:
    """Its standard error is ours; its standard output is the document."""
    argv = ["python", "-m", step.module, *step.arguments]
    began = time.monotonic()
    command = [sys.executable, *argv[1:], "--json"]
    with subprocess.Popen(command, cwd=ROOT, env=importable(), stdout=subprocess.PIPE) as child:
        try:
            printed, _ = child.communicate()
        except KeyboardInterrupt:
            # The terminal interrupted it with us, and it stops its servers.
            child.wait()
            raise
        except SystemExit:
            child.send_signal(signal.SIGINT)
            child.wait()
            raise
    figures = _document(printed)
    whole = child.returncode == 0 and bool(figures)
    return Outcome(
        step.name,
        " ".join(argv),
        "done" if whole else "failed",
        round(time.monotonic() - began, 1),
        rows_of(step.name, figures),
        data_of(step.name, figures),
        list(figures.get("unmeasured", ())),
        figures,
    )


def _document(printed: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(printed)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}
