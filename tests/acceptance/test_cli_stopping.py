"""How `nearcast up` ends, and that the next start finds everything again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nearcast_cli.embedded import Endpoints
from tests.acceptance.running import Up, alive, answer, eventually, nearcast

ITEM = json.dumps({"item_id": "kept", "locations": [{"latitude": 59.91, "longitude": 10.75}]})
SOON_S = 60.0


@pytest.fixture
def start(state_dir: Path) -> Iterator[Callable[..., Up]]:
    """Starts `up` on this test's own state directory; whatever is left of it is stopped."""
    started: list[Up] = []

    def begin(*arguments: str) -> Up:
        started.append(Up(state_dir, "--grpc-port", "0", *arguments))
        return started[-1].ready()

    yield begin
    for up in started:
        up.close()


def views(up: Up) -> int:
    items = answer("stats", "kept", "--state", up.state)["items"]
    return sum(int(entry["count"]) for item in items for entry in item["kinds"] if entry["kind"] == "view")


def test_ctrl_c_stops_everything_and_the_next_start_has_items_counts_and_key(
    start: Callable[..., Up],
) -> None:
    first = start("--no-town")
    key = first.instance()["api_key"]
    assert nearcast("items", "import", "-", "--state", first.state, given=ITEM).returncode == 0
    served = eventually(lambda: answer("recommend", "59.91", "10.75", "--state", first.state)["items"])
    answer("record", "view", "--token", served[0]["rewardToken"], "--state", first.state)
    eventually(lambda: views(first) == 1)
    processes = first.descendants()
    assert len(processes) >= 4
    assert first.interrupt() == 0
    assert "Stopped." in first.written
    assert not alive(processes)
    assert not (first.state / "instance.json").exists()

    second = start("--no-town")
    assert second.instance()["api_key"] == key
    assert views(second) == 1
    again = answer("recommend", "59.91", "10.75", "--state", second.state)["items"]
    assert [item["itemId"] for item in again] == ["kept"]


def test_killed_without_warning_it_leaves_nothing_running(start: Callable[..., Up]) -> None:
    up = start()
    processes = up.descendants()
    assert any("nearcast_cli town" in line for line in processes.values())
    up.kill()
    eventually(lambda: not alive(processes), SOON_S)
    told = nearcast("stats", "--state", up.state)
    assert told.returncode == 1
    assert "nearcast up" in told.stderr


def test_the_town_is_learned_from_on_servers_of_ones_own(
    start: Callable[..., Up], database: str, redis_url: str, servers: Endpoints
) -> None:
    up = start("--postgres-dsn", database, "--redis-url", redis_url)
    assert not (up.state / "postgres").exists()
    seen = eventually(
        lambda: int(next((t["count"] for t in answer("stats", "--state", up.state)["totals"]), "0")), SOON_S
    )
    assert seen > 0
    up.read_until("healthy")
    assert up.interrupt() == 0


def test_a_database_that_is_not_there_is_told(state_dir: Path, redis_url: str) -> None:
    nowhere = "postgresql://postgres@127.0.0.1:1/none"
    done = nearcast(
        "up", "--state", state_dir, "--grpc-port", "0", "--postgres-dsn", nowhere, "--redis-url", redis_url
    )
    assert done.returncode == 1
    assert "Postgres does not answer" in done.stderr
    assert "--postgres-dsn" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_redis_that_is_not_there_is_told(state_dir: Path, database: str) -> None:
    nowhere = "redis://:secret@127.0.0.1:1/0"
    done = nearcast(
        "up", "--state", state_dir, "--grpc-port", "0", "--postgres-dsn", database, "--redis-url", nowhere
    )
    assert done.returncode == 1
    assert "--redis-url" in done.stderr
    assert "secret" not in done.stderr


def test_broken_data_is_told_with_the_way_out(state_dir: Path) -> None:
    (state_dir / "postgres").mkdir(parents=True)
    state_dir.chmod(0o711)
    (state_dir / "postgres" / "rubbish").write_text("")
    done = nearcast("up", "--no-town", "--state", state_dir, "--grpc-port", "0")
    assert done.returncode == 1
    assert f"mv '{state_dir}/postgres'" in done.stderr
    assert "Traceback" not in done.stderr
