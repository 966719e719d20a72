"""Several workers' metrics as one page."""

from prometheus_client import CollectorRegistry

from nearcast_telemetry.declaration import Across, Metric
from nearcast_telemetry.merging import Merger, Readings, readings
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics

CALLS = Metric("server", "calls_total", "counter", "Calls.", {"code": ("OK", "NOT_FOUND")})
TOOK = Metric("server", "took_seconds", "histogram", "Time.", buckets=(1.0, 2.0))
GAUGES: dict[Across, Metric] = {
    across: Metric("server", f"gauge_{across}", "gauge", "A gauge.", across=across)
    for across in ("sum", "largest", "smallest", "each")
}
DECLARED = (CALLS, TOOK, *GAUGES.values())


def said(calls: float = 0, took_s: tuple[float, ...] = (), gauge: float | None = None) -> list[Readings]:
    """By a worker that has counted this."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, DECLARED)
    metrics.add(CALLS, calls, "OK")
    for each in took_s:
        metrics.observe(TOOK, each)
    if gauge is not None:
        for metric in GAUGES.values():
            metrics.set(metric, gauge)
    return readings(registry)


def numbers(page: bytes) -> dict[str, float]:
    lines = [line for line in page.decode().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_counters_and_histograms_are_added_up() -> None:
    merged = numbers(Merger(DECLARED).page([("1", said(3, (0.5, 1.5))), ("2", said(4, (0.5, 9.0)))]))
    assert merged['nearcast_server_calls_total{code="OK"}'] == 7
    assert merged["nearcast_server_took_seconds_count"] == 4
    assert merged["nearcast_server_took_seconds_sum"] == 11.5
    assert [merged[f'nearcast_server_took_seconds_bucket{{le="{le}"}}'] for le in ("1.0", "2.0", "+Inf")] == [
        2,
        3,
        4,
    ]


def test_gauges_are_joined_as_they_declare() -> None:
    merged = numbers(Merger(DECLARED).page([("1", said(gauge=5)), ("2", said(gauge=3))]))
    gauges = {name: value for name, value in merged.items() if name.startswith("nearcast_server_gauge")}
    assert gauges == {
        "nearcast_server_gauge_sum": 8,
        "nearcast_server_gauge_largest": 5,
        "nearcast_server_gauge_smallest": 3,
        'nearcast_server_gauge_each{worker="1"}': 5,
        'nearcast_server_gauge_each{worker="2"}': 3,
    }


def test_what_a_dead_worker_counted_stays_and_what_it_measured_goes() -> None:
    merger = Merger(DECLARED)
    merger.retire("1", said(3, (0.5,), gauge=9))
    for _ in range(2):
        merged = numbers(merger.page([("1", said(1)), ("2", said(4, gauge=2))]))
        assert merged['nearcast_server_calls_total{code="OK"}'] == 8
        assert merged["nearcast_server_took_seconds_count"] == 1
        assert merged["nearcast_server_gauge_largest"] == 2


def test_of_two_lives_of_a_worker_the_later_is_measured_and_both_are_counted() -> None:
    merged = numbers(Merger(DECLARED).page([("1", said(3, gauge=9)), ("1", said(4, gauge=2))]))
    assert merged['nearcast_server_calls_total{code="OK"}'] == 7
    assert merged['nearcast_server_gauge_each{worker="1"}'] == 2


def test_what_nobody_declared_is_each_workers_own() -> None:
    merged = numbers(Merger(DECLARED).page([("1", said()), ("2", said())]))
    own = {name for name in merged if name.startswith("process_cpu_seconds_total")}
    assert own == {'process_cpu_seconds_total{worker="1"}', 'process_cpu_seconds_total{worker="2"}'}


def test_what_is_no_number_does_not_hide_the_rest() -> None:
    merged = numbers(Merger(DECLARED).page([("1", said(3, gauge=float("nan"))), ("2", said(4, gauge=2))]))
    assert merged['nearcast_server_calls_total{code="OK"}'] == 7
    assert merged["nearcast_server_gauge_sum"] == 2


def test_births_of_counters_are_left_out() -> None:
    assert b"_created" not in Merger(DECLARED).page([("1", said(1))])


def test_every_gauge_of_the_gateway_says_what_it_is_of_several_workers() -> None:
    """A gauge with a label `worker` should be one on purpose: none is so far."""
    assert not [
        metric.name for metric in SERVER_METRICS if metric.type == "gauge" and metric.across == "each"
    ]
