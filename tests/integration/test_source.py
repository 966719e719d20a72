"""A customer's own table of behaviour: every row counted once, whatever is late, wrong, cut or away."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest

from nearcast_config.source import SourceColumns
from nearcast_ledger.event import Durability, Entry
from nearcast_store.behaviour.cursors import PostgresSourceCursors, Step
from nearcast_store.behaviour.errors import SourceMisfitError, SourceUnavailableError
from nearcast_store.errors import LogUnavailableError
from nearcast_telemetry.metrics import render
from tests.integration.behaviour_tables import Shop, open_shop
from tests.integration.keeper_lines import postgres_line
from tests.services import database_name

ROWS = 2000


@pytest.fixture
async def shop(empty_database: str, database: str, redis_url: str) -> AsyncIterator[Shop]:
    async with open_shop(empty_database, database, redis_url) as opened:
        yield opened


@pytest.fixture
def lines_directory() -> Iterator[Path]:
    """Short enough for the path of a socket."""
    with TemporaryDirectory(prefix="nc-") as name:
        yield Path(name)


class UnpluggedError(Exception):
    """The keeper's process ended here."""


class UnpluggedCursors(PostgresSourceCursors):
    """The process ends once the log has a page, and before the cursor moves."""

    async def move(self, tenant_id: int, source: str, step: Step) -> Sequence[str]:
        raise UnpluggedError


class FullLog:
    """A log that takes so many entries, and then none."""

    def __init__(self, shop: Shop, room: int) -> None:
        self._shop = shop
        self.room = room

    async def append(self, entry: Entry) -> Durability:
        if self.room == 0:
            raise LogUnavailableError("the event log is full")
        self.room -= 1
        return await self._shop.house.log.append(entry)


async def fill(shop: Shop, rows: int) -> int:
    """Every fourth with a token; how many of them there are."""
    now = datetime.now(UTC)
    tokens = [shop.token(number) if number % 4 == 0 else None for number in range(rows)]
    await shop.customer.copy_records_to_table(
        "User Acts",
        records=[
            # Many share a time.
            (
                now - timedelta(seconds=3600 - number // 10),
                "opened",
                f"item-{number % 50}",
                f"u{number}",
                token,
            )
            for number, token in enumerate(tokens)
        ],
        columns=["at", "what", "Item", "person", "token"],
    )
    return sum(token is not None for token in tokens)


async def test_two_thousand_rows_are_counted_exactly_once(shop: Shop) -> None:
    learned = await fill(shop, ROWS)
    reader = shop.reader()
    assert await reader.run() == {"read": ROWS, "accepted": ROWS, "refused": 0}
    assert await reader.run() == {}
    await shop.reader(overlap_s=86400.0).run()  # another keeper reads everything again
    assert await shop.counted() == ROWS
    assert (
        await shop.house.outsider.fetchval("select count(*) from events where learned and not implied")
        == learned
    )
    assert (await shop.house.balance()).balanced
    assert await shop.rejected() == {}


async def test_rows_that_a_cut_lets_be_appended_twice_are_counted_once(shop: Shop) -> None:
    await fill(shop, 1000)
    with pytest.raises(UnpluggedError):
        await shop.reader(cursors=UnpluggedCursors(shop.house.pool)).run()
    assert await shop.cursors.cursor(1, "source") is None
    await shop.reader().run()
    assert await shop.counted() == 1000
    assert (await shop.house.balance()).duplicate == 300


async def test_a_run_that_is_cancelled_on_its_way_loses_and_doubles_nothing(shop: Shop) -> None:
    await fill(shop, 1000)
    moved = asyncio.Event()

    class Telling(PostgresSourceCursors):
        async def move(self, tenant_id: int, source: str, step: Step) -> Sequence[str]:
            reasons = await super().move(tenant_id, source, step)
            moved.set()
            return reasons

    running = asyncio.create_task(shop.reader(cursors=Telling(shop.house.pool)).run())
    await asyncio.wait_for(moved.wait(), 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await shop.reader().run()
    assert await shop.counted() == 1000


async def test_a_stop_ends_a_run_after_the_page_in_hand(shop: Shop) -> None:
    await fill(shop, 1000)
    asked = iter((True, True, False))

    async def go_on() -> bool:
        return next(asked)

    assert (await shop.reader(go_on=go_on).run())["read"] == 600
    assert (await shop.reader(overlap_s=0.0).run())["read"] == 400


async def test_a_row_committed_late_is_caught_within_the_overlap(shop: Shop) -> None:
    late = shop.customer.transaction()
    other = await asyncpg.connect(shop.dsn)
    try:
        await late.start()
        await shop.act(ago_s=100)
        await other.execute(
            """insert into "User Acts" ("at", what) values (now() - interval '10 s', 'opened')"""
        )
        reader = shop.reader()
        assert (await reader.run())["accepted"] == 1
        await late.commit()
        assert (await reader.run())["accepted"] == 1
    finally:
        await other.close()
    assert await shop.counted() == 2


async def test_rows_that_share_an_id_at_other_times_are_told_apart(shop: Shop) -> None:
    """As in a query over several tables, each with numbers of its own."""
    others = """select id, "at" - interval '1 s', what, "Item", person, guest, visit, token, worth, extra"""
    query = f'select * from "User Acts" union all {others} from "User Acts"'
    source = shop.reader(table="", query=query)
    await shop.act(ago_s=100)
    assert (await source.run())["accepted"] == 2
    await shop.act(ago_s=50)
    assert (await source.run())["accepted"] == 2
    assert await shop.counted() == 4


async def test_a_row_of_a_fast_clock_hides_nothing_that_comes_after_it(shop: Shop) -> None:
    await shop.act(ago_s=-200)
    reader = shop.reader()
    assert (await reader.run())["accepted"] == 1
    cursor = await shop.cursors.cursor(1, "source")
    assert cursor is not None
    assert cursor.seconds <= time.time()
    await shop.act(ago_s=0)
    assert (await shop.reader(overlap_s=0.0).run())["read"] == 2
    assert await shop.counted() == 2


async def test_bad_rows_are_listed_with_their_reasons_and_stop_nothing(shop: Shop) -> None:
    bad: list[dict[str, Any]] = [
        {"worth": float("nan")},
        {"worth": float("inf")},
        {"worth": -1.0},
        {"what": None},
        {"what": "danced"},
        {"Item": "no spaces allowed"},
        {"person": "p" * 129},
        {"extra": '{"a": "\\u0000"}'},
        {"extra": "[1]"},
        {"extra": "[" * 9000 + "]" * 9000},
        {"extra": '{"a": "' + "x" * 9000 + '"}'},
        {"visit": "v" * 20000},
        {"ago_s": -3600},
    ]
    for values in bad:
        await shop.act(**values)
    await shop.customer.execute("""insert into "User Acts" ("at", what) values ('infinity', 'opened')""")
    await shop.customer.execute(
        """insert into "User Acts" ("at", what) values ('-infinity', 'opened'), (null, 'opened')"""
    )
    await shop.act(worth=5.0, extra='{"a": [1, {"b": null}]}', guest="g", visit="v")
    reader = shop.reader(batch_rows=4)
    assert (await reader.run())["accepted"] == 1
    assert await shop.rejected() == {
        "EVENT_IN_FUTURE": 1,
        "EVENT_TOO_LARGE": 1,
        "ID_CHARSET": 1,
        "ID_LENGTH": 1,
        "KIND_UNKNOWN": 1,
        "PROPERTIES_LIMIT": 4,
        "REQUIRED_FIELD": 1,
        "TIMESTAMP_RANGE": 1,
        "VALUE_OUT_OF_RANGE": 3,
    }
    (kind,) = await shop.cursors.rejects(1, "source", 0, 10, "KIND_UNKNOWN")
    assert "must be one of impression, " in kind.detail
    assert await reader.run() == {}  # what is known to be refused is not written again
    assert await shop.counted() == 1
    assert b'refused_total{reason="KIND_UNKNOWN"} 1.0' in render(shop.registry)


async def test_a_refused_row_that_was_put_right_is_counted_and_leaves_the_list(shop: Shop) -> None:
    row_id = await shop.act("danced")
    reader = shop.reader()
    await reader.run()
    assert await shop.rejected() == {"KIND_UNKNOWN": 1}
    await shop.customer.execute("""update "User Acts" set what = 'opened' where id = $1""", row_id)
    assert (await reader.run())["accepted"] == 1
    assert await shop.rejected() == {}
    assert await shop.counted() == 1


async def test_a_row_that_its_own_database_cannot_give_out_is_skipped(shop: Shop) -> None:
    for worth in (1.0, 0.0, 2.0):
        await shop.act(worth=worth)
    query = """select *, (100 / worth::int)::text as share from "User Acts";"""
    columns = SourceColumns(time="at", id="id", kind="what", value="share")
    assert await shop.reader(table="", query=query, columns=columns).run() == {
        "read": 3,
        "accepted": 2,
        "refused": 1,
    }
    assert await shop.rejected() == {"ROW_UNREADABLE": 1}
    assert await shop.counted() == 2


async def test_text_that_is_not_utf8_is_skipped(shop: Shop, postgres_server: str) -> None:
    name = f"{database_name(shop.dsn)}_ascii"
    admin = await asyncpg.connect(postgres_server)
    try:
        await admin.execute(
            f'create database "{name}" template template0'
            " encoding 'SQL_ASCII' locale_provider libc locale 'C'"
        )
        dsn = shop.dsn.replace(database_name(shop.dsn), name)
        customer = await asyncpg.connect(dsn)
        await customer.execute("create table acts (id int, at timestamptz default now(), kind text)")
        await customer.execute("insert into acts (id, kind) values (1, 'view'), (2, E'\\\\xff'), (3, 'save')")
        await customer.close()
        columns = SourceColumns(time="at")
        said = await shop.reader(dsn=dsn, table="public.acts", columns=columns).run()
        assert said == {"read": 3, "accepted": 2, "refused": 1}
    finally:
        await admin.execute(f'drop database "{name}" with (force)')
        await admin.close()


@pytest.mark.parametrize(
    ("time_type", "unit"),
    [
        ("timestamptz", "s"),
        ("timestamp", "s"),
        ("bigint", "ms"),
        ("int", "s"),
        ("float8", "s"),
        ("numeric", "us"),
    ],
)
@pytest.mark.parametrize("row_id", ["bigint", "uuid", "text"])
async def test_times_and_ids_of_every_type_are_paged_through(
    shop: Shop, time_type: str, unit: str, row_id: str
) -> None:
    per_second = {"s": 1, "ms": 1000, "us": 1_000_000}[unit]
    written = {"timestamptz": "t", "timestamp": "t at time zone 'UTC'"}.get(
        time_type, f"extract(epoch from t) * {per_second}"
    )
    ids = {"bigint": "n", "uuid": "lpad(n::text, 32, '0')::uuid", "text": "'Ä\"' || n"}[row_id]
    await shop.customer.execute(
        f"create table acts as select ({ids})::{row_id} as id, ({written})::{time_type} as occurred_at,"
        " 'view' as kind from (select n, now() - make_interval(secs => 60 + n / 4) as t"
        " from generate_series(1, 21) as n) as made"
    )
    reader = shop.reader(table="acts", columns=SourceColumns(), epoch_unit=unit, batch_rows=2)
    assert (await reader.run())["accepted"] == 21
    assert await shop.reader(
        table="acts", columns=SourceColumns(), epoch_unit=unit, batch_rows=2, overlap_s=0.0
    ).run() in ({}, {"read": 0})
    assert await shop.counted() == 21


async def test_a_log_that_takes_nothing_is_waited_for(shop: Shop) -> None:
    await fill(shop, 1000)
    log = FullLog(shop, room=2)
    reader = shop.reader(log)
    with pytest.raises(LogUnavailableError):
        await reader.run()
    assert (await shop.cursors.status(1, "source")).trouble == "the event log is full"
    log.room = 100
    await reader.run()
    assert (await shop.cursors.status(1, "source")).trouble == ""
    assert await shop.counted() == 1000


async def test_a_source_that_was_away_is_read_once_it_is_back(shop: Shop, lines_directory: Path) -> None:
    dsn, line = postgres_line(shop.dsn, lines_directory)
    reader = shop.reader(dsn=dsn)
    await shop.act()
    with pytest.raises(SourceUnavailableError, match="the source's database does not answer"):
        await reader.run()
    assert "does not answer" in (await shop.cursors.status(1, "source")).trouble
    await line.mend()
    try:
        assert (await reader.run())["accepted"] == 1
    finally:
        await line.cut()
    await shop.act()
    with pytest.raises(SourceUnavailableError):
        await reader.run()
    await line.mend()
    try:
        assert (await reader.run())["accepted"] == 1
    finally:
        await line.cut()
    assert await shop.counted() == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"columns": SourceColumns(time="at", kind="what", item="item")},
            "keeper.source.columns.item: the source has no column item; did you mean Item? It has: id, at, ",
        ),
        (
            {"columns": SourceColumns(time="what", kind="what")},
            "keeper.source.columns.time: column what is of type text, and must be one of timestamptz, ",
        ),
        (
            {"table": "public.acts"},
            'keeper.source.table or keeper.source.query cannot be read: relation "public.acts"',
        ),
        ({"table": "", "query": "selec 1"}, "cannot be read: syntax error"),
        ({"table": 'a"; drop table "User Acts'}, "cannot be read: relation"),
        ({"dsn": "http://nowhere"}, "keeper.source.dsn is no address of a Postgres"),
    ],
)
async def test_a_source_that_is_not_as_the_settings_say_is_told_with_its_key(
    shop: Shop, changed: dict[str, Any], message: str
) -> None:
    await shop.act()
    with pytest.raises(SourceMisfitError) as caught:
        await shop.reader(**changed).run()
    assert message in str(caught.value)
    assert (await shop.cursors.status(1, "source")).trouble == str(caught.value)
    assert await shop.customer.fetchval('select count(*) from "User Acts"') == 1


async def test_the_source_cannot_be_written_whatever_the_query_does(shop: Shop) -> None:
    await shop.act()
    await shop.customer.execute(
        """create function wipe() returns setof "User Acts" language sql as
        'delete from "User Acts" returning *'"""
    )
    with pytest.raises(SourceUnavailableError, match="read-only transaction"):
        await shop.reader(table="", query="select * from wipe()").run()
    assert await shop.customer.fetchval('select count(*) from "User Acts"') == 1
