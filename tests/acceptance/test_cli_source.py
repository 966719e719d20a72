"""What an operator asks of a customer's own table of behaviour, and a keeper that reads it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nearcast_config.loading import load_process
from nearcast_statskeeper.app import run_keeper
from tests.acceptance.running import answer, nearcast
from tests.gateways import eventually
from tests.integration.behaviour_tables import Shop, open_shop

TIMEOUT_S = 60.0
SETTINGS = """\
[postgres]
dsn = "{dsn}"
[redis]
geo_url = "{redis_url}"
[log]
shards = 2
durability = "memory"
[keeper]
metrics_port = 0
[preflight]
enforce = false
[keeper.source]
dsn = "{customer}"
tenant = "{tenant}"
table = "User Acts"
kinds = "opened=view"
interval_s = 0.1
columns = {{ time = "at", kind = "what", item = "{item}", value = "worth" }}
"""


@pytest.fixture
async def shop(empty_database: str, database: str, redis_url: str) -> AsyncIterator[Shop]:
    async with open_shop(empty_database, database, redis_url) as opened:
        yield opened


@pytest.fixture
def settings(shop: Shop, redis_url: str, tmp_path: Path) -> Path:
    return written(shop, redis_url, tmp_path)


def written(shop: Shop, redis_url: str, folder: Path, tenant: str = "dev", item: str = "Item") -> Path:
    path = folder / f"{tenant}-{item}.toml"
    path.write_text(
        SETTINGS.format(dsn=shop.house.dsn, redis_url=redis_url, customer=shop.dsn, tenant=tenant, item=item),
        encoding="utf-8",
    )
    return path


@asynccontextmanager
async def keeper(settings: Path) -> AsyncIterator[None]:
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run_keeper(load_process(settings, {}), stop, ready.set))
    try:
        await asyncio.wait_for(ready.wait(), TIMEOUT_S)
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, TIMEOUT_S)


async def test_check_says_what_would_become_of_rows_and_records_nothing(shop: Shop, settings: Path) -> None:
    await shop.act("opened", Item="lamp")
    await shop.act("danced", ago_s=30)
    told = nearcast("keeper", "source", "check", "--config", str(settings))
    assert told.returncode == 1
    assert "Read by at (timestamptz) and id (int8)." in told.stdout
    document = json.loads(nearcast("keeper", "source", "check", "--json", "--config", str(settings)).stdout)
    danced, opened = document["rows"]
    assert (opened["kind"], opened["item"], opened["accepted"], opened["reason"]) == (
        "view",
        "lamp",
        True,
        "TOKEN_MISSING",
    )
    assert (danced["accepted"], danced["reason"]) == (False, "KIND_UNKNOWN")
    assert await shop.cursors.cursor(1, "source") is None
    assert await shop.counted() == 0


async def test_a_wrong_column_is_told_with_the_key_to_change(
    shop: Shop, redis_url: str, tmp_path: Path
) -> None:
    settings = written(shop, redis_url, tmp_path, item="Itm")
    told = nearcast("keeper", "source", "check", "--config", str(settings))
    assert told.returncode == 1
    assert "keeper.source.columns.item: the source has no column Itm; did you mean Item?" in told.stderr
    assert "Traceback" not in told.stderr


async def test_a_keeper_reads_the_table_and_tells_how_far_it_came(shop: Shop, settings: Path) -> None:
    for _ in range(20):
        await shop.act("opened", Item="lamp")
    await shop.act("danced")

    async def seen() -> tuple[int, str]:
        row = await shop.house.outsider.fetchrow("select count(*), max(item_id) from events")
        assert row is not None
        return row[0], row[1]

    async with keeper(settings):
        await eventually(seen, TIMEOUT_S, lambda found: found == (20, "lamp"))
        await shop.act("opened", Item="lamp")
        await eventually(seen, TIMEOUT_S, lambda found: found == (21, "lamp"))
    status = answer("keeper", "source", "status", "--config", str(settings))
    assert (status["accepted"], status["refused"], status["trouble"]) == (21, {"KIND_UNKNOWN": 1}, "")
    (reject,) = answer("keeper", "source", "rejects", "--config", str(settings))["rejects"]
    assert reject["reason"] == "KIND_UNKNOWN"
    assert "KIND_UNKNOWN" in nearcast("keeper", "source", "rejects", "--config", str(settings)).stdout


async def test_a_source_of_nobody_is_told_and_stops_no_keeper(
    shop: Shop, redis_url: str, tmp_path: Path
) -> None:
    settings = written(shop, redis_url, tmp_path, tenant="nobody")
    await shop.act("opened")
    async with keeper(settings):
        told = nearcast("keeper", "source", "status", "--config", str(settings))
    assert told.returncode == 1
    assert "keeper.source.tenant: there is no tenant nobody that is not suspended; known: dev" in told.stderr


def test_without_a_source_the_setting_is_named(database: str) -> None:
    told = nearcast("keeper", "source", "check", "--postgres-dsn", database, "--json")
    assert told.returncode == 1
    assert json.loads(told.stderr)["field"] == "keeper.source.dsn"
