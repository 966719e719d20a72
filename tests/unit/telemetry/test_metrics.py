"""Counting into a registry of one's own."""

import re

import pytest
from prometheus_client import CollectorRegistry

from nearcast_telemetry.answermetrics import SERVER_CALL_SECONDS
from nearcast_telemetry.declaration import Metric
from nearcast_telemetry.foldmetrics import KEEPER_EVENTS_DEAD, KEEPER_FOLD_SECONDS
from nearcast_telemetry.metrics import KEEPER_METRICS, SERVER_METRICS, Metrics, render
from nearcast_telemetry.relaymetrics import KEEPER_RELAY_LAG_CHANGES

EVERY = [*SERVER_METRICS, *KEEPER_METRICS]


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_room_what_and_unit(metric: Metric) -> None:
    assert re.fullmatch(r"nearcast_(server|statskeeper)(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert bool(metric.buckets) == (metric.type == "histogram")
    assert metric.help.endswith(".")


def test_no_name_is_declared_twice() -> None:
    names = [metric.name for metric in EVERY]
    assert len(names) == len(set(names))


def test_what_was_counted_is_rendered() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, KEEPER_METRICS)
    metrics.add(KEEPER_EVENTS_DEAD, 2, "TEXT_NUL")
    metrics.set(KEEPER_RELAY_LAG_CHANGES, 7)
    metrics.observe(KEEPER_FOLD_SECONDS, 0.004)
    lines = render(registry).decode().splitlines()
    assert 'nearcast_statskeeper_events_dead_total{reason="TEXT_NUL"} 2.0' in lines
    assert "nearcast_statskeeper_relay_lag_changes 7.0" in lines
    assert 'nearcast_statskeeper_fold_seconds_bucket{le="0.005"} 1.0' in lines


def test_a_label_outside_its_closed_set_is_counted_as_other() -> None:
    registry = CollectorRegistry()
    Metrics(registry, SERVER_METRICS).observe(SERVER_CALL_SECONDS, 0.01, "person-4711", "OK")
    text = render(registry).decode()
    assert 'method="other"' in text
    assert "person-4711" not in text


def test_a_label_too_few_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="argument"):
        Metrics(CollectorRegistry(), SERVER_METRICS).observe(SERVER_CALL_SECONDS, 0.01, "Recommend")


def test_two_processes_of_one_interpreter_share_nothing() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first, KEEPER_METRICS).set(KEEPER_RELAY_LAG_CHANGES, 7)
    Metrics(second, KEEPER_METRICS)
    assert b"relay_lag_changes 0.0" in render(second)


def test_birth_times_of_counters_are_left_out() -> None:
    registry = CollectorRegistry()
    Metrics(registry, KEEPER_METRICS)
    assert b"_created" not in render(registry)
