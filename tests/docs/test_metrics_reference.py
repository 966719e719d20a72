"""The page of metrics says what the code counts."""

from pathlib import Path

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2
from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast.v1.recommend_pb2 import DegradedReason
from nearcast_telemetry.labels import DEGRADED, EVENT_REFUSALS, METHODS
from nearcast_telemetry.metricspage import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def test_the_page_is_the_generated_one() -> None:
    """If not: python -m nearcast_telemetry.metrics > docs/reference/metrics.md."""
    assert PAGE.read_text() == reference()


def test_every_method_of_the_contract_is_counted_by_name() -> None:
    contract = [
        method.name
        for module in (admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    assert sorted(METHODS) == sorted(contract)


def test_every_reason_is_one_of_the_contract() -> None:
    degraded = {name.removeprefix("DEGRADED_REASON_") for name in DegradedReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert set(DEGRADED) == degraded
    assert set(EVENT_REFUSALS) <= reasons
