"""The embedded servers as a user meets them: started, killed, broken, used twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from nearcast_cli.embedded import EmbeddedServers, Endpoints, running_instance
from nearcast_cli.embedded.errors import (
    BrokenDataError,
    ServerFailedError,
    StateInUseError,
    VersionMismatchError,
)
from nearcast_cli.embedded.state import take_lock
from tests.services import open_directory

QUICK = {"fsync": "off"}
ANOTHER_NEARCAST = """
import sys
from pathlib import Path
from nearcast_cli.embedded import EmbeddedServers
with EmbeddedServers(Path(sys.argv[1])) as endpoints:
    print(endpoints.postgres_dsn, endpoints.redis_url, flush=True)
    sys.stdin.read()
"""


async def execute(endpoints: Endpoints, *statements: str) -> None:
    connection = await asyncpg.connect(endpoints.postgres_dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def fetch(endpoints: Endpoints, query: str) -> object:
    connection = await asyncpg.connect(endpoints.postgres_dsn)
    value = await connection.fetchval(query)
    await connection.close()
    return value


def start_another(state_dir: Path) -> tuple["subprocess.Popen[str]", Endpoints]:
    process = subprocess.Popen(
        [sys.executable, "-c", ANOTHER_NEARCAST, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    dsn, url = process.stdout.readline().split()
    return process, Endpoints(dsn, url)


def kill(process: "subprocess.Popen[str]", state_dir: Path) -> None:
    """End it without warning, and return once its servers are gone too."""
    process.send_signal(signal.SIGKILL)
    end(process)
    for guard in ("postgres.lock", "redis.lock"):
        with (state_dir / guard).open() as file:
            assert take_lock(file, patience_s=10), f"a server still holds {guard}"


def forget_sockets(endpoints: Endpoints) -> None:
    """Remove what a killed instance leaves in the temporary directory and its next start would use again."""
    shutil.rmtree(endpoints.postgres_dsn.partition("host=")[2])
    shutil.rmtree(Path(endpoints.redis_url.removeprefix("unix://")).parent)


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def embedded() -> Iterator[Endpoints]:
    """Servers as a user gets them, whatever the other tests run on."""
    with open_directory() as directory, EmbeddedServers(directory / "state") as endpoints:
        yield endpoints


async def test_both_servers_answer_and_keep_their_data_over_a_restart(state_dir: Path) -> None:
    with EmbeddedServers(state_dir) as endpoints, redis.Redis.from_url(endpoints.redis_url) as client:
        await execute(endpoints, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        client.set("kept", "seven")
    with EmbeddedServers(state_dir) as endpoints, redis.Redis.from_url(endpoints.redis_url) as client:
        assert await fetch(endpoints, "SELECT n FROM kept") == 7
        assert client.get("kept") == b"seven"


async def test_postgres_is_durable_and_has_no_port(embedded: Endpoints) -> None:
    assert await fetch(embedded, "SHOW synchronous_commit") == "on"
    assert await fetch(embedded, "SHOW fsync") == "on"
    assert await fetch(embedded, "SHOW listen_addresses") == ""
    assert await fetch(embedded, "SHOW shared_buffers") == "64MB"
    ordered = await fetch(embedded, "SELECT string_agg(c, '' ORDER BY c) FROM (VALUES ('a'), ('B')) t(c)")
    assert ordered == "Ba", "the order must not depend on the machine's locale"


def test_redis_syncs_every_second_evicts_nothing_and_has_no_port(embedded: Endpoints) -> None:
    with redis.Redis.from_url(embedded.redis_url, decode_responses=True) as client:
        settings = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "port")
        assert int(client.config_get("maxmemory")["maxmemory"]) > 1 << 27
    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "port": "0",
    }


def test_only_their_owner_can_reach_the_sockets(embedded: Endpoints) -> None:
    for directory in (
        embedded.postgres_dsn.partition("host=")[2],
        embedded.redis_url.removeprefix("unix://"),
    ):
        path = Path(directory) if Path(directory).is_dir() else Path(directory).parent
        assert path.stat().st_mode & 0o777 == 0o700


def test_given_endpoints_are_used_and_nothing_is_started(state_dir: Path) -> None:
    dsn, url = "postgresql://db.example/nearcast", "redis://cache.example:6379/0"
    with EmbeddedServers(state_dir, postgres_dsn=dsn, redis_url=url) as endpoints:
        assert endpoints == Endpoints(dsn, url)
        assert not (state_dir / "postgres").exists()
        instance = running_instance(state_dir)
        assert instance is not None
        assert instance.postgres_dsn == dsn


async def test_killed_without_warning_it_leaves_nothing_running_and_loses_nothing(state_dir: Path) -> None:
    process, endpoints = start_another(state_dir)
    await execute(endpoints, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
    with redis.Redis.from_url(endpoints.redis_url) as client:
        client.set("kept", "seven")
    kill(process, state_dir)
    with EmbeddedServers(state_dir) as endpoints, redis.Redis.from_url(endpoints.redis_url) as client:
        assert await fetch(endpoints, "SELECT n FROM kept") == 7
        assert client.get("kept") == b"seven"


def test_second_instance_is_told_who_holds_the_state(state_dir: Path) -> None:
    process, _ = start_another(state_dir)
    record = state_dir / "instance.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "address": "127.0.0.1:50051"}))
    with pytest.raises(StateInUseError) as caught:
        EmbeddedServers(state_dir).start()
    end(process)
    assert f"in use by process {process.pid} serving 127.0.0.1:50051" in str(caught.value)
    assert "--state DIR" in str(caught.value)


def test_a_stopped_instance_is_not_found_by_clients(state_dir: Path) -> None:
    assert running_instance(state_dir) is None
    process, endpoints = start_another(state_dir)
    found = running_instance(state_dir)
    assert found is not None
    assert (found.pid, found.redis_url) == (process.pid, endpoints.redis_url)
    kill(process, state_dir)
    assert running_instance(state_dir) is None
    forget_sockets(endpoints)


async def test_revive_restarts_exactly_the_server_that_died(state_dir: Path) -> None:
    servers = EmbeddedServers(state_dir, postgres_settings=QUICK)
    with servers as endpoints:
        await execute(endpoints, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        assert servers.revive() == ()
        os.kill(int((state_dir / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        servers.running("Postgres").wait_ended(10)
        assert servers.dead() == ("Postgres",)
        assert servers.revive() == ("Postgres",)
        assert servers.is_alive()
        assert await fetch(endpoints, "SELECT n FROM kept") == 7


def test_revive_makes_a_socket_that_was_cleaned_away_again(state_dir: Path) -> None:
    servers = EmbeddedServers(state_dir, postgres_dsn="postgresql://db.example/nearcast")
    with servers as endpoints:
        Path(endpoints.redis_url.removeprefix("unix://")).unlink()
        assert servers.revive() == ("Redis",)
        with redis.Redis.from_url(endpoints.redis_url) as client:
            assert client.ping()


def test_damaged_postgres_data_names_the_directory_the_log_and_the_remedy(state_dir: Path) -> None:
    with EmbeddedServers(state_dir, postgres_settings=QUICK):
        pass
    (state_dir / "postgres" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(ServerFailedError) as caught:
        EmbeddedServers(state_dir).start()
    message = str(caught.value)
    assert f"did not start with the data in {(state_dir / 'postgres').resolve()}" in message
    assert "pg_control" in message
    assert f"mv '{state_dir / 'postgres'}'" in message


def test_damaged_redis_data_names_the_directory_the_log_and_the_remedy(state_dir: Path) -> None:
    with EmbeddedServers(state_dir) as endpoints, redis.Redis.from_url(endpoints.redis_url) as client:
        client.mset({f"key:{number}": number for number in range(100)})
    log = next((state_dir / "redis" / "appendonlydir").glob("*.incr.aof"))
    log.write_bytes(b"*3\r\nnonsense\r\n" + log.read_bytes())
    with pytest.raises(ServerFailedError) as caught:
        EmbeddedServers(state_dir).start()
    message = str(caught.value)
    assert f"did not start with the data in {state_dir / 'redis'}" in message
    assert "append only file" in message
    assert "nearcast rebuild redis" in message


def test_a_failed_start_lets_go_of_the_state(state_dir: Path) -> None:
    (state_dir / "postgres").mkdir(parents=True)
    with pytest.raises(BrokenDataError, match="PG_VERSION"):
        EmbeddedServers(state_dir).start()
    (state_dir / "postgres").rmdir()
    with EmbeddedServers(state_dir, postgres_settings=QUICK) as endpoints:
        assert endpoints.postgres_dsn


def test_data_of_another_postgres_version_is_refused_with_the_way_over(state_dir: Path) -> None:
    with EmbeddedServers(state_dir, postgres_settings=QUICK):
        pass
    (state_dir / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(VersionMismatchError, match=r"made by Postgres 14.*pg_dumpall"):
        EmbeddedServers(state_dir).start()


def test_a_pid_that_another_program_has_now_does_not_stop_postgres(state_dir: Path) -> None:
    with EmbeddedServers(state_dir, postgres_settings=QUICK):
        pass
    stale = state_dir / "postgres" / "postmaster.pid"
    stale.write_text(f"{os.getppid()}\n{state_dir / 'postgres'}\n1790000000\n5432\n/tmp\n\n  0 0\n")
    with EmbeddedServers(state_dir, postgres_settings=QUICK) as endpoints:
        assert endpoints.postgres_dsn
