"""nearcast config: every fault, and no secret."""

import json
from pathlib import Path

import pytest

from nearcast_cli.main import run

BAD = """
[gateway]
grpc_prot = 1
default_deadline_s = 100

[policy.exploration]
share = 2
"""


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.toml"
    file.write_text(BAD)
    return file


def test_check_lists_every_fault_with_range_and_nearest_name(
    bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "check", str(bad)]) == 1
    told = capsys.readouterr().err
    assert "did you mean gateway.grpc_port?" in told
    assert "a number in (0, 60] seconds, got 100" in told
    assert "policy.exploration.share" in told
    assert "3 problems" in told


def test_check_as_json(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", str(bad), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert {problem["key"] for problem in document["problems"]} == {
        "gateway.grpc_prot",
        "gateway.default_deadline_s",
        "policy.exploration.share",
    }


def test_check_of_good_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["config", "check"]) == 0
    assert capsys.readouterr().out == "the environment: good\n"
    monkeypatch.setenv("NEARCAST_GATEWAY__GRPC_PORT", "many")
    assert run(["config", "check"]) == 1
    assert "NEARCAST_GATEWAY__GRPC_PORT" in capsys.readouterr().err


def test_show_hides_secrets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "POSTGRES__DSN": "postgresql://u:hidden@h/d",
        "KEEPER__SOURCE__DSN": "postgresql://u:hidden@h/shop",
        "KEEPER__SOURCE__TENANT": "dev",
        "KEEPER__SOURCE__TABLE": "acts",
    }.items():
        monkeypatch.setenv(f"NEARCAST_{name}", value)
    assert run(["config", "show"]) == 0
    shown = capsys.readouterr().out
    assert "hidden" not in shown
    assert shown.count('dsn = "***"') == 2
    assert "grpc_port = 50051" in shown


def test_a_process_without_stores_says_how_to_name_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve"]) == 1
    assert "--postgres-dsn" in capsys.readouterr().err
