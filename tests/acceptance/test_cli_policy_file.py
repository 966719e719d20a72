"""The [policy] of a settings file: a tenant's first revision, and afterwards only by `policy apply`."""

import asyncio
import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.running import COMMAND, Up, answer, environment, eventually, nearcast

PROCESSES = [("serve", "gateway.ready"), ("keeper", "keeper.ready")]
PORTS = "[gateway]\ngrpc_port = 0\nmetrics_port = 0\n[keeper]\nmetrics_port = 0\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "nearcast.toml", 0.3)


def write(file: Path, share: float) -> Path:
    file.write_text(f"{PORTS}[policy.exploration]\nshare = {share}\n")
    return file


def shares(database: str, tenant: str) -> list[float]:
    """What every revision of the tenant says; asking nearcast itself would make the first one."""

    async def read() -> list[str]:
        connection = await asyncpg.connect(database)
        try:
            rows = await connection.fetch(
                "select body from policy_revisions join tenants using (tenant_id)"
                " where slug = $1 order by revision",
                tenant,
            )
        finally:
            await connection.close()
        return [row["body"] for row in rows]

    return [json.loads(body)["exploration"]["share"] for body in asyncio.run(read())]


def has_shares(database: str, tenant: str, wanted: list[float]) -> bool:
    return shares(database, tenant) == wanted


@contextmanager
def running(until: str, *arguments: str | Path) -> Iterator[str]:
    """One of our processes; what it logged up to the happening."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        logged = ""
        while until not in logged:
            line = process.stderr.readline()
            assert line, f"ended before {until}:\n{logged}"
            logged += line
        yield logged
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.mark.parametrize(("command", "ready"), PROCESSES)
def test_a_tenant_without_a_policy_is_given_the_one_of_the_file(
    command: str, ready: str, file: Path, database: str, redis_url: str
) -> None:
    where = ("--config", file, "--postgres-dsn", database, "--redis-url", redis_url)
    answer("keys", "create", "--tenant", "early", "--postgres-dsn", database)
    with running(ready, command, *where) as logged:
        assert "policy.file_not_in_force" not in logged
        answer("keys", "create", "--tenant", "late", "--postgres-dsn", database)
        for tenant in ("early", "late"):
            eventually(partial(has_shares, database, tenant, [0.3]))


@pytest.mark.parametrize(("command", "ready"), PROCESSES)
def test_a_changed_file_changes_nothing_but_is_told_with_the_command_that_applies_it(
    command: str, ready: str, file: Path, database: str, redis_url: str
) -> None:
    answer("keys", "create", "--tenant", "shop", "--postgres-dsn", database)
    answer("policy", "apply", file, "--tenant", "shop", "--postgres-dsn", database)
    write(file, 0.4)
    with running(
        ready, command, "--config", file, "--postgres-dsn", database, "--redis-url", redis_url
    ) as log:
        (told,) = [line for line in log.splitlines() if "policy.file_not_in_force" in line]
    assert json.loads(told)["tenant"] == "shop"
    assert shares(database, "shop") == [0.3]
    words = shlex.split(json.loads(told)["advice"])
    assert nearcast(*words[words.index("policy") :], "--postgres-dsn", database).returncode == 0
    assert shares(database, "shop") == [0.3, 0.4]


@pytest.mark.parametrize("command", ["serve", "keeper"])
def test_a_misspelt_key_of_the_policy_stops_the_start(command: str, file: Path) -> None:
    file.write_text(file.read_text().replace("share", "shaer"))
    nowhere = ("--postgres-dsn", "postgresql://h/d", "--redis-url", "redis://127.0.0.1:1/0")
    done = nearcast(command, "--config", file, *nowhere)
    assert done.returncode == 1
    assert "policy.exploration.shaer" in done.stderr
    assert "share" in done.stderr.replace("shaer", "")


def test_showing_a_policy_that_nobody_set_makes_it_the_one_of_the_file(file: Path, database: str) -> None:
    answer("keys", "create", "--tenant", "shop", "--postgres-dsn", database)
    shown = answer("policy", "show", "--tenant", "shop", "--config", file, "--postgres-dsn", database)
    assert (shown["revision"], shown["policy"]["exploration"]["share"]) == (1, 0.3)


def test_up_takes_the_first_policy_from_its_file_and_tells_of_a_later_one(
    file: Path, database: str, redis_url: str, state_dir: Path
) -> None:
    where = ("--no-town", "--config", str(file), "--postgres-dsn", database, "--redis-url", redis_url)
    for share, told in ((0.3, False), (0.4, True)):
        write(file, share)
        up = Up(state_dir, *where)
        try:
            up.ready()
        finally:
            up.close()
        assert ("is not in force" in up.written) is told
        assert (f"policy apply {file} --state {state_dir}" in up.written) is told
        assert shares(database, "dev") == [0.3]
