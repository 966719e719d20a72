"""Counting again from the ledger's rows: what it finds, and how it is put right while keepers fold."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import pytest

from nearcast_statskeeper.rebuilding import RebuildRunsError, rebuild_stats
from nearcast_statskeeper.verifying import Verdict, verify_stats
from nearcast_store.counting.compacting import Compaction
from nearcast_store.counting.correcting import Corrected, correct_counts
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch, ShardProgress
from nearcast_store.counting.recounting import recount
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.leases import try_lease
from nearcast_store.postgres import Pool, open_pool
from tests.conformance.ledger_rows import MIDNIGHT_MS, Day

if TYPE_CHECKING:
    Outsider: TypeAlias = asyncpg.Connection[asyncpg.Record]

ONE_COUNT = "(select ctid from item_counts where tenant_id = 1 order by posting, bucket limit 1)"
ONE_PASSED_OVER = (
    "(select ctid from item_counts where tenant_id = 1 and kind = -1 and count > 0"
    " order by posting, bucket limit 1)"
)
ONE_TOTAL = "(select ctid from posting_totals where tenant_id = 1 and kind = 1 order by posting limit 1)"
ONE_TRIAL = "(select ctid from feed_trials where tenant_id = 1 order by session_hash, feed limit 1)"
ONE_FEED = (
    "(select ctid from feed_counts where tenant_id = 1 and trial_count > 0 order by feed, bucket limit 1)"
)
COUNTS = "select * from (select {} from {} where {}) rows order by rows"
STATE = {
    "item_counts": (
        "tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count",
        "count > 0",
    ),
    "posting_totals": ("tenant_id, posting, kind, count", "count > 0"),
    "kind_totals": ("tenant_id, kind, count", "count > 0"),
    "feed_trials": ("tenant_id, policy_epoch, session_hash, feed, market, bucket, segment, rewarded", "true"),
    "feed_counts": ("tenant_id, market, feed, bucket, segment, trial_count, reward_count", "trial_count > 0"),
}
MUTATIONS = {
    "a counter that is one too high": (
        "item_counts",
        f"update item_counts set count = count + 1 where ctid = {ONE_COUNT}",
    ),
    "a counter that is one too low": (
        "item_counts",
        f"update item_counts set count = count - 1 where ctid = {ONE_COUNT}",
    ),
    "what was passed over, counted once too often": (
        "item_counts",
        f"update item_counts set count = count + 1 where ctid = {ONE_PASSED_OVER}",
    ),
    "what was passed over, not counted": (
        "item_counts",
        f"delete from item_counts where ctid = {ONE_PASSED_OVER}",
    ),
    "a missing counter": ("item_counts", f"delete from item_counts where ctid = {ONE_COUNT}"),
    "a counter without events": (
        "item_counts",
        f"insert into item_counts select 1, 999, 0, 1, {MIDNIGHT_MS // 3_600_000 + 25}, 1, 2, false, 3",
    ),
    "a counter of another hour": (
        "item_counts",
        f"update item_counts set bucket = bucket + 1000 where ctid = {ONE_COUNT}",
    ),
    "a counter of another position": (
        "item_counts",
        f"update item_counts set position_bucket = 75 where ctid = {ONE_COUNT}",
    ),
    "a posting's total that is one too high": (
        "posting_totals",
        f"update posting_totals set count = count + 1 where ctid = {ONE_TOTAL}",
    ),
    "a missing total": ("posting_totals", f"delete from posting_totals where ctid = {ONE_TOTAL}"),
    "a kind's total that is one too low": (
        "kind_totals",
        "update kind_totals set count = count - 1 where tenant_id = 1 and kind = 1",
    ),
    "a total of nothing": ("kind_totals", "insert into kind_totals values (1, 77, 3)"),
    "a missing trial": ("feed_trials", f"delete from feed_trials where ctid = {ONE_TRIAL}"),
    "a trial with another reward": (
        "feed_trials",
        f"update feed_trials set rewarded = not rewarded where ctid = {ONE_TRIAL}",
    ),
    "a trial that began later": (
        "feed_trials",
        f"update feed_trials set bucket = bucket + 1 where ctid = {ONE_TRIAL}",
    ),
    "a trial of another segment": (
        "feed_trials",
        f"update feed_trials set segment = segment + 1 where ctid = {ONE_TRIAL}",
    ),
    "a feed's trials of another segment": (
        "feed_counts",
        f"update feed_counts set segment = segment + 9 where ctid = {ONE_FEED}",
    ),
    "a trial nobody had": (
        "feed_trials",
        f"insert into feed_trials select 1, 9, 'nobody!!', 2, 0, {MIDNIGHT_MS // 3_600_000 + 25}, false",
    ),
    "a feed with a trial too many": (
        "feed_counts",
        f"update feed_counts set trial_count = trial_count + 1 where ctid = {ONE_FEED}",
    ),
    "a missing feed": ("feed_counts", f"delete from feed_counts where ctid = {ONE_FEED}"),
    "a feed nobody was shown": (
        "feed_counts",
        f"insert into feed_counts select 1, 7, 9, {MIDNIGHT_MS // 3_600_000 + 25}, 2, 1",
    ),
}
# A fold trips over none of these.
HARMLESS = [
    "a counter that is one too high",
    "a counter that is one too low",
    "a missing counter",
    "a counter of another position",
    "a missing trial",
    "a trial nobody had",
    "a feed with a trial too many",
]
BEYOND_COUNTS = {
    "an act without its impression": (
        "implied_impressions",
        "delete from events where implied and ctid in (select ctid from events where implied limit 1)",
    ),
    "a lost event": (
        "item_counts",
        (
            "delete from events where learned and kind = 3 and ctid in"
            " (select ctid from events where learned and kind = 3 limit 1)"
        ),
    ),
    "an event that no fold counted": (
        "events_counted",
        (
            "insert into events (tenant_id, identity_day, origin_id, posting, identity_kind, kind, learned,"
            " received_at, durability, gateway_id) select tenant_id, identity_day, gen_random_uuid(), 0, 0,"
            " 2, false, now(), 2, 'x' from events limit 1"
        ),
    ),
    "more rewards than trials": (
        "feed_rewards",
        (
            "alter table feed_counts drop constraint feed_counts_check;"
            f" update feed_counts set reward_count = trial_count + 1 where ctid = {ONE_FEED}"
        ),
    ),
    "a shard that does not add up": (
        "log_balance",
        "update log_positions set duplicate_count = duplicate_count + 1 where shard = 0 and tenant_id = 1",
    ),
    "a dead letter that no fold wrote": (
        "letters_counted",
        (
            "insert into dead_letters (tenant_id, shard, entry_id, reason, detail, entry)"
            " values (1, 0, '1-0', 'X', '', '')"
        ),
    ),
}


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database, size=8, timeout_s=20.0)
    yield opened
    await opened.close()


@pytest.fixture
async def outsider(database: str) -> "AsyncIterator[Outsider]":
    connection = await asyncpg.connect(database)
    for slug in ("one", "two"):
        await connection.execute("insert into tenants (slug, display_name) values ($1, $1)", slug)
    yield connection
    await connection.close()


@pytest.fixture
async def folded(pool: Pool, outsider: "Outsider") -> PostgresCountStore:
    """A day of two tenants, with progress that adds up."""
    store = PostgresCountStore(pool)
    await fold(store, Day(31, requests=80))
    return store


async def fold(store: PostgresCountStore, day: Day) -> None:
    reported = [row for row in day.rows if not row.implied]
    progress = [
        ShardProgress(tenant_id, 0, "5-0", sum(row.identity.tenant_id == tenant_id for row in reported))
        for tenant_id in day.tenants
    ]
    await store.fold(Batch(day.rows, (), progress))


async def kept(outsider: "Outsider") -> dict[str, list[tuple[object, ...]]]:
    return {
        table: [tuple(row) for row in await outsider.fetch(COUNTS.format(columns, table, where))]
        for table, (columns, where) in STATE.items()
    }


def checks(verdict: Verdict) -> set[str]:
    return {check for _, check in verdict.found}


async def test_what_was_folded_is_clean(folded: PostgresCountStore, pool: Pool) -> None:
    verdict = await verify_stats(pool, 10)
    assert verdict.clean, verdict.differences
    assert [each.slug for each in verdict.summaries] == ["one", "two"]
    assert all(each.learned and each.implied and each.counts for each in verdict.summaries)
    assert verdict.first_day == date(2026, 9, 21)


async def test_an_empty_database_is_clean(pool: Pool) -> None:
    verdict = await verify_stats(pool, 10)
    assert verdict.clean
    assert verdict.first_day is None


@pytest.mark.parametrize("mutation", [*MUTATIONS, *BEYOND_COUNTS])
async def test_every_kind_of_damage_is_found(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider", mutation: str
) -> None:
    check, statement = (MUTATIONS | BEYOND_COUNTS)[mutation]
    await outsider.execute(statement)
    verdict = await verify_stats(pool, 10)
    assert check in checks(verdict)
    found = next(each for each in verdict.differences if each.check == check)
    assert found.stored != found.recounted
    assert found.tenant_id == 1
    assert (await verify_stats(pool, 0, tenant_id=2)).clean


async def test_a_difference_names_its_whole_key_and_both_numbers(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    row = await outsider.fetchrow(
        f"update item_counts set count = count + 5 where ctid = {ONE_COUNT} returning *, count - 5 as before"
    )
    assert row is not None
    (difference,) = (await verify_stats(pool, 10)).differences
    key = ("posting", "market", "kind", "bucket", "position_bucket", "feed", "explore")
    assert difference.key == {name: row[name] for name in key}
    assert (difference.stored, difference.recounted) == ({"count": row["count"]}, {"count": row["before"]})


async def test_only_so_many_differences_are_kept_and_all_are_counted(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    await outsider.execute("update item_counts set count = count + 1 where tenant_id = 2")
    verdict = await verify_stats(pool, 3)
    changed = await outsider.fetchval("select count(*) from item_counts where tenant_id = 2")
    assert verdict.found == {(2, "item_counts"): changed}
    assert len(verdict.differences) == 3
    assert (verdict.found_for(1), verdict.found_for(2)) == (0, changed)


async def test_it_is_clean_at_any_moment_while_keepers_fold(folded: PostgresCountStore, pool: Pool) -> None:
    days = [Day(seed, requests=20) for seed in range(40, 52)]
    folding = asyncio.gather(*(fold(folded, day) for day in days))
    looks = 0
    while not folding.done() or not looks:
        verdict = await verify_stats(pool, 10)
        assert verdict.clean, verdict.differences
        looks += 1
    await folding


async def test_counts_of_dropped_days_are_named_and_left_alone(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    """Sessions that began on the first day and went on after midnight cannot be counted again either."""
    await Compaction(pool).drop_day(date(2026, 9, 22))
    await Compaction(pool).sum_hours()
    before = await kept(outsider)
    verdict = await verify_stats(pool, 10)
    assert verdict.clean, verdict.differences
    assert all(each.unchecked and each.counts for each in verdict.summaries)
    assert await correct_counts(pool) == Corrected(0, 0, 0, 0)
    assert await kept(outsider) == before


async def test_no_day_goes_while_a_recount_runs(
    folded: PostgresCountStore, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have the counts of that day, and not its rows."""
    monkeypatch.setattr("nearcast_store.counting.compacting._LOCK_WAIT", "set local lock_timeout = '200ms'")
    async with recount(pool) as looking:
        with pytest.raises(StoreUnavailableError):
            await Compaction(pool).drop_day(date(2026, 9, 22))
        assert not [each async for each in looking.differences("item_counts")]
    assert await Compaction(pool).drop_day(date(2026, 9, 22)) is not None


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_a_rebuild_puts_every_count_back(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider", mutation: str
) -> None:
    before = await kept(outsider)
    await outsider.execute(MUTATIONS[mutation][1])
    assert await kept(outsider) != before
    await correct_counts(pool)
    assert await kept(outsider) == before
    assert (await verify_stats(pool, 10)).clean


async def test_a_rebuild_from_nothing_gives_what_was_folded(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider", database: str
) -> None:
    before = await kept(outsider)
    await outsider.execute(f"truncate {', '.join(STATE)}")
    corrected = await rebuild_stats(database, pool)
    rows = {table: len(before[table]) for table in STATE}
    assert corrected == Corrected(
        rows["item_counts"],
        rows["posting_totals"] + rows["kind_totals"],
        rows["feed_trials"],
        rows["feed_counts"],
    )
    assert await kept(outsider) == before


async def test_a_rebuild_of_one_tenant_leaves_the_others(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    await outsider.execute("update item_counts set count = count + 1")
    await correct_counts(pool, tenant_id=2)
    verdict = await verify_stats(pool, 0)
    assert verdict.found_for(1)
    assert not verdict.found_for(2)


async def test_a_gateway_sees_what_a_rebuild_corrected_and_nothing_else(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    await outsider.execute("update item_counts set count = count + 1 where posting = 11 and tenant_id = 1")
    await outsider.execute("insert into item_counts values (1, 999, 0, 1, 497300, 1, 2, false, 3)")
    seen = await folded.changed_since(1, None)
    await correct_counts(pool)
    changed = set((await folded.changed_since(1, seen.horizon)).rows)
    right = {row for row in await folded.counts_of(1, [11]) if row.count}
    assert right <= changed
    assert {row.posting for row in changed} == {11, 999}
    assert [row.count for row in changed if row.posting == 999] == [0]


async def test_nothing_is_lost_when_counts_are_rebuilt_while_keepers_fold(
    folded: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    """Damage before, folds of the same sessions meanwhile, rebuilds over and over."""
    rng = random.Random(7)
    days = [Day(seed, requests=15) for seed in range(60, 84)]

    async def keeper(mine: list[Day]) -> None:
        for day in mine:
            await fold(folded, day)

    async def spoil() -> None:
        for mutation in rng.sample(HARMLESS, 3):
            await outsider.execute(MUTATIONS[mutation][1])

    folding = asyncio.gather(*(keeper(days[start::3]) for start in range(3)))
    rebuilds = 0
    while not folding.done() or rebuilds < 3:
        await spoil()
        await correct_counts(pool)
        rebuilds += 1
    await folding
    verdict = await verify_stats(pool, 10)
    assert verdict.clean, verdict.differences
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    assert await outsider.fetchval(deadlocks) == 0


async def test_only_one_rebuild_runs_at_a_time(folded: PostgresCountStore, pool: Pool, database: str) -> None:
    lease = await try_lease(database, "rebuild stats")
    assert lease is not None
    with pytest.raises(RebuildRunsError):
        await rebuild_stats(database, pool)
    await lease.release()
