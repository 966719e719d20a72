"""Hours summed into days and days dropped from the ledger: no count is lost, doubled or seen twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import numpy as np
import pytest
from msgspec.structs import replace

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.policy import Exposure, Policy
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_server.following import Following
from nearcast_statskeeper.verifying import verify_stats
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.counting import correcting
from nearcast_store.counting.compacting import Compaction
from nearcast_store.counting.correcting import Corrected, correct_counts
from nearcast_store.counting.partitions import Partitions
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch, LedgerRow, ShardProgress
from nearcast_store.errors import DataRefusedError, StoreUnavailableError
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.postgres import Pool, affected, open_pool
from tests.conformance.ledger_rows import HOUR_MS, MIDNIGHT_MS, Day, claims, learned, uuid7
from tests.conftest import FixedClock
from tests.gateways import eventually

if TYPE_CHECKING:
    Outsider: TypeAlias = asyncpg.Connection[asyncpg.Record]

DAY, NEXT_DAY = date(2026, 9, 21), date(2026, 9, 22)
HOUR = MIDNIGHT_MS // HOUR_MS
NOON = HOUR + 12
BY_DAY = """
select tenant_id, posting, market, kind, bucket / 24, position_bucket, feed, explore, sum(count)
from item_counts group by 1, 2, 3, 4, 5, 6, 7, 8 having sum(count) > 0 order by 1, 2, 3, 4, 5, 6, 7, 8
"""
FEEDS_BY_DAY = """
select tenant_id, market, feed, bucket / 24, sum(trial_count), sum(reward_count)
from feed_counts group by 1, 2, 3, 4 having sum(trial_count) > 0 order by 1, 2, 3, 4
"""
TOTALS = "select * from posting_totals order by tenant_id, posting, kind"
UNSUMMED = "select count(*) from compactions where compacted_at is null"
HOURS_LEFT = """
select (select count(*) from item_counts
        where bucket between $1 and $1 + 23 and bucket <> $1 + 12 and count > 0)
     + (select count(*) from served_counts where bucket between $1 and $1 + 23 and bucket <> $1 + 12)
     + (select count(*) from feed_counts where bucket between $1 and $1 + 23 and bucket <> $1 + 12)
"""
SERVED_BY_DAY = (
    "select tenant_id, posting, bucket / 24, sum(count) from served_counts group by 1, 2, 3 order by 1, 2, 3"
)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database, size=4, timeout_s=10.0)
    yield pool
    await pool.close()


@pytest.fixture
async def outsider(database: str) -> AsyncIterator["Outsider"]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def store(pool: Pool, outsider: "Outsider") -> PostgresCountStore:
    """A day and the first hours of the next, with sessions that go on over midnight."""
    await outsider.execute("insert into tenants (slug, display_name) values ('one', ''), ('two', '')")
    store = PostgresCountStore(pool)
    await fold(store, Day(11, requests=200).rows)
    await outsider.execute(
        "insert into served_counts select 1, 10, 0, $1 + h, 1, 2, false, 3 from generate_series(0, 30) h",
        HOUR,
    )
    return store


async def fold(store: PostgresCountStore, rows: list[LedgerRow]) -> None:
    """As a keeper does, with the bookkeeping that a recount looks at."""
    accepted: dict[int, int] = {}
    for row in rows:
        tenant_id = row.identity.tenant_id
        accepted[tenant_id] = accepted.get(tenant_id, 0) + (not row.implied)
    steps = [ShardProgress(tenant_id, 0, "1-0", number) for tenant_id, number in sorted(accepted.items())]
    await store.fold(Batch(rows, progress=steps))


async def look(outsider: "Outsider") -> list[list[tuple[Any, ...]]]:
    return [
        [tuple(row) for row in await outsider.fetch(query)]
        for query in (BY_DAY, FEEDS_BY_DAY, TOTALS, SERVED_BY_DAY)
    ]


async def hours(outsider: "Outsider", table: str) -> set[int]:
    """Of the compacted day, those that have counts."""
    column = "trial_count" if table == "feed_counts" else "count"
    rows = await outsider.fetch(
        f"select distinct bucket from {table} where bucket < $1 and {column} > 0", HOUR + 24
    )
    return {row["bucket"] - HOUR for row in rows}


async def partitions(outsider: "Outsider") -> set[str]:
    rows = await outsider.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'events'::regclass"
    )
    return {row["name"] for row in rows}


async def compact(pool: Pool) -> int:
    """All that there is to do; how many hours."""
    compaction = Compaction(pool)
    while await compaction.drop_day(NEXT_DAY):
        pass
    return await compaction.sum_hours()


class Stops:
    """Tells a compaction to go on, until it has done so many pieces; looks around before each."""

    def __init__(self, after: int | None, look: Callable[[], Awaitable[None]] | None = None) -> None:
        self.after, self.look, self.pieces = after, look, 0

    async def __call__(self) -> bool:
        if self.look:
            await self.look()
        self.pieces += 1
        return self.after is None or self.pieces <= self.after


async def test_the_hours_of_a_day_become_one_and_its_events_go(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    assert (await verify_stats(pool, 10)).clean
    before = await look(outsider)
    assert await Compaction(pool).drop_day(NEXT_DAY) == DAY
    assert await Compaction(pool).drop_day(NEXT_DAY) is None
    assert await look(outsider) == before
    assert await Compaction(pool).sum_hours() > 0
    assert await look(outsider) == before
    assert await Compaction(pool).sum_hours() == 0
    for table in ("item_counts", "feed_counts", "served_counts"):
        assert await hours(outsider, table) == {12}
    assert await partitions(outsider) == {"events_20260922"}
    verdict = await verify_stats(pool, 10)
    assert verdict.clean, verdict.differences
    assert await correct_counts(pool) == Corrected(0, 0, 0, 0)
    assert await look(outsider) == before


async def test_a_day_that_is_still_needed_is_left_alone(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    many = await hours(outsider, "item_counts")
    assert await Compaction(pool).drop_day(DAY) is None
    assert await Compaction(pool).sum_hours() == 0  # the ledger still holds the day
    assert await partitions(outsider) == {"events_20260921", "events_20260922"}
    assert await hours(outsider, "item_counts") == many


@pytest.mark.parametrize("end", ["waited too long", "killed"])
async def test_a_drop_that_is_broken_off_has_not_happened(
    store: PostgresCountStore,
    pool: Pool,
    database: str,
    outsider: "Outsider",
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    wait = "200ms" if end == "waited too long" else "20s"
    monkeypatch.setattr("nearcast_store.counting.compacting._LOCK_WAIT", f"set local lock_timeout = '{wait}'")
    before, many = await look(outsider), await hours(outsider, "item_counts")
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.execute("lock table events in access share mode")  # as a long report does
        compacting = asyncio.create_task(Compaction(pool).drop_day(NEXT_DAY))
        if end == "killed":
            await eventually(lambda: waiting(outsider), 10.0, lambda pids: len(pids) == 1)
            await outsider.execute("select pg_terminate_backend($1)", (await waiting(outsider))[0])
        with pytest.raises(StoreUnavailableError):
            await compacting
    await reader.close()
    assert await look(outsider) == before
    assert await hours(outsider, "item_counts") == many
    assert await partitions(outsider) == {"events_20260921", "events_20260922"}
    assert await compact(pool) > 0
    assert await look(outsider) == before


async def waiting(outsider: "Outsider") -> list[int]:
    """Who waits for a table."""
    rows = await outsider.fetch(
        "select pid from pg_locks where not granted and locktype = 'relation'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return [row["pid"] for row in rows]


async def test_keepers_fold_and_several_compact_meanwhile(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    later = [row for seed in (12, 13, 14) for row in Day(seed).rows if row.identity.day == NEXT_DAY]
    compaction = Compaction(pool)
    folds = [fold(store, later[start::5]) for start in range(5)]
    done = await asyncio.gather(*(compaction.drop_day(NEXT_DAY) for _ in range(2)), *folds)
    assert {*done[:2]} == {DAY, None}
    before, later = await look(outsider), [row for row in Day(15).rows if row.identity.day == NEXT_DAY]
    folds = [fold(store, later[start::5]) for start in range(5)]
    both = (Compaction(pool, piece_rows=40).sum_hours() for _ in range(2))
    await asyncio.gather(*both, *folds)
    gone = [[row for row in rows if row[4] == HOUR // 24] for rows in ((await look(outsider))[0], before[0])]
    assert gone[0] == gone[1] != []
    verdict = await verify_stats(pool, 10)
    assert verdict.clean, verdict.differences
    assert await hours(outsider, "item_counts") == {12}


async def test_an_event_of_a_day_that_is_gone_is_not_counted_again(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    rows = Day(11, requests=200).rows
    old = [row for row in rows if row.identity.day == DAY]
    await compact(pool)
    before = await look(outsider)
    with pytest.raises(DataRefusedError, match="holds 2026-09-21 no more"):
        await fold(store, old[:10])
    await Partitions(pool).ensure_around(DAY)
    assert "events_20260921" not in await partitions(outsider)
    assert await look(outsider) == before
    await fold(store, [row for row in rows if row.identity.day == NEXT_DAY])
    assert await look(outsider) == before


async def test_a_late_reward_of_a_session_that_began_on_a_compacted_day_finds_its_trial(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    rng = random.Random(3)
    session = {"session_hash": b"midnight", "policy_epoch": 9}
    shown = [
        learned(IMPRESSION, claims(uuid7(rng, MIDNIGHT_MS + hour * HOUR_MS), posting=hour, **session))
        for hour in (23, 25)
    ]
    await fold(store, shown)
    await compact(pool)
    decided = shown[1].event.claims
    assert decided is not None
    await fold(store, [learned(VIEW, decided)])
    trial = await outsider.fetchrow(
        "select bucket, rewarded from feed_trials where session_hash = 'midnight'"
    )
    assert trial is not None
    assert tuple(trial) == (NOON, True)
    assert (await verify_stats(pool, 10)).clean
    assert await outsider.fetchval("select count(*) from feed_counts where reward_count > trial_count") == 0


def follower(store: PostgresCountStore, clock: FixedClock) -> Following:
    """A gateway whose evidence is the plain counts."""
    policy = Policy(exposure=Exposure(mode="seen", half_life_hours=0))
    kinds = {name: replace(kind, maturity_hours=0) for name, kind in policy.kinds.items()}
    policies = MemoryPolicyStore(clock, first=replace(policy, kinds=kinds))
    return Following(1, policies, store, clock)


async def known(following: Following) -> dict[int, list[float]]:
    """Evidence by posting, rounded to where sums of the same numbers in another order agree."""
    evidence = (await following.view(None)).evidence
    both = np.concatenate((evidence.exposures, evidence.successes)).round(9)
    return {posting: both[:, row].tolist() for posting, row in evidence.rows.items()}


async def test_a_gateway_that_follows_through_a_compaction_believes_the_same(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider", clock: FixedClock
) -> None:
    here, away = follower(store, clock), follower(store, clock)
    before = await known(here)
    assert await known(away) == before
    assert sum(map(sum, before.values())) > 100
    compaction = Compaction(pool)
    await compact(pool)
    assert await known(here) == before
    assert await compaction.clear(after_s=3600.0) == 0
    assert await compaction.clear(after_s=-1.0) > 0
    assert await outsider.fetchval("select count(*) from item_counts where count = 0") == 0
    assert await known(here) == before
    assert await known(away) == before  # heard nothing of it until now
    assert await known(follower(store, clock)) == before


async def test_what_fades_by_the_hour_fades_by_the_day_almost_alike(
    store: PostgresCountStore, pool: Pool, clock: FixedClock
) -> None:
    """Ten days later, under the policy that everybody begins with."""
    clock.advance(10 * 24 * 3600.0)
    following = Following(1, MemoryPolicyStore(clock, first=Policy()), store, clock)
    before = (await following.view(None)).evidence
    await compact(pool)
    after = (await following.view(None)).evidence
    assert before.exposures.sum() > 50
    np.testing.assert_allclose(after.exposures, before.exposures, rtol=0.06)
    np.testing.assert_allclose(after.successes, before.successes, rtol=0.06)


async def test_what_a_gateway_missed_is_read_anew_and_only_once(
    store: PostgresCountStore, pool: Pool, clock: FixedClock
) -> None:
    horizon = (await store.changed_since(1, None)).horizon
    compaction = Compaction(pool)
    await compact(pool)
    assert not (await store.changed_since(1, horizon)).complete
    await compaction.clear(after_s=-1.0)
    changes = await store.changed_since(1, horizon)
    assert changes.complete
    assert not (await store.changed_since(1, changes.horizon)).complete


async def test_a_look_in_parts_that_a_clearing_interrupts_begins_again(
    store: PostgresCountStore, pool: Pool, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    following, compaction = follower(store, clock), Compaction(pool)
    before = await known(following)
    await compact(pool)
    plain, parts = store.changed_since, 0

    async def in_parts(tenant_id: int, horizon: int | None, after: Any = None) -> Any:
        nonlocal parts
        parts += 1
        if parts == 2:
            await compaction.clear(after_s=-1.0)
        return await plain(tenant_id, horizon, after, most=7)

    monkeypatch.setattr(store, "changed_since", in_parts)
    assert await known(following) == before
    assert parts > 4


@pytest.fixture
async def dropped(store: PostgresCountStore, pool: Pool) -> PostgresCountStore:
    """The day is gone, and nothing of it is summed yet."""
    assert await Compaction(pool).drop_day(NEXT_DAY) == DAY
    return store


@pytest.mark.parametrize("pieces", [0, 1, 3, 8, 20, 40])
async def test_broken_off_between_pieces_it_goes_on_where_it_was(
    dropped: PostgresCountStore, pool: Pool, outsider: "Outsider", clock: FixedClock, pieces: int
) -> None:
    here = follower(dropped, clock)
    before, believed = await look(outsider), await known(here)
    all_hours = await outsider.fetchval(HOURS_LEFT, HOUR)
    summed = await Compaction(pool, Stops(pieces), piece_rows=40).sum_hours()
    left = await outsider.fetchval(HOURS_LEFT, HOUR)
    assert summed == all_hours - left
    assert bool(left) == bool(await outsider.fetchval(UNSUMMED)) == (pieces < 40)
    assert await look(outsider) == before
    assert await known(here) == believed
    assert await known(follower(dropped, clock)) == believed
    assert await Compaction(pool).clear(after_s=-1.0) == 0 or not left
    assert await Compaction(pool, piece_rows=40).sum_hours() == left
    assert not await outsider.fetchval(UNSUMMED)
    assert await look(outsider) == before
    assert await known(here) == believed


async def test_at_every_moment_counts_are_true_and_a_rebuild_changes_nothing(
    dropped: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    before = await look(outsider)

    async def look_around() -> None:
        verdict = await verify_stats(pool, 10)
        assert verdict.clean, verdict.differences
        assert await correct_counts(pool) == Corrected(0, 0, 0, 0)
        assert await look(outsider) == before

    stops = Stops(None, look_around)
    await Compaction(pool, stops, piece_rows=40).sum_hours()
    await Compaction(pool, stops, piece_rows=40).clear(after_s=-1.0)
    await look_around()
    assert stops.pieces > 20


async def test_what_is_damaged_is_put_right_while_a_day_is_summed(
    dropped: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    """What is wrong lies in the day that the ledger holds."""
    before = await look(outsider)
    await Compaction(pool, Stops(2), piece_rows=40).sum_hours()
    wrong = "update item_counts set count = count + 1 where tenant_id = 1 and bucket > $1"
    await outsider.execute(wrong, HOUR + 23)
    corrected = await correct_counts(pool)
    assert corrected.item_counts > 0
    assert await look(outsider) == before
    assert (await verify_stats(pool, 10)).clean


async def test_changes_of_items_are_numbered_while_a_day_is_summed(
    dropped: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    """And what a gateway has heard of, it need not read again."""
    feed = PostgresChangeFeed(pool)
    catalog = PostgresCatalogStore(pool)
    horizons = []

    async def look_around() -> None:
        await catalog.upsert(1, [Item(ItemId("a"), (Place(1.0, 2.0),))], 1_790_000_000.0)
        assert await feed.sequence() == 1
        horizons.append(await dropped.horizon())

    stops = Stops(None, look_around)
    await Compaction(pool, stops, piece_rows=40).sum_hours()
    await Compaction(pool, stops, piece_rows=40).clear(after_s=-1.0)
    assert len(horizons) > 20
    assert all(earlier < later for earlier, later in pairwise(horizons))


async def test_a_recount_holds_no_change_up(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much it has found already."""
    await outsider.execute("update item_counts set count = count + 1")
    keep, horizons = correcting._keep, []

    async def keep_and_look(*arguments: Any) -> int:
        kept = await keep(*arguments)
        await outsider.execute("update tenants set display_name = 'another'")
        horizons.append(await store.horizon())
        return kept

    monkeypatch.setattr(correcting, "_keep", keep_and_look)
    assert (await correct_counts(pool)).item_counts > 0
    assert all(earlier < later for earlier, later in pairwise(horizons))
    assert len(horizons) == 3


async def test_what_is_added_to_an_hour_while_it_is_summed_is_not_lost(
    dropped: PostgresCountStore, pool: Pool, outsider: "Outsider", database: str
) -> None:
    """Nobody does; should it happen, the count waits for another compaction, or is in this one."""
    total = "select sum(count) from item_counts where bucket between $1 and $1 + 23"
    before = await outsider.fetchval(total, HOUR)
    writer = await asyncpg.connect(database)
    async with writer.transaction():
        changed = await writer.execute(
            "update item_counts set count = count + 1 where bucket = $1 and tenant_id = 1", HOUR + 22
        )
        summing = asyncio.create_task(Compaction(pool).sum_hours())
        await eventually(lambda: held_up(outsider), 10.0, bool)
    await summing
    await writer.close()
    assert await outsider.fetchval(total, HOUR) == before + affected(changed)
    assert not await outsider.fetchval(HOURS_LEFT, HOUR)


async def test_killed_in_the_middle_of_a_piece_it_goes_on_where_it_was(
    dropped: PostgresCountStore, pool: Pool, outsider: "Outsider", database: str
) -> None:
    before = await look(outsider)
    writer = await asyncpg.connect(database)
    async with writer.transaction():
        await writer.execute(
            "select from item_counts where tenant_id = 2 and bucket < $1 for update", NOON + 12
        )
        summing = asyncio.create_task(Compaction(pool, piece_rows=40).sum_hours())
        await eventually(lambda: held_up(outsider), 10.0, bool)
        await outsider.execute(
            "select pg_terminate_backend(pid) from pg_locks where not granted"
            " and pid <> all(pg_blocking_pids(pg_backend_pid()))"
        )
        with pytest.raises(StoreUnavailableError):
            await summing
    await writer.close()
    assert await look(outsider) == before
    assert await outsider.fetchval(UNSUMMED) == 1
    assert await Compaction(pool, piece_rows=40).sum_hours() > 0
    assert not await outsider.fetchval(HOURS_LEFT, HOUR)
    assert await look(outsider) == before


async def held_up(outsider: "Outsider") -> int:
    """How many wait for another's transaction."""
    waiting: int = await outsider.fetchval("select count(*) from pg_locks where not granted")
    return waiting


async def test_zeros_that_were_cleared_in_part_are_missed_by_nobody(
    store: PostgresCountStore, pool: Pool, clock: FixedClock
) -> None:
    away = follower(store, clock)
    before = await known(away)
    await compact(pool)
    assert await Compaction(pool, Stops(3), piece_rows=40).clear(after_s=-1.0) > 0
    assert await known(away) == before
    assert await Compaction(pool).clear(after_s=-1.0) > 0
    assert await known(away) == before


async def test_a_rebuild_gives_way_to_a_compaction(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it found belongs to hours that are no more."""
    wrong = "update item_counts set count = count + 1 where tenant_id = 1 and bucket < $1"
    await outsider.execute(wrong, NOON + 12)
    apply = correcting._apply

    async def compact_and_apply(*arguments: Any, **named: Any) -> Corrected:
        await compact(pool)
        return await apply(*arguments, **named)

    monkeypatch.setattr(correcting, "_apply", compact_and_apply)
    with pytest.raises(StoreUnavailableError, match="run it again"):
        await correct_counts(pool)


async def test_trials_go_once_their_epoch_ended_long_before_the_first_day(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    first = datetime(2026, 9, 21, tzinfo=UTC)
    await outsider.execute(
        "insert into policy_revisions values (1, 1, '', '', '', ''), (2, 1, '', '', '', '')"
    )
    for epoch, days in ((1, -5), (2, -3), (3, -1)):
        await outsider.execute(
            "insert into policy_epochs values (1, $1, 1, '{}', $2)", epoch, first + timedelta(days)
        )
    before = await outsider.fetch(
        "select * from feed_trials where tenant_id = 2 or policy_epoch > 1 order by 1, 2, 3, 4"
    )
    pruned = await Compaction(pool).prune_trials(NEXT_DAY)
    assert pruned > 0
    assert await outsider.fetch("select * from feed_trials order by 1, 2, 3, 4") == before
    assert await Compaction(pool).prune_trials(NEXT_DAY) == 0


async def test_every_tenant_has_a_say_in_what_is_kept(
    store: PostgresCountStore, pool: Pool, outsider: "Outsider"
) -> None:
    await outsider.execute("update tenants set suspended_at = now() where slug = 'two'")
    assert await Compaction(pool).tenant_ids() == [1, 2]
    assert (
        abs(
            await Compaction(pool).now_s()
            - await outsider.fetchval("select extract(epoch from now())::float8")
        )
        < 60
    )
