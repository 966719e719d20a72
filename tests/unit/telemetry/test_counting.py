"""Plain numbers tell what the library's own counters and histograms would."""

from random import Random

from prometheus_client import CollectorRegistry, Counter, Histogram

from nearcast_telemetry.declaration import SIZES, Metric
from nearcast_telemetry.metrics import Metrics, render

ASKED = Metric("server", "asked_total", "counter", "Questions.")
TOLD = Metric("server", "told_total", "counter", "Answers.", {"reason": ("far", "late")})
FOUND = Metric("server", "found", "histogram", "Items.", buckets=SIZES)
TAKEN = Metric("server", "taken_seconds", "histogram", "Time.", {"code": ("OK", "LATE")}, (0.1, 1.0))
DECLARED = (ASKED, TOLD, FOUND, TAKEN)


def lines(registry: CollectorRegistry) -> list[str]:
    """What is told of the metrics here; the library alone adds birth times."""
    told = render(registry).decode().splitlines()
    return [line for line in told if "nearcast_server" in line and "_created" not in line]


def test_the_text_is_that_of_the_librarys_own() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    metrics = Metrics(ours, DECLARED)
    asked = Counter(ASKED.name, ASKED.help, registry=theirs)
    told = Counter(TOLD.name, TOLD.help, ("reason",), registry=theirs)
    found = Histogram(FOUND.name, FOUND.help, buckets=SIZES, registry=theirs)
    taken = Histogram(TAKEN.name, TAKEN.help, ("code",), buckets=TAKEN.buckets, registry=theirs)
    assert lines(ours) == lines(theirs)
    rng = Random(5)
    for _ in range(200):
        amount, reason, code = rng.randrange(5), rng.choice(("far", "late")), rng.choice(("OK", "LATE"))
        size, seconds = rng.choice((0.0, 10.0, 10.5, 29.0, 1e9)), rng.choice((0.05, 0.1, 0.11, 7.0))
        metrics.add(ASKED, amount)
        metrics.add(TOLD, 1, reason)
        metrics.observe(FOUND, size)
        metrics.observe(TAKEN, seconds, code)
        asked.inc(amount)
        told.labels(reason).inc()
        found.observe(size)
        taken.labels(code).observe(seconds)
    assert lines(ours) == lines(theirs)


def test_an_observation_on_a_bound_lies_within_it() -> None:
    registry = CollectorRegistry()
    Metrics(registry, DECLARED).observe(FOUND, 10.0)
    assert registry.get_sample_value("nearcast_server_found_bucket", {"le": "0.0"}) == 0
    assert registry.get_sample_value("nearcast_server_found_bucket", {"le": "10.0"}) == 1
