"""From the errors of the rooms to what a user is told."""

from pathlib import Path

import pytest

from nearcast_cli.embedded.errors import StateInUseError
from nearcast_cli.explaining import explain
from nearcast_cli.failure import CommandFailedError
from nearcast_config.problems import SettingProblem, SettingsError
from nearcast_server.assembly.listening import PortInUseError
from nearcast_store.errors import (
    DataRefusedError,
    IndexUnavailableError,
    LogUnavailableError,
    SchemaError,
    StoreUnavailableError,
)
from nearcast_telemetry.endpoint import EndpointError
from nearcast_town.backend import BackendRefusedError


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (CommandFailedError("as it is", reason="SAME"), "SAME", "as it is"),
        (SettingsError([SettingProblem("gateway.host", "is empty")]), "SETTINGS_INVALID", "gateway.host"),
        (StoreUnavailableError("away: postgresql://u:hidden@h/d"), "STORE_UNAVAILABLE", "u:***@h"),
        (SchemaError("run `nearcast migrate`"), "SCHEMA_MISMATCH", "nearcast migrate"),
        (IndexUnavailableError("away"), "INDEX_UNAVAILABLE", "--redis-url"),
        (LogUnavailableError("away"), "LOG_UNAVAILABLE", "away"),
        (DataRefusedError("too long"), "STORE_FAILED", "too long"),
        (StateInUseError(state="here", owner="process 7"), "STATE_IN_USE", "process 7"),
        (PortInUseError("port 1 is in use"), "PORT_IN_USE", "port 1"),
        (EndpointError("port 2 is in use"), "PORT_IN_USE", "port 2"),
        (BackendRefusedError("INVALID_ARGUMENT"), "BACKEND_REFUSED", "INVALID_ARGUMENT"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_can_be_expected_is_told(error: Exception, reason: str, words: str) -> None:
    told = explain(error)
    assert told is not None
    assert told.reason == reason
    assert words in told.told()
    assert "hidden" not in told.told()


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "none").read_text()
    told = explain(caught.value)
    assert told is not None
    assert told.message == f"{tmp_path / 'none'}: No such file or directory"


@pytest.mark.parametrize(
    "error", [ValueError("a fault of ours"), OSError(5, "no file was named"), KeyError()]
)
def test_a_fault_of_ours_is_not_explained_away(error: Exception) -> None:
    assert explain(error) is None


def test_a_failure_repeats_no_field_and_no_empty_fact() -> None:
    failure = CommandFailedError("radius_m: must be above 0", reason="RADIUS", field="radius_m")
    assert failure.told() == "radius_m: must be above 0 (RADIUS)"
    assert (
        failure.as_json()
        == '{"reason": "RADIUS", "message": "radius_m: must be above 0", "field": "radius_m"}'
    )
