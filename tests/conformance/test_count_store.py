"""What every store of counts does, in memory and in Postgres."""

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest

from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.kinds import APPLY, IMPRESSION, PASSED_OVER, SAVE, VIEW
from nearcast_ledger.surface import surface_number
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import (
    Batch,
    CountRow,
    DeadLetter,
    FeedCount,
    FoldResult,
    LedgerRow,
    ShardProgress,
)
from nearcast_store.postgres import open_pool
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

Store = MemoryCountStore | PostgresCountStore
HOUR = MIDNIGHT_MS // HOUR_MS


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def store(dsn: str | None) -> AsyncIterator[Store]:
    if dsn is None:
        yield MemoryCountStore()
        return
    pool = await open_pool(dsn, size=4, timeout_s=10.0)
    yield PostgresCountStore(pool)
    await pool.close()


def shown(seed: int = 1, hour: int = 0, **fields: object) -> LedgerRow:
    """An impression of a request of its own."""
    return learned(IMPRESSION, claims(uuid7(random.Random(seed), MIDNIGHT_MS + hour * HOUR_MS), **fields))


def acted(kind: int, on: LedgerRow) -> LedgerRow:
    assert on.event.claims is not None
    return learned(kind, on.event.claims)


async def counts(store: Store, tenant: int = 1) -> list[CountRow]:
    return sorted(each for each in (await store.changed_since(tenant, None)).rows if each.count)


def expected_counts(rows: Iterable[LedgerRow], tenant: int) -> list[CountRow]:
    """Counted anew, from what the rows say and nothing else."""
    places = (*range(21), *[25] * 10, *[40] * 20, *[75] * 1000)
    seen = {
        (each.event.claims.request_id, each.event.claims.posting, each.event.kind): each.event.claims
        for each in rows
        if each.event.claims and not each.event.unlearned and each.identity.tenant_id == tenant
    }
    stops = {
        (each.event.claims.request_id, each.event.claims.posting, each.event.kind)
        for each in rows
        if each.event.claims and each.cascades and each.event.kind != IMPRESSION
    }
    last = {
        request_id: max(seen[each].position for each in stops & seen.keys() if each[0] == request_id)
        for request_id, _, _ in stops & seen.keys()
    }
    read_until_left = {each.event.claims.request_id for each in rows if each.event.claims and each.cascades}
    for (request_id, posting, kind), said in list(seen.items()):
        below = request_id in last and said.position > last[request_id]
        if kind == IMPRESSION and request_id in read_until_left and below:
            seen[request_id, posting, PASSED_OVER] = said
    counted = Counter(
        (
            said.posting,
            said.market,
            kind,
            (request_id.int >> 80) // HOUR_MS,
            places[said.position],
            said.feed,
            said.explore,
        )
        for (request_id, _, kind), said in seen.items()
    )
    return sorted(CountRow(*key, count) for key, count in counted.items())


def expected_feeds(rows: Iterable[LedgerRow], tenant: int) -> list[FeedCount]:
    """One trial per epoch, session and feed, where and when it was shown first."""
    places: defaultdict[tuple[int, bytes, int], set[tuple[int, int, int]]] = defaultdict(set)
    rewarded: set[tuple[int, bytes, int]] = set()
    for each in rows:
        said = each.event.claims
        if not said or each.event.unlearned or said.explore or not said.policy_epoch:
            continue
        if said.tenant_id != tenant or each.event.kind not in (IMPRESSION, VIEW, APPLY):
            continue
        trial = (said.policy_epoch, said.session_hash, said.feed)
        places[trial].add(((said.request_id.int >> 80) // HOUR_MS, said.market, said.scenario // 512))
        if each.event.kind != IMPRESSION:
            rewarded.add(trial)
    trials: Counter[tuple[int, int, int, int]] = Counter()
    rewards: Counter[tuple[int, int, int, int]] = Counter()
    for trial, where in places.items():
        bucket, market, segment = min(where)
        trials[market, trial[2], bucket, segment] += 1
        rewards[market, trial[2], bucket, segment] += trial in rewarded
    return [FeedCount(*key[:3], trials[key], rewards[key], key[3]) for key in sorted(trials)]


def splits(rows: Sequence[LedgerRow], rng: random.Random) -> list[list[LedgerRow]]:
    """The rows in any order, some of them again and again, in batches of any size."""
    again = [*rows, *rng.choices(rows, k=len(rows) // 2)]
    rng.shuffle(again)
    batches = []
    while again:
        size = rng.choice((1, 3, 20, 200))
        batches.append(again[:size])
        again = again[size:]
    return batches


@pytest.mark.parametrize("seed", range(5))
async def test_order_repetition_and_splitting_never_matter(store: Store, seed: int) -> None:
    rows = Day(seed).rows
    batches = splits(rows, random.Random(seed + 100))
    results = [await store.fold(Batch(batch)) for batch in batches]
    for tenant in (1, 2):
        assert await counts(store, tenant) == expected_counts(rows, tenant)
        assert await store.feed_counts(tenant) == expected_feeds(rows, tenant)
    reported = sum(not each.implied for batch in batches for each in batch)
    assert sum(result.counted + result.duplicate for result in results) == reported


@pytest.mark.parametrize("seed", range(8))
async def test_it_never_matters_when_an_event_came_that_is_not_learned_from(store: Store, seed: int) -> None:
    """Of one identity learned, unlearned and implied rows come in any order, in one batch or in several."""
    rng = random.Random(seed)
    rows = Day(seed + 50, requests=30).rows
    twins = [unlearned(each) for each in rows if each.event.claims and rng.random() < 0.6]
    for batch in splits([*rows, *twins], rng):
        await store.fold(Batch(batch))
    for tenant in (1, 2):
        expected = expected_counts(rows, tenant)
        assert await counts(store, tenant) == expected
        assert await store.feed_counts(tenant) == expected_feeds(rows, tenant)
        totals: Counter[int] = Counter()
        for each in expected:
            totals[each.kind] += each.count * (each.kind != PASSED_OVER)
        assert await store.totals(tenant) == +totals


async def test_what_comes_to_be_learned_from_is_counted_then_and_for_good(store: Store) -> None:
    first = shown()
    for late, timely in ((unlearned(first), first), (unlearned(acted(VIEW, first)), acted(VIEW, first))):
        assert await store.fold(Batch([late])) == FoldResult(1, 0, 0)
        assert await store.fold(Batch([timely])) == FoldResult(1, 0, 0)
        assert await store.fold(Batch([late, timely])) == FoldResult(0, 2, 0)
        assert await store.fold(Batch([late])) == FoldResult(0, 1, 0)
    assert [(each.kind, each.count) for each in await counts(store)] == [(IMPRESSION, 1), (VIEW, 1)]
    assert await store.feed_counts(1) == [FeedCount(0, 2, HOUR, 1, 1)]


async def test_the_same_batch_again_counts_nothing(store: Store) -> None:
    rows = [each for each in Day(3).rows if not each.implied]
    identities = {each.identity for each in rows}
    assert (await store.fold(Batch(rows))).counted == len(identities)
    before = await counts(store), await store.feed_counts(1)
    assert await store.fold(Batch(rows)) == FoldResult(0, len(rows), 0)
    assert (await counts(store), await store.feed_counts(1)) == before


async def test_an_event_is_counted_by_all_that_its_token_says(store: Store) -> None:
    first = shown(hour=5, posting=77, market=3, position=33, feed=4, explore=True)
    await store.fold(Batch([first, acted(SAVE, first)]))
    assert await counts(store) == [
        CountRow(77, 3, IMPRESSION, HOUR + 5, 40, 4, True, 1),
        CountRow(77, 3, SAVE, HOUR + 5, 40, 4, True, 1),
    ]


async def test_an_implied_impression_and_the_real_one_count_once(store: Store) -> None:
    real = shown()
    implied = row(real.event, implied=True)
    view = acted(VIEW, real)
    assert await store.fold(Batch([view, implied])) == FoldResult(1, 0, 0)
    assert await store.fold(Batch([real])) == FoldResult(0, 1, 0)
    assert [(each.kind, each.count) for each in await counts(store)] == [(IMPRESSION, 1), (VIEW, 1)]
    assert await store.fold(Batch([implied, real, view])) == FoldResult(0, 2, 0)


async def test_of_one_batch_the_reported_event_is_kept_instead_of_the_implied(store: Store) -> None:
    real = shown()
    assert await store.fold(Batch([row(real.event, implied=True), real, real])) == FoldResult(1, 1, 0)


async def test_what_is_not_learned_from_is_stored_and_never_counted(store: Store) -> None:
    said = shown().event.claims
    late = row(AcceptedEvent(VIEW, Unlearned.TOKEN_EXPIRED, said))
    stray = row(AcceptedEvent(VIEW, Unlearned.TOKEN_MISSING, event_id=uuid7(random.Random(9), MIDNIGHT_MS)))
    assert await store.fold(Batch([late, stray])) == FoldResult(2, 0, 0)
    assert await store.fold(Batch([late, stray])) == FoldResult(0, 2, 0)
    assert await counts(store) == []
    assert await store.feed_counts(1) == []


async def test_a_session_is_one_trial_of_a_feed_and_is_rewarded_once(store: Store) -> None:
    first, second = shown(1), shown(2, posting=11)
    await store.fold(Batch([first, second]))
    assert await store.feed_counts(1) == [FeedCount(0, 2, HOUR, 1, 0)]
    await store.fold(Batch([acted(SAVE, first)]))  # does not reward feeds
    assert await store.feed_counts(1) == [FeedCount(0, 2, HOUR, 1, 0)]
    await store.fold(Batch([acted(VIEW, second)]))
    await store.fold(Batch([acted(APPLY, first)]))
    assert await store.feed_counts(1) == [FeedCount(0, 2, HOUR, 1, 1)]


async def test_a_trial_counts_where_the_session_was_shown_the_feed_first(store: Store) -> None:
    late = shown(1, hour=3, market=1)
    await store.fold(Batch([late, acted(VIEW, late)]))
    assert await store.feed_counts(1) == [FeedCount(1, 2, HOUR + 3, 1, 1)]
    await store.fold(Batch([shown(2, hour=1, market=2)]))
    assert await store.feed_counts(1) == [FeedCount(2, 2, HOUR + 1, 1, 1)]
    await store.fold(Batch([shown(3, hour=2, market=0)]))
    assert await store.feed_counts(1) == [FeedCount(2, 2, HOUR + 1, 1, 1)]


async def test_a_trial_counts_for_the_segment_that_asked_first(store: Store) -> None:
    first, later = shown(1, hour=2, scenario=surface_number(4, 3)), shown(2, hour=1, scenario=4)
    await store.fold(Batch([first, acted(VIEW, first)]))
    assert await store.feed_counts(1) == [FeedCount(0, 2, HOUR + 2, 1, 1, 3)]
    other = shown(3, hour=2, scenario=surface_number(4, 5), session_hash=b"another!")
    await store.fold(Batch([other]))
    assert await store.feed_counts(1) == [
        FeedCount(0, 2, HOUR + 2, 1, 1, 3),
        FeedCount(0, 2, HOUR + 2, 1, 0, 5),
    ]
    await store.fold(Batch([later]))
    assert await store.feed_counts(1) == [
        FeedCount(0, 2, HOUR + 1, 1, 1, 0),
        FeedCount(0, 2, HOUR + 2, 1, 0, 5),
    ]


async def test_exploring_and_epochless_answers_are_no_trials(store: Store) -> None:
    rows = [shown(1, explore=True, feed=1), shown(2, policy_epoch=0)]
    await store.fold(Batch([*rows, *(acted(VIEW, each) for each in rows)]))
    assert len(await counts(store)) == 4
    assert await store.feed_counts(1) == []


async def test_epochs_sessions_and_feeds_are_trials_of_their_own(store: Store) -> None:
    await store.fold(
        Batch([shown(1), shown(2, policy_epoch=2), shown(3, session_hash=b"another!"), shown(4, feed=3)])
    )
    assert await store.feed_counts(1) == [FeedCount(0, 2, HOUR, 3, 0), FeedCount(0, 3, HOUR, 1, 0)]


async def test_looking_from_a_horizon_shows_what_changed_since_with_its_whole_count(store: Store) -> None:
    await store.fold(Batch([shown(1), shown(2, posting=11)]))
    first = await store.changed_since(1, None)
    assert first.complete
    assert sorted(each.posting for each in first.rows) == [10, 11]
    await store.fold(Batch([shown(3)]))
    second = await store.changed_since(1, first.horizon)
    assert not second.complete
    assert [(each.posting, each.count) for each in second.rows] == [(10, 2)]
    assert (await store.changed_since(1, second.horizon)).rows == []
    assert (await store.changed_since(2, None)).rows == []


async def look(store: Store, horizon: int | None, most: int) -> tuple[list[list[CountRow]], int]:
    """The parts of one look, and where the next one begins."""
    first = changes = await store.changed_since(1, horizon, most=most)
    parts = [list(first.rows)]
    while changes.more:
        changes = await store.changed_since(1, horizon, changes.rows[-1], most)
        assert changes.complete == first.complete
        parts.append(list(changes.rows))
    return parts, first.horizon


@pytest.mark.parametrize("most", [1, 7, 10_000])
async def test_a_look_in_parts_shows_every_count_once_in_the_order_of_keys(store: Store, most: int) -> None:
    for batch in splits(Day(11).rows, random.Random(most)):
        await store.fold(Batch(batch))
    everything = expected_counts(Day(11).rows, 1)
    parts, horizon = await look(store, None, most)
    assert [each for part in parts for each in part if each.count] == everything
    assert {len(part) for part in parts[:-1]} <= {most}
    changed = Day(12).rows[:40]
    await store.fold(Batch(changed))
    keys = {each[:-1] for each in expected_counts(changed, 1)}
    parts, _ = await look(store, horizon, most)
    assert [each[:-1] for part in parts for each in part] == sorted(keys)


async def test_what_changes_during_a_look_in_parts_is_seen_by_the_next(store: Store) -> None:
    """Before the place that was reached and after it, changed and new."""
    await store.fold(Batch([shown(n, posting=n) for n in (10, 20, 30, 40)]))
    first = await store.changed_since(1, None, most=2)
    assert [each.posting for each in first.rows] == [10, 20]
    assert first.more
    await store.fold(Batch([shown(n + 100, posting=n) for n in (5, 10, 35, 40)]))
    rest = await store.changed_since(1, None, first.rows[-1], 10)
    assert [each.posting for each in rest.rows] == [30, 35, 40]
    assert not rest.more
    following = await store.changed_since(1, first.horizon)
    assert [(each.posting, each.count) for each in following.rows] == [(5, 1), (10, 2), (35, 1), (40, 2)]


async def test_shuffled_answers_are_summed_by_market_day_and_position(store: Store) -> None:
    rows = Day(31, requests=200).rows
    await store.fold(Batch(rows))
    for first in (HOUR, HOUR + 25):
        shown, done = Counter[tuple[int, int, int]](), Counter[tuple[int, int, int]]()
        for each in expected_counts(rows, 1):
            place = (each.market, each.bucket // 24, each.position_bucket)
            if each.explore and each.bucket >= first:
                shown[place] += each.count * (each.kind == IMPRESSION)
                done[place] += each.count * (each.kind in (VIEW, APPLY))
        expected = [(*place, count, done[place]) for place, count in sorted(shown.items()) if count]
        assert [tuple(each) for each in await store.shuffled(1, first, [VIEW, APPLY])] == expected
        assert expected


async def test_a_horizon_of_another_server_means_everything(store: Store) -> None:
    await store.fold(Batch([shown(1)]))
    again = await store.changed_since(1, 2**60)
    assert again.complete
    assert len(again.rows) == 1
    assert again.horizon < 2**60


async def test_following_horizons_ends_in_the_same_counts(store: Store) -> None:
    rows = Day(11).rows
    known: dict[tuple[object, ...], int] = {}
    horizon: int | None = None
    for batch in splits(rows, random.Random(1)):
        await store.fold(Batch(batch))
        changes = await store.changed_since(1, horizon)
        known |= {each[:-1]: each.count for each in changes.rows}
        horizon = changes.horizon
    assert sorted((*key, count) for key, count in known.items() if count) == expected_counts(rows, 1)


async def test_counts_can_be_read_by_posting_rank_and_kind(store: Store) -> None:
    rows = [shown(n, posting=posting) for n, posting in enumerate((30, 30, 30, 10, 20, 20, 40, 40))]
    await store.fold(Batch([*rows, acted(VIEW, rows[3])]))
    assert await store.top_postings(1, 3) == [30, 20, 40]
    assert await store.totals(1) == {IMPRESSION: 8, VIEW: 1}
    await store.fold(Batch([shown(n, posting=40) for n in (100, 101)]))
    assert await store.top_postings(1, 2) == [40, 30]
    assert await store.totals(1) == {IMPRESSION: 10, VIEW: 1}
    assert {each.posting for each in await store.counts_of(1, [10, 40, 99])} == {10, 40}
    assert await store.totals(2) == {}


async def test_changed_postings_come_in_order_in_pages_and_with_their_sums(store: Store) -> None:
    before = await store.horizon()
    rows = [shown(n, posting=posting) for n, posting in enumerate((30, 30, 10, 20, 50))]
    await store.fold(Batch([*rows, acted(VIEW, rows[0])]))
    assert await store.changed_postings(1, before, 0, 10) == [10, 20, 30, 50]
    assert await store.changed_postings(1, 0, 0, 2) == [10, 20]
    assert await store.changed_postings(1, 0, 20, 2) == [30, 50]
    assert await store.changed_postings(2, 0, 0, 10) == []
    sums = {(30, IMPRESSION): 2, (30, VIEW): 1, (10, IMPRESSION): 1}
    assert await store.sums_of(1, [30, 10, 99]) == sums
    assert await store.sums_of(2, [30]) == {}
    later = await store.horizon()
    assert later >= (await store.changed_since(1, before)).horizon
    await store.fold(Batch([shown(9, posting=20)]))
    assert await store.changed_postings(1, later, 0, 10) == [20]


async def test_tenants_share_nothing(store: Store) -> None:
    mine = shown(1)
    said = claims(mine.identity.origin_id, tenant_id=2)
    assert (await store.fold(Batch([mine, learned(IMPRESSION, said)]))).counted == 2
    for tenant in (1, 2):
        assert [each.count for each in await counts(store, tenant)] == [1]
        assert await store.feed_counts(tenant) == [FeedCount(0, 2, HOUR, 1, 0)]


async def test_nothing_to_fold_is_fine(store: Store) -> None:
    assert await store.fold(Batch([])) == FoldResult(0, 0, 0)


async def test_dead_letters_and_progress_can_be_folded_again(store: Store) -> None:
    batch = Batch(
        [],
        [DeadLetter(1, 0, "5-1", 2, "TEXT_NUL", "detail", b"\x00bytes")],
        [ShardProgress(1, 0, "5-1", 1)],
    )
    assert await store.fold(batch) == FoldResult(0, 0, 1)
    assert await store.fold(batch) == FoldResult(0, 0, 1)
