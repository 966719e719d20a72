"""Folding on the real database: several keepers, failures, partitions, and a recount by other SQL."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import pytest
from msgspec.structs import replace

from nearcast_ledger.event import AcceptedEvent, Durability, Unlearned
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch, DeadLetter, FoldResult, LedgerRow, ShardProgress
from nearcast_store.errors import DataRefusedError, StoreUnavailableError
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.queries import query
from tests.conformance.ledger_rows import (
    HOUR_MS,
    MIDNIGHT_MS,
    Day,
    claims,
    learned,
    row,
    unlearned,
    uuid7,
)

if TYPE_CHECKING:
    Outsider: TypeAlias = asyncpg.Connection[asyncpg.Record]

TODAY = date(2026, 9, 21)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TAKING_PARTITIONS_AWAY = """
create function take_away() returns event_trigger language plpgsql as $$
begin
    if exists (select from pg_inherits where inhrelid = to_regclass('events_20260921')) then
        drop table events_20260921;
    end if;
end $$;
create event trigger take_away on ddl_command_end when tag in ('ALTER TABLE') execute function take_away();
"""
EVERY_COLUMN = {
    "tenant_id": 1,
    "identity_day": TODAY,
    "posting": 2**62,
    "identity_kind": VIEW,
    "kind": VIEW,
    "learned": False,
    "unlearned_reason": int(Unlearned.TOKEN_SUBJECT),
    "implied": False,
    "position": 200,
    "feed": 3,
    "feed_propensity": 0.1,
    "scenario": 4,
    "market": 5,
    "policy_revision": 6,
    "policy_epoch": 7,
    "explore": True,
    "subject_hash": b"subject!",
    "session_hash": b"session!",
    "key_id": 255,
    "item_id": "item",
    "user_id": "user",
    "anonymous_id": "anonymous",
    "session_id": "session",
    "value": 9.5,
    "properties": '{"a": 1}',
    "dwell_ms": 1500,
    "durability": 3,
    "gateway_id": "gateway-9",
    "rewards_feed": False,
    "cascades": False,
}
POSITION = "tenant_id, shard, last_entry_id, accepted_count, counted_count, duplicate_count, dead_count"

# The hour of a UUIDv7, from its text.
HOUR = "(('x' || lpad(left(replace(origin_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 3600000)::int"
RECOUNT_ITEMS = f"""
select tenant_id, posting, market, kind,
       {HOUR},
       case when position <= 20 then position when position <= 30 then 25
            when position <= 50 then 40 else 75 end,
       feed, explore, count(*)
from (
    select tenant_id, posting, market, kind, origin_id, position, feed, explore from events where learned
    union all
    select tenant_id, posting, market, -1, origin_id, position, feed, explore
    from (
        select *, max(position) filter (where kind <> 1)
                      over (partition by tenant_id, identity_day, origin_id) as last_position
        from events where learned and cascades
    ) answers
    where kind = 1 and position > last_position
) counted
group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 2, 3, 4, 5, 6, 7, 8
"""
RECOUNT_FEEDS = f"""
with trials as (
    select distinct on (tenant_id, policy_epoch, session_hash, feed)
           tenant_id, market, feed,
           {HOUR} as bucket, scenario / 512 as segment,
           bool_or(kind in (2, 4)) over (partition by tenant_id, policy_epoch, session_hash, feed) as rewarded
    from events
    where learned and not explore and policy_epoch > 0 and kind in (1, 2, 4)
    order by tenant_id, policy_epoch, session_hash, feed, 4, market, 5
)
select tenant_id, market, feed, bucket, segment, count(*), count(*) filter (where rewarded)
from trials group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
"""
ITEMS = (
    "select tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count from item_counts"
    " where count > 0"
)
FEEDS = (
    "select tenant_id, market, feed, bucket, segment, trial_count, reward_count from feed_counts"
    " where trial_count > 0"
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database, size=8, timeout_s=20.0)
    yield opened
    await opened.close()


@pytest.fixture
def store(pool: Pool) -> PostgresCountStore:
    return PostgresCountStore(pool)


@pytest.fixture
async def outsider(database: str) -> "AsyncIterator[Outsider]":
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def assert_recount_agrees(outsider: "Outsider") -> None:
    recounts = (
        (ITEMS, RECOUNT_ITEMS),
        (FEEDS, RECOUNT_FEEDS),
        (
            "select tenant_id, posting, kind, count from posting_totals",
            "select tenant_id, posting, kind, count(*) from events where learned group by 1, 2, 3",
        ),
        (
            "select tenant_id, kind, count from kind_totals",
            "select tenant_id, kind, count(*) from events where learned group by 1, 2",
        ),
    )
    for counted, recount in recounts:
        kept = sorted(map(tuple, await outsider.fetch(counted)))
        assert kept == sorted(map(tuple, await outsider.fetch(recount)))
        assert kept


def shown(seed: int = 1, hour: int = 0, **fields: object) -> LedgerRow:
    return learned(IMPRESSION, claims(uuid7(random.Random(seed), MIDNIGHT_MS + hour * HOUR_MS), **fields))


async def test_keepers_that_fold_the_same_rows_at_once_count_them_once(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    """Every keeper gets all rows, shuffled and cut differently; none may deadlock."""
    rows = Day(21, requests=150).rows

    async def keeper(seed: int) -> int:
        rng = random.Random(seed)
        mine = rng.sample(rows, len(rows))
        counted = 0
        for start in range(0, len(mine), 97):
            counted += (await store.fold(Batch(mine[start : start + 97]))).counted
        return counted

    counted = await asyncio.gather(*(keeper(seed) for seed in range(4)))
    stored = await outsider.fetchval("select count(*) from events where not implied")
    assert sum(counted) == stored
    assert await outsider.fetchval("select count(*) from events") == len({each.identity for each in rows})
    assert (
        await outsider.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
        == 0
    )
    await assert_recount_agrees(outsider)


async def test_keepers_that_learn_at_once_from_what_was_too_late_before_count_it_once(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    rows = [each for each in Day(22, requests=100).rows if each.event.claims]
    twins = [unlearned(each) for each in rows[::2]]

    async def keeper(seed: int) -> None:
        mine = random.Random(seed).sample([*rows, *twins], len(rows) + len(twins))
        for start in range(0, len(mine), 97):
            await store.fold(Batch(mine[start : start + 97]))

    await asyncio.gather(*(keeper(seed) for seed in range(4)))
    learnable = {each.identity for each in rows if not each.event.unlearned}
    assert await outsider.fetchval("select count(*) from events where learned") == len(learnable)
    assert (
        await outsider.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
        == 0
    )
    await assert_recount_agrees(outsider)


async def test_a_row_that_is_learned_from_takes_the_place_of_all_that_was_stored(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    timely = shown(1, market=3, key_id=9)
    assert timely.event.claims is not None
    late = replace(
        unlearned(timely),
        event=replace(
            timely.event, unlearned=Unlearned.TOKEN_EXPIRED, claims=replace(timely.event.claims, key_id=8)
        ),
        gateway_id="late",
    )
    for first, second in ((late, timely), (timely, late)):
        await outsider.execute("delete from events")
        await store.fold(Batch([first]))
        await store.fold(Batch([second]))
        (stored,) = await outsider.fetch(
            "select learned, unlearned_reason, key_id, gateway_id, market from events"
        )
        assert tuple(stored) == (True, 0, 9, "gateway-1", 3)


async def plan_of(outsider: "Outsider", name: str, *arguments: object) -> str:
    """How the server would run that query."""
    rows = await outsider.fetch(f"explain {query('counts', name)}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_what_is_asked_often_is_never_looked_for_in_all_counts(outsider: "Outsider") -> None:
    await outsider.execute(
        "insert into posting_totals select 1, n, kind, n"
        " from generate_series(1, 5000) n, generate_series(1, 4) kind"
    )
    await outsider.execute(
        "insert into item_counts"
        " select 1, n, 0, kind, 7, 1, 2, false, 1, pg_current_xact_id()"
        " from generate_series(1, 5000) n, generate_series(1, 4) kind"
    )
    await outsider.execute("analyze posting_totals, item_counts")
    top = await plan_of(outsider, "list_top_postings", 1, IMPRESSION, 50)
    assert top.count("posting_totals_by_magnitude") == 2
    place = (2500, 0, 1, 7, 1, 2, False)
    part = await plan_of(outsider, "list_counts", 1, 100, *place)
    assert "Index Cond: ((tenant_id = 1) AND (ROW(posting" in part
    assert "Sort" not in part
    horizon = await outsider.fetchval("select pg_snapshot_xmax(pg_current_snapshot())")
    for name, more in (("list_changed_counts", (200_000,)), ("list_changed_postings", (0, 200))):
        assert "item_counts" not in await plan_of(outsider, name, 1, horizon, *more)


@pytest.mark.parametrize("order", [1, -1])
async def test_the_longest_dwell_stands_in_whatever_order_and_counts_nothing(
    store: PostgresCountStore, outsider: "Outsider", order: int
) -> None:
    seen = shown(1)
    reports = [
        row(AcceptedEvent(IMPRESSION, trust, seen.event.claims, dwell_ms=dwell_ms), implied=implied)
        for trust, dwell_ms, implied in (
            (Unlearned.LEARNED, None, True),
            (Unlearned.TOKEN_EXPIRED, 2000, False),
            (Unlearned.LEARNED, 0, False),
            (Unlearned.LEARNED, 1999, False),
        )
    ]
    for report in reports[::order]:
        await store.fold(Batch([report]))
    assert await outsider.fetchval("select dwell_ms from events") == 2000
    assert await store.totals(1) == {IMPRESSION: 1}


async def test_every_column_is_kept(store: PostgresCountStore, outsider: "Outsider") -> None:
    request_id, event_id = (uuid7(random.Random(n), MIDNIGHT_MS + n) for n in (1, 2))
    decided = claims(
        request_id,
        posting=2**62,
        position=200,
        feed=3,
        feed_propensity=0.1,
        scenario=4,
        market=5,
        policy_revision=6,
        policy_epoch=7,
        explore=True,
        key_id=255,
    )
    event = AcceptedEvent(
        VIEW,
        Unlearned.TOKEN_SUBJECT,
        decided,
        event_id,
        "item",
        "user",
        "anonymous",
        "session",
        1_234_567_890_123_456,
        9.5,
        b'{"a": 1}',
        1500,
    )
    kept = replace(row(event), durability=Durability.FSYNC, gateway_id="gateway-9")
    await store.fold(Batch([kept]))
    (stored,) = await outsider.fetch("select * from events")
    times = {"occurred_at": 1_234_567_890_123_456, "received_at": kept.received_at_us}
    assert dict(stored) == EVERY_COLUMN | {
        name: EPOCH + timedelta(microseconds=unix_us) for name, unix_us in times.items()
    } | {"origin_id": request_id, "event_id": event_id}


@pytest.mark.parametrize(
    "fields",
    [
        {"item_id": "NUL \x00"},
        {"item_id": "\ud800"},
        {"properties": b"{"},
        {"properties": b'{"a": "\\u0000"}'},
        {"properties": b"\xff"},
        {"value": float("inf")},
        {"value": float("nan")},
        {"value": -1.0},
        {"kind": 40_000},
        {"claims": claims(uuid7(random.Random(5), MIDNIGHT_MS), posting=2**63)},
        {"claims": claims(uuid7(random.Random(5), MIDNIGHT_MS), position=40_000)},
    ],
)
async def test_a_row_that_can_never_be_stored_is_refused_with_its_batch(
    store: PostgresCountStore, outsider: "Outsider", fields: dict[str, object]
) -> None:
    good = shown()
    bad = replace(AcceptedEvent(VIEW, Unlearned.LEARNED, shown(2).event.claims), **fields)  # type: ignore[arg-type]
    with pytest.raises(DataRefusedError):
        await store.fold(Batch([good, row(bad)]))
    assert await outsider.fetchval("select count(*) from events") == 0
    assert await store.fold(Batch([good])) == FoldResult(1, 0, 0)
    await assert_recount_agrees(outsider)


async def test_a_transaction_that_dies_leaves_nothing_and_can_be_folded_again(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    """The rows are stored and the counts wait for a lock when the server ends the connection."""
    batch = Batch([shown(n) for n in range(20)], (), [ShardProgress(1, 0, "9-0", 20)])
    await store.fold(Batch([shown(99)]))
    blocking = outsider.transaction()
    await blocking.start()
    await outsider.execute("select from item_counts for update")
    folding = asyncio.create_task(store.fold(batch))
    victim = None
    while victim is None:
        victim = await outsider.fetchval(
            "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
    await outsider.execute("select pg_terminate_backend($1)", victim)
    with pytest.raises(StoreUnavailableError):
        await folding
    await blocking.rollback()
    assert await outsider.fetchval("select count(*) from events") == 1
    assert await outsider.fetchval("select count(*) from log_positions where accepted_count > 0") == 0
    assert await store.fold(batch) == FoldResult(20, 0, 0)
    assert await store.fold(batch) == FoldResult(0, 20, 0)
    await assert_recount_agrees(outsider)


async def test_a_missing_partition_is_made(store: PostgresCountStore, outsider: "Outsider") -> None:
    assert await outsider.fetch("select from pg_inherits where inhparent = 'events'::regclass") == []
    await store.fold(Batch([shown(1), shown(2, hour=24)]))
    names = await outsider.fetch("select tableoid::regclass::text from events order by 1")
    assert [name for (name,) in names] == ["events_20260921", "events_20260922"]


async def test_a_partition_that_goes_again_at_once_is_never_held_against_an_event(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    await outsider.execute(TAKING_PARTITIONS_AWAY)
    with pytest.raises(StoreUnavailableError, match="has gone again"):
        await store.fold(Batch([shown(1)]))
    await outsider.execute("drop event trigger take_away")
    assert await store.fold(Batch([shown(1)])) == FoldResult(1, 0, 0)


async def test_no_partition_is_made_for_a_day_that_no_gateway_accepts(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    for hour in (24 * 400, -24 * 400):
        with pytest.raises(DataRefusedError, match="it must lie from 2026-09-14 to 2026-09-24"):
            await store.fold(Batch([shown(1, hour=hour)]))
    assert await outsider.fetch("select from pg_inherits where inhparent = 'events'::regclass") == []


async def test_partitions_are_made_ahead_by_several_at_once_while_folding_goes_on(
    pool: Pool, store: PostgresCountStore, outsider: "Outsider"
) -> None:
    rows = Day(5).rows
    folds = [store.fold(Batch(rows[start::4])) for start in range(4)]
    partitions = Partitions(pool)
    await asyncio.gather(*folds, *(partitions.ensure_around(TODAY) for _ in range(3)))
    names = await outsider.fetch(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'events'::regclass order by 1"
    )
    assert [name for (name,) in names] == [
        f"events_{TODAY + timedelta(days):%Y%m%d}" for days in range(-7, 3)
    ]
    await assert_recount_agrees(outsider)


async def test_progress_balances_what_was_accepted(store: PostgresCountStore, outsider: "Outsider") -> None:
    """Accepted = counted + duplicate + dead, per shard, however entries are handed out again."""
    one, two = replace(shown(1), shard=1), replace(shown(2), shard=2)
    implied = replace(row(shown(3).event, implied=True), shard=1)
    letter = DeadLetter(1, 2, "10-0", 1, "TEXT_NUL", "why", b"\x00raw")
    batch = Batch(
        [one, two, implied], [letter], [ShardProgress(1, 1, "9-5", 1), ShardProgress(1, 2, "10-0", 2)]
    )
    for _ in range(2):
        assert (await store.fold(batch)).dead == 1
    await store.fold(Batch([], (), [ShardProgress(1, 1, "9-12", 0), ShardProgress(1, 2, "9-99", 0)]))
    rows = await outsider.fetch(f"select {POSITION} from log_positions order by shard")
    assert [tuple(each) for each in rows] == [(1, 1, "9-12", 2, 1, 1, 0), (1, 2, "10-0", 4, 1, 1, 2)]
    letters = await outsider.fetch(
        "select shard, entry_id, event_index, reason, detail, entry from dead_letters"
    )
    assert [tuple(each) for each in letters] == [(2, "10-0", 1, "TEXT_NUL", "why", b"\x00raw")]


async def test_rows_folded_before_their_progress_balance_too(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    one, two = replace(shown(1), shard=3), replace(shown(2), shard=3)
    await store.fold(Batch([one]))
    await store.fold(Batch([two]))
    await store.fold(Batch([], (), [ShardProgress(1, 3, "7-0", 3)]))
    (position,) = await outsider.fetch(f"select {POSITION} from log_positions")
    assert tuple(position) == (1, 3, "7-0", 3, 2, 1, 0)


async def test_a_late_committer_is_seen_by_the_next_look(
    store: PostgresCountStore, outsider: "Outsider"
) -> None:
    """Its transaction is older than the look, and commits after it."""
    await store.fold(Batch([shown(1), shown(2, posting=11)]))
    late = outsider.transaction()
    await late.start()
    await outsider.execute(
        "update item_counts set count = 7, changed_xid = pg_current_xact_id() where posting = 10"
    )
    first = await store.changed_since(1, None)
    await store.fold(Batch([shown(3, posting=11)]))
    second = await store.changed_since(1, first.horizon)
    await late.commit()
    third = await store.changed_since(1, second.horizon)
    assert (10, 7) in [(each.posting, each.count) for each in third.rows]
