"""The front door: what is told, where, and with which exit status."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nearcast_cli.commands.test import in_parallel
from nearcast_cli.main import COMMANDS, run


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    code = (
        "import sys; from nearcast_cli.main import run; run(['--help']);"
        "slow = {'grpc', 'google', 'numpy', 'asyncpg', 'redis', 'rich', 'msgspec'} & set(sys.modules);"
        "sys.exit(f'imported {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in set(COMMANDS) - {"town"}:
        assert f"\n  {name} " in done.stdout
    assert "\n  town " not in done.stdout


def test_an_unknown_command_is_misunderstood(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bogus"]) == 2
    assert "No such command 'bogus'" in capsys.readouterr().err


def test_a_failure_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["stats", "--state", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"nearcast: the instance of {tmp_path} does not run")
    assert "nearcast up" in told.err


def test_with_json_a_failure_is_an_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["stats", "--json", "--state", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert json.loads(told.err)["reason"] == "NO_SERVER"


def test_with_json_a_misunderstanding_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "view", "--json"]) == 2
    told = json.loads(capsys.readouterr().err)
    assert told["reason"] == "USAGE"
    assert "--token" in told["message"]


def test_nothing_listening_names_the_address_and_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stats", "--address", "127.0.0.1:1", "--api-key", "nc_key"]) == 1
    told = capsys.readouterr().err
    assert "nothing answers at 127.0.0.1:1" in told
    assert "nearcast up" in told


def test_a_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["items", "import", str(tmp_path / "none.ndjson")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_told_nothing() -> None:
    reading = subprocess.Popen(
        [sys.executable, "-m", "nearcast_cli", "config", "show", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert reading.stdout
    reading.stdout.close()
    assert reading.stderr
    told = reading.stderr.read()
    reading.stderr.close()
    assert (reading.wait(30), told) == (1, "")


def test_version_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"].count(".") == 2
    assert facts["python"] == sys.version.split()[0]


@pytest.mark.parametrize(("cores", "workers"), [(1, 2), (3, 3), (64, 4)])
def test_all_tests_run_in_parallel_a_file_in_one_worker(cores: int, workers: int) -> None:
    told = in_parallel(cores)
    assert told == (f"--numprocesses={workers}", "--dist=loadfile", "--no-loadscope-reorder")


def test_test_hands_its_arguments_to_pytest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nearcast_cli", "test", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("pytest ")
