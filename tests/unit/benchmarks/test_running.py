"""Benchmarks run as processes: a document read, a failure told, and what the report says of it."""

import json
import subprocess
import sys

import msgspec
import pytest

from benchmarks.goals import at_least
from benchmarks.machine import ROOT, Machine, look
from benchmarks.suite.listing import Step
from benchmarks.suite.outcome import Outcome, Report
from benchmarks.suite.running import run
from benchmarks.suite.summary import announcement, summary

QUIET = Machine("a processor", 2, 0.3, "Linux 6", "3.11.7", "valkey 9", "18.6", "abc1234")
BUSY = msgspec.structs.replace(QUIET, load=4.5)
SMALL = Step("markets", "a country of twenty", "benchmarks.markets", ["--markets=20", "--points=2000"], 5.0)
WRONG = Step("markets", "what is not understood", "benchmarks.markets", ["--nothing"], 1.0)


def report(machine: Machine, *outcomes: Outcome) -> Report:
    return Report("nearcast bench", "2026-01-01 00:00 UTC", machine, machine.loaded, 12.0, list(outcomes), [])


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    said: list[str] = []
    found = run([WRONG, SMALL], said.append)
    assert said[0] == "[1/2] markets: what is not understood (about 1 s)"
    assert len(said) == 4
    return found


@pytest.mark.timeout(300)
def test_a_benchmark_that_fails_is_told_and_keeps_no_other_from_running(outcomes: list[Outcome]) -> None:
    failed, done = outcomes
    assert (failed.status, failed.rows) == ("failed", [])
    assert done.status == "done"
    assert report(QUIET, failed, done).failed
    assert not report(QUIET, done).failed


@pytest.mark.timeout(300)
def test_what_a_benchmark_measured_is_in_the_report(outcomes: list[Outcome]) -> None:
    done = outcomes[1]
    (row,) = done.rows
    assert row.what == "market of a point, many at once"
    assert 0 < row.ratio < 10
    assert "seed 20" in done.data
    assert done.not_measured
    assert done.figures["markets"] == 20


@pytest.mark.timeout(300)
def test_the_report_is_one_document(outcomes: list[Outcome]) -> None:
    document = json.loads(msgspec.json.encode(report(BUSY, *outcomes)))

    assert document["loaded"] is True
    assert {"cpu", "cores", "load", "kernel", "python", "redis", "postgres", "revision"} == set(
        document["machine"]
    )
    assert set(document["benchmarks"][1]["rows"][0]) == {
        *("what", "against", "ratio", "goal", "bound", "reached")
    }


def test_the_table_says_goal_and_verdict_and_where_it_was_measured() -> None:
    missed = Outcome(
        *("workers", "python -m benchmarks.workers", "done", 61.0),
        [at_least("calls per CPU second, two workers", "one process", 0.05, 0.9)],
        *("2,000 items", ["more than two workers"], {}),
    )
    text = summary(report(QUIET, missed))

    assert "one process  0.05 (1/20)  ≥ 0.9  no" in text
    assert "load 0.3 before the start" in text
    assert "not measured: more than two workers" in text
    assert "busy" not in text
    assert "keeps this machine busy (load 4.5 on 2 cores" in summary(report(BUSY, missed))


def test_how_long_it_takes_is_said_first() -> None:
    assert announcement([SMALL, WRONG], QUIET) == "About 6 s in all: markets 5 s, markets 1 s."
    assert "busy" in announcement([SMALL], BUSY)


def test_this_machine_can_be_looked_at() -> None:
    machine = look()
    assert machine.cores >= 1
    assert machine.cpu
    assert machine.postgres.split(".")[0].isdigit()
    assert machine.redis.startswith(("valkey ", "redis "))


def test_the_command_lists_what_there_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nearcast_cli", "bench", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "decision     one decision" in done.stdout


def test_a_name_that_is_not_there_is_misunderstood() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nearcast_cli", "bench", "sorting"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "'sorting' is not one of 'decision'" in done.stderr
