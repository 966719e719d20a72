"""Which benchmarks there are, how each is run, and how long that takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module that prints one JSON document; quick ones answer within the minutes that `--quick` has."""

    name: str
    asks: str
    module: str
    whole: tuple[str, ...]
    whole_s: float
    quick: tuple[str, ...] | None = None
    quick_s: float = 0.0
    # Knows peers that have to be installed.
    installs: bool = False


class Step(Struct, frozen=True):
    """One benchmark as it will be run."""

    name: str
    asks: str
    module: str
    arguments: list[str]
    expected_s: float


BENCHMARKS = (
    Benchmark(
        "decision",
        "one decision in process, beside Redis, Postgres, SQLite and the plain way",
        *("benchmarks.decision", (), 420.0, ("--quick",), 110.0),
        installs=True,
    ),
    Benchmark(
        "recommend",
        "Recommend over gRPC, beside an empty call and the plain way",
        *("benchmarks.recommend", (), 840.0),
        *(("--seconds=1", "--rounds=2", "--candidates=replica"), 85.0),
    ),
    Benchmark(
        "events",
        "events from a stream until counted, beside COPY",
        *("benchmarks.events", (), 960.0, ("--quick",), 40.0),
    ),
    Benchmark(
        "markets",
        "which market a point lies in, beside a tree alone",
        *("benchmarks.markets", (), 30.0, ("--markets=300",), 15.0),
    ),
    Benchmark(
        "importing",
        "a catalogue from a file to the index, beside COPY",
        *("benchmarks.importing", ("--items=100000", "--items=1000000"), 700.0, ("--items=10000",), 20.0),
    ),
    Benchmark(
        "regret",
        "what is missed while it is learned, beside Beta(1, 1) and epsilon-greedy",
        *("benchmarks.regret", (), 1000.0, ("--quick",), 20.0),
    ),
    Benchmark(
        "workers",
        "what a second worker costs",
        *("benchmarks.workers", (), 190.0),
    ),
    Benchmark(
        "freshness",
        "from an event's ack to a changed posterior",
        *("benchmarks.events.freshness", (), 90.0),
    ),
    Benchmark(
        "catching-up",
        "how fast a keeper folds what it missed",
        *("benchmarks.events.catchup", (), 1100.0),
    ),
    Benchmark(
        "soak",
        "twenty minutes of memory, then every count again",
        *("benchmarks.events.soak", (), 1300.0),
    ),
    Benchmark(
        "replica",
        "what a million and ten million items weigh, and how soon they are there",
        *("benchmarks.replica.build", ("--items=1e6", "--items=1e7"), 200.0),
    ),
    Benchmark(
        "torture",
        "a hundred million records read while one process writes",
        *("benchmarks.replica.torture", (), 120.0),
    ),
    Benchmark(
        "shadow",
        "a hundred thousand requests, asked of replica and Redis",
        *("benchmarks.replica.shadow", (), 900.0),
    ),
    Benchmark(
        "visible",
        "from a changed item's ack until every gateway shows it",
        *("benchmarks.replica.visible", (), 110.0),
    ),
    Benchmark(
        "churn",
        "thirty minutes of memory while items come and go",
        *("benchmarks.replica.soak", (), 1900.0),
    ),
)
NAMES = tuple(each.name for each in BENCHMARKS)


def plan(names: Sequence[str], quick: bool, peers: bool) -> list[Step]:
    """In the order of the list. Without names: all, or those that have a quick form."""
    chosen = [each for each in BENCHMARKS if each.name in names or not names]
    return [_step(each, quick, peers) for each in chosen if names or not quick or each.quick is not None]


def _step(benchmark: Benchmark, quick: bool, peers: bool) -> Step:
    short = benchmark.quick if quick else None
    arguments = list(benchmark.whole if short is None else short)
    if peers and benchmark.installs:
        arguments.append("--peers")
    expected_s = benchmark.whole_s if short is None else benchmark.quick_s
    return Step(benchmark.name, benchmark.asks, benchmark.module, arguments, expected_s)


def in_words(seconds: float) -> str:
    """So many seconds, or minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
