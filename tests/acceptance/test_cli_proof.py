"""What an operator asks of the counts: are they true, is anything lost, make them again, take them out."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nearcast_config.policytext import default_policy
from nearcast_store import redis_keys
from nearcast_store.log.codec import encode_entry
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.acceptance.running import answer, nearcast
from tests.integration.counting_houses import CountingHouse, counting_house
from tests.unit.statskeeper.entries import application, entry, impression, unattributed, view

STREAM = redis_keys.log(1, 0)


@pytest.fixture
async def house(database: str, redis_url: str) -> AsyncIterator[CountingHouse]:
    """Seven reported events of one tenant, folded, and bytes that nobody can read."""
    async with counting_house(database, redis_url) as opened:
        await PostgresPolicyStore(opened.pool).apply(1, default_policy(), "test", "")
        await opened.append(entry(*(impression(number) for number in range(1, 4)), view(1), application(2)))
        await opened.append(entry(unattributed(5), view(9)))
        await opened.client.xadd(STREAM, {"e": b"\xff\xff"})
        await opened.fold()
        yield opened


@pytest.fixture
def where(house: CountingHouse) -> tuple[str, str]:
    return ("--postgres-dsn", house.dsn)


@pytest.fixture
def both(where: tuple[str, str], redis_url: str) -> tuple[str, ...]:
    return (*where, "--redis-url", redis_url)


async def test_one_corrupted_counter_ends_verify_stats_with_1_and_a_rebuild_mends_it(
    house: CountingHouse, where: tuple[str, str]
) -> None:
    clean = answer("verify-stats", *where)
    assert clean["clean"]
    assert (clean["tenants"][0]["events"], clean["tenants"][0]["implied"]) == (8, 1)
    await house.outsider.execute(
        "update item_counts set count = count + 1"
        " where ctid = (select ctid from item_counts where posting = 10 and kind = 2 limit 1)"
    )
    await house.outsider.execute(
        "insert into postings (tenant_id, posting, item_id, born_at) values (1, 10, 'cafe', now())"
    )
    told = nearcast("verify-stats", *where)
    assert told.returncode == 1
    assert "item_counts: tenant=dev posting=10 (cafe) market=0 kind=2 (view) " in told.stdout
    assert "nearcast rebuild stats" in told.stdout
    document = json.loads(nearcast("verify-stats", "--json", *where).stdout)
    assert (document["clean"], document["found"]) == (False, 1)
    (difference,) = document["differences"]
    assert difference["names"]["posting"] == "cafe"
    assert difference["names"]["kind"] == "view"
    assert difference["stored"]["count"] == difference["recounted"]["count"] + 1
    assert answer("rebuild", "stats", "--tenant", "dev", *where)["itemCounts"] == 1
    assert nearcast("verify-stats", *where).returncode == 0


async def test_log_status_ends_with_1_when_an_acknowledged_event_is_gone(
    house: CountingHouse, both: tuple[str, ...]
) -> None:
    shard, *_ = answer("log", "status", *both)["shards"]
    told = {name: shard[name] for name in ("accepted", "counted", "duplicate", "dead", "inFlight", "missing")}
    assert told == {"accepted": 8, "counted": 7, "duplicate": 0, "dead": 1, "inFlight": 0, "missing": 0}
    assert shard["foldedInAll"]["accepted"] == 8
    await house.outsider.execute("delete from events where kind = 4")
    done = nearcast("log", "status", *both)
    assert done.returncode == 1
    assert "1 events are missing" in done.stdout


async def test_log_status_says_how_the_log_presses_and_what_gateways_make_of_it(
    house: CountingHouse, both: tuple[str, ...]
) -> None:
    calm = answer("log", "status", *both)["admission"]
    assert (calm["level"], calm["cause"], calm["advisedEvents"], calm["backlogS"]) == ("open", "", 500, 0.0)
    assert "Admission is open. Backlog 0.0 s, memory" in nearcast("log", "status", *both).stdout
    hour_ago_ms = int(time.time() * 1000) - 3_600_000
    old = entry(view(11), at_s=hour_ago_ms / 1000)
    await house.client.xadd(redis_keys.log(1, 1), {"e": encode_entry(old)}, id=f"{hour_ago_ms}-0")
    pressed = answer("log", "status", *both)["admission"]
    assert (pressed["level"], pressed["cause"]) == ("narrow", "backlog")
    assert 400 < pressed["advisedEvents"] < 500
    assert 3600 <= pressed["backlogS"] < 7200
    closing = {"NEARCAST_ADMISSION__CLOSE_BACKLOG_S": "3000"}
    told = nearcast("log", "status", *both, settings=closing)
    assert "Admission is closed (backlog): events are sent away with INGEST_OVERLOADED." in told.stdout


async def test_rewind_names_the_shards_and_refuses_what_the_log_has_forgotten(
    house: CountingHouse, both: tuple[str, ...]
) -> None:
    rewound = answer("keeper", "rewind", "--to", "1h", *both)
    assert [shard["shard"] for shard in rewound["shards"]] == [0]
    await house.fold()
    assert answer("verify-stats", *both[:2])["clean"]
    await house.client.xtrim(STREAM, maxlen=1, approximate=False)
    refused = nearcast("keeper", "rewind", "--to", "3d", "--json", *both)
    assert refused.returncode == 1
    failure = json.loads(refused.stderr)
    assert failure["reason"] == "LOG_TOO_SHORT"
    assert nearcast("keeper", "rewind", "--to", failure["reachesBackTo"], *both).returncode == 0
    assert nearcast("keeper", "rewind", "--to", "yesterday", *both).returncode == 2


async def test_events_are_exported_one_per_line(
    house: CountingHouse, where: tuple[str, str], tmp_path: Path
) -> None:
    await house.outsider.execute(
        "insert into postings (tenant_id, posting, item_id, born_at) values (1, 10, 'cafe', now())"
    )
    file = tmp_path / "events.ndjson"
    assert nearcast("events", "export", file, *where).returncode == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 8
    times = [line["time"] for line in lines]
    assert times == sorted(times)
    assert all(datetime.fromisoformat(time).tzinfo == UTC for time in times)
    (implied,) = [line for line in lines if line["implied"]]
    assert (implied["kind"], implied["posting"], implied["tenant"]) == ("impression", "10", "dev")
    (unlearned,) = [line for line in lines if not line["learned"]]
    assert unlearned["unlearnedReason"] == "TOKEN_MISSING"
    assert implied["itemId"] == "cafe"
    views = nearcast("events", "export", "--kind", "view", "--since", times[0], *where)
    assert views.stdout.count("\n") == 3
    assert nearcast("events", "export", "--kind", "purchase", *where).returncode == 2
    assert nearcast("events", "export", "--until", times[0], *where).stdout == ""


def test_a_dead_letter_is_listed_shown_refused_and_discarded(
    house: CountingHouse, where: tuple[str, str], both: tuple[str, ...]
) -> None:
    (letter,) = answer("dead-letters", "list", *where)["letters"]
    number = str(letter["id"])
    assert letter["reason"] == "UNDECODABLE"
    assert letter["since"].endswith("Z")
    assert answer("dead-letters", "show", number, *where)["bytes"] == "ffff"
    refused = nearcast("dead-letters", "retry", "--reason", "UNDECODABLE", *both)
    assert refused.returncode == 1
    assert "LETTER_FAULTY" in refused.stderr
    discarded = answer("dead-letters", "discard", number, "--note", "noise", *where)
    assert discarded == {"discarded": [letter["id"]], "refused": []}
    assert answer("dead-letters", "list", *where) == {"letters": []}
    (kept,) = answer("dead-letters", "list", "--which", "discarded", *where)["letters"]
    assert kept["note"] == "noise"
    unknown = nearcast("dead-letters", "show", "99", "--json", *where)
    assert json.loads(unknown.stderr)["reason"] == "LETTER_UNKNOWN"
    assert nearcast("dead-letters", "retry", *both).returncode == 2


async def test_a_letter_is_retried_by_its_number(house: CountingHouse, both: tuple[str, ...]) -> None:
    """It was refused by a database that has been put right since."""
    raw = await house.client.xrange(STREAM, count=1)
    assert raw
    number = await house.outsider.fetchval(
        "insert into dead_letters (tenant_id, shard, entry_id, reason, detail, entry)"
        " values (1, 0, '1-0', 'STORE_REFUSED', '', $1) returning dead_letter_id",
        next(iter((raw[0][1] or {}).values())),
    )
    assert answer("dead-letters", "retry", str(number), *both) == {"retried": [number], "refused": []}
    await house.fold()
    assert await house.client.xlen(STREAM) >= 3
    assert await house.outsider.fetchval("select count(*) from events") == 8
