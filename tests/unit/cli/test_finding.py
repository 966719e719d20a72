"""Where a command finds its server and its database."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nearcast_cli.embedded import Instance, StateDirectory, write_instance
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, Server, Target

FACTS = Instance(
    pid=os.getpid(),
    started_at="2026-01-01T00:00:00+00:00",
    postgres_dsn="postgresql://instance/db",
    redis_url="redis://instance/0",
    address="127.0.0.1:50051",
    api_key="nc_instance",
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory that is held, with the record of what runs on it."""
    directory = StateDirectory(tmp_path / "state")
    directory.take()
    write_instance(directory, FACTS)
    yield directory.path
    directory.release()


def test_the_running_instance_is_found(state: Path) -> None:
    assert Server(None, None, state).find() == Target("127.0.0.1:50051", "nc_instance")


def test_what_is_named_wins(state: Path) -> None:
    assert Server("other:1", "nc_mine", state).find() == Target("other:1", "nc_mine")
    assert Server(None, "nc_mine", state).find() == Target("127.0.0.1:50051", "nc_mine")
    assert Server("127.0.0.1:50051", None, state).find() == Target("127.0.0.1:50051", "nc_instance")


def test_the_key_of_the_instance_is_never_shown_to_another_server(state: Path) -> None:
    with pytest.raises(CommandFailedError, match="no key for other:1"):
        Server("other:1", None, state).find()


def test_an_instance_that_has_ended_is_not_found(state: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    (left / "instance.json").write_bytes((state / "instance.json").read_bytes())
    with pytest.raises(CommandFailedError, match="does not run"):
        Server(None, None, left).find()


def test_an_instance_without_an_open_door_is_starting(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "state")
    directory.take()
    write_instance(
        directory, Instance(pid=1, started_at="", postgres_dsn="postgresql://i/d", redis_url="redis://i/0")
    )
    try:
        with pytest.raises(CommandFailedError, match="is still starting"):
            Server(None, None, directory.path).find()
    finally:
        directory.release()


def test_preflight_knows_which_stores_are_of_a_running_up(state: Path) -> None:
    database = Database(None, None, state)
    assert database.process({}).preflight.state == ""
    write_instance(StateDirectory(state), msgspec.structs.replace(FACTS, runs_stores=True))
    assert database.process({}).preflight.state == str(state)
    assert database.process({"redis.geo_url": "redis://mine/0"}).preflight.state == ""


def test_the_database_is_found_by_flag_then_environment_then_file_then_instance(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "nearcast.toml"
    file.write_text('[postgres]\ndsn = "postgresql://file/db"\n')
    assert Database(None, None, state).find() == "postgresql://instance/db"
    assert Database(None, file, state).find() == "postgresql://file/db"
    monkeypatch.setenv("NEARCAST_POSTGRES__DSN", "postgresql://environment/db")
    assert Database(None, file, state).find() == "postgresql://environment/db"
    assert Database("postgresql://flag/db", file, state).find() == "postgresql://flag/db"


def test_no_database_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="no database is named") as caught:
        Database(None, None, tmp_path).find()
    assert "--postgres-dsn" in caught.value.advice
