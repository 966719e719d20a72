"""`nearcast up` as a user meets it: started, asked, acted on, and asked again."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import Up, answer, eventually, nearcast
from tests.services import open_directory

CAFE = {"item_id": "cafe", "locations": [{"latitude": -33.9, "longitude": 151.2}], "title": "Café"}
BAR = {"itemId": "bar", "locations": [{"latitude": -33.901, "longitude": 151.2}], "title": "Bar"}
NOWHERE = {"item_id": "nowhere", "locations": [{"latitude": 99, "longitude": 0}]}


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """One running instance, without a town."""
    with open_directory() as directory:
        running = Up(directory / "state", "--no-town", "--grpc-port", "0")
        try:
            yield running.ready()
        finally:
            running.close()


@pytest.fixture(scope="module")
def stocked(up: Up) -> Up:
    """With two items that can be found."""
    lines = "\n".join(json.dumps(item, ensure_ascii=False) for item in (CAFE, BAR))
    done = answer("items", "import", "-", "--state", up.state, given=lines)
    assert (done["imported"], done["refused"]) == (2, [])
    eventually(lambda: len(recommended(up)["items"]) == 2)
    return up


def recommended(up: Up, *options: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = answer(
        "recommend", "-33.9", "151.2", "--state", up.state, *options
    )
    return found


def count(up: Up, item_id: str, kind: str) -> int:
    """How often it is counted by now; 64-bit numbers are text in JSON."""
    items = answer("stats", item_id, "--state", up.state)["items"]
    return sum(int(entry["count"]) for item in items for entry in item["kinds"] if entry["kind"] == kind)


def record_once(up: Up, item_id: str, kind: str) -> str:
    """The reward token by which one event was acknowledged."""
    items = recommended(up)["items"]
    token = next(item["rewardToken"] for item in items if item["itemId"] == item_id)
    result = answer("record", kind, "--token", token, "--state", up.state)
    assert result["results"][0]["learned"] is True
    assert result["durability"] == "DURABILITY_EVERYSEC"
    return token


def test_an_act_is_counted_once_however_often_it_is_recorded(stocked: Up) -> None:
    before = count(stocked, "cafe", "save")
    token = record_once(stocked, "cafe", "save")
    for _ in range(2):
        answer("record", "save", "--token", token, "--state", stocked.state)
    eventually(lambda: count(stocked, "cafe", "save") > before)
    record_once(stocked, "cafe", "apply")  # what is counted after it, proves that it was read
    eventually(lambda: count(stocked, "cafe", "apply") >= 1)
    assert count(stocked, "cafe", "save") == before + 1


def test_the_answer_says_how_to_act_on_it(stocked: Up) -> None:
    shown = nearcast("recommend", "-33.9", "151.2", "--limit", "1", "--state", stocked.state)
    assert shown.returncode == 0, shown.stderr
    hint = next(line.split() for line in shown.stdout.splitlines() if "nearcast record" in line)
    done = nearcast(*hint[1:], "--state", stocked.state)
    assert (done.returncode, done.stderr) == (0, "")
    assert "will be learned from" in done.stdout


def test_nearby_is_nearest_first(stocked: Up) -> None:
    near = answer("nearby", "-33.9", "151.2", "--state", stocked.state)["items"]
    assert [item["itemId"] for item in near] == ["cafe", "bar"]
    assert near[0]["distanceM"] < 1 < near[1]["distanceM"] < 200


def test_an_export_can_be_imported_again(stocked: Up, tmp_path: Path) -> None:
    file = tmp_path / "items.ndjson"
    assert nearcast("items", "export", file, "--state", stocked.state).returncode == 0
    exported = file.read_text("utf-8")
    assert {json.loads(line)["itemId"] for line in exported.splitlines()} >= {"cafe", "bar"}
    assert nearcast("items", "delete", "bar", "--state", stocked.state).returncode == 0
    assert answer("items", "import", file, "--state", stocked.state)["refused"] == []
    assert nearcast("items", "export", "--state", stocked.state).stdout == exported
    eventually(lambda: len(recommended(stocked)["items"]) == 2)


def test_bad_rows_are_listed_and_the_others_imported(stocked: Up) -> None:
    lines = "\n".join([json.dumps(CAFE), "no json", json.dumps(NOWHERE)])
    done = nearcast("items", "import", "-", "--state", stocked.state, "--json", given=lines)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["imported"] == 1
    assert [(row["line"], row["field"], row["reason"]) for row in report["refused"]] == [
        (2, "", "MALFORMED_MESSAGE"),
        (3, "locations[0].latitude", "LATITUDE_OUT_OF_RANGE"),
    ]


def test_a_line_that_is_no_item_is_refused_without_a_gap_in_what_is_said(stocked: Up) -> None:
    done = nearcast("items", "import", "-", "--state", stocked.state, given="[1]\n")
    assert done.returncode == 1
    assert "  line 1: MALFORMED_MESSAGE: must be one JSON object per line" in done.stderr


def test_a_refusal_names_reason_and_field(stocked: Up) -> None:
    done = nearcast("recommend", "99", "0", "--json", "--state", stocked.state)
    assert (done.returncode, done.stdout) == (1, "")
    told = json.loads(done.stderr)
    assert (told["reason"], told["field"]) == ("LATITUDE_OUT_OF_RANGE", "location.latitude")


def test_a_wrong_key_is_told_without_a_trace(stocked: Up) -> None:
    address = stocked.instance()["address"]
    done = nearcast("stats", "--address", address, "--api-key", "nc_wrong")
    assert done.returncode == 1
    assert "INVALID_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environment_names_server_and_key(stocked: Up, tmp_path: Path) -> None:
    facts = stocked.instance()
    settings = {"NEARCAST_ADDRESS": facts["address"], "NEARCAST_API_KEY": facts["api_key"]}
    done = nearcast("stats", "--state", tmp_path / "none", settings=settings)
    assert done.returncode == 0, done.stderr


def test_the_record_of_the_instance_is_for_its_owner_only(up: Up) -> None:
    assert (up.state / "instance.json").stat().st_mode & 0o777 == 0o600
    assert (up.state / "dev.key").stat().st_mode & 0o777 == 0o600


def test_a_second_one_on_the_same_state_says_whom_to_stop(up: Up) -> None:
    done = nearcast("up", "--no-town", "--state", up.state)
    assert done.returncode == 1
    assert f"in use by process {up.process.pid}" in done.stderr
    assert "--state DIR" in done.stderr


def test_a_port_in_use_is_told_before_anything_is_made(up: Up, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = nearcast("up", "--no-town", "--state", tmp_path / "other", "--grpc-port", str(port))
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "--grpc-port" in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("nearcast_cli keeper", "keeper"),
        ("nearcast_cli serve", "gateway"),
        ("valkey-server", "Redis"),
        ("bin/postgres", "Postgres"),
    ],
)
def test_a_killed_process_comes_back_and_nothing_acknowledged_is_lost(
    stocked: Up, words: str, name: str
) -> None:
    """Events are acknowledged before and, as soon as one can ask again, after the kill."""
    before = count(stocked, "bar", "view")
    record_once(stocked, "bar", "view")
    os.kill(stocked.child(words), signal.SIGKILL)
    stocked.read_until(f"{name} runs again")
    eventually(lambda: nearcast("recommend", "-33.9", "151.2", "--state", stocked.state).returncode == 0)
    record_once(stocked, "bar", "view")
    eventually(lambda: nearcast("stats", "bar", "--state", stocked.state).returncode == 0)
    eventually(lambda: count(stocked, "bar", "view") >= before + 2)
    assert count(stocked, "bar", "view") == before + 2
