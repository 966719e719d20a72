"""The outbox under concurrency: whoever follows the numbered changes ends with what the catalogue holds."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from nearcast_catalogue.item import Item, Place, ServedItem
from nearcast_catalogue.posting import ItemId
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.catalog.protocol import Verdict
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore

NOW = 1_790_000_000.0


@dataclass(slots=True)
class World:
    pool: Pool
    catalog: PostgresCatalogStore
    feed: PostgresChangeFeed
    tenant: int


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    pool = await open_pool(database, size=8, timeout_s=20.0)
    tenant = await PostgresTenantStore(pool).ensure_tenant("one", "")
    yield World(pool, PostgresCatalogStore(pool), PostgresChangeFeed(pool), tenant)
    await pool.close()


@pytest.fixture
async def outsider(database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def thing(item_id: str, title: str = "", expires_at: float | None = None, version: int = 0) -> Item:
    return Item(ItemId(item_id), (Place(1.0, 2.0),), title=title, expires_at=expires_at, version=version)


async def followed(world: World) -> dict[int, ServedItem]:
    """What an index holds that applied every change in order."""
    while await world.feed.sequence():
        pass
    changes = await world.feed.after(world.tenant, 0, 1_000_000)
    assert [change.sequence for change in changes] == list(range(1, len(changes) + 1))
    held: dict[int, ServedItem] = {}
    for change in changes:
        if change.served is None:
            held.pop(change.posting, None)
        else:
            held[change.posting] = change.served
    return held


async def living(world: World) -> dict[int, ServedItem]:
    async with world.feed.refill(world.tenant) as (_, batches):
        return {served.posting: served async for batch in batches for served in batch}


async def test_concurrent_writers_and_followers_end_alike(world: World) -> None:
    """Small and large calls overlap, in any order of ids, while changes are numbered all along."""
    done = asyncio.Event()

    async def write(seed: int) -> None:
        rng = random.Random(seed)
        for turn in range(12):
            ids = [f"i{n}" for n in rng.sample(range(40), rng.choice((1, 2, 5, 30)))]
            if rng.random() < 0.25:
                await world.catalog.delete(world.tenant, ids[:5], NOW + turn)
            else:
                items = [thing(each, f"{seed}.{turn}", rng.choice((None, NOW + 5))) for each in ids]
                await world.catalog.upsert(world.tenant, items, NOW + turn)

    async def keep() -> None:
        while not done.is_set():
            await world.feed.sequence(most=7)
            await world.catalog.sweep(NOW + 6)

    keeper = asyncio.create_task(keep())
    await asyncio.gather(*(write(seed) for seed in range(6)))
    done.set()
    await keeper
    assert await followed(world) == await living(world)


async def test_new_ids_written_at_once_get_one_posting(world: World) -> None:
    calls = [
        world.catalog.upsert(world.tenant, [thing(f"n{n}", str(call)) for n in range(size)], NOW)
        for call, size in enumerate((3, 30, 3, 30, 16, 17))
    ]
    results = await asyncio.gather(*calls)
    assert all(result.verdict is Verdict.WRITTEN for call in results for result in call)
    for n in range(30):
        mine = [call[n] for call in results if n < len(call)]
        assert len({result.posting for result in mine}) == 1
        assert sorted(result.version for result in mine) == list(range(1, len(mine) + 1))
        assert sum(result.created for result in mine) == 1
    assert await followed(world) == await living(world)


async def test_of_two_concurrent_writers_of_one_version_one_wins(world: World) -> None:
    calls = [world.catalog.upsert(world.tenant, [thing("a", str(n), version=7)], NOW) for n in range(5)]
    verdicts = [result.verdict for call in await asyncio.gather(*calls) for result in call]
    assert sorted(verdict.name for verdict in verdicts) == ["STALE"] * 4 + ["WRITTEN"]


async def test_a_late_committer_is_never_skipped(
    world: World, outsider: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """It took its place in the outbox first and commits last."""
    late = outsider.transaction()
    await late.start()
    await outsider.execute("insert into outbox (tenant_id, posting) values ($1, 999)", world.tenant)
    await world.catalog.upsert(world.tenant, [thing("a")], NOW)
    assert await world.feed.sequence() == 0
    await late.commit()
    assert await world.feed.sequence() == 2
    changes = await world.feed.after(world.tenant, 0, 10)
    assert [(change.sequence, change.served is None) for change in changes] == [(1, True), (2, False)]


async def test_a_rolled_back_writer_leaves_no_gap(
    world: World, outsider: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    failed = outsider.transaction()
    await failed.start()
    await outsider.execute("insert into outbox (tenant_id, posting) values ($1, 999)", world.tenant)
    await world.catalog.upsert(world.tenant, [thing("a")], NOW)
    await failed.rollback()
    await world.catalog.upsert(world.tenant, [thing("b")], NOW)
    assert await world.feed.sequence() == 2
    assert [change.sequence for change in await world.feed.after(world.tenant, 0, 10)] == [1, 2]


async def test_two_relays_number_everything_once(world: World) -> None:
    await world.catalog.upsert(world.tenant, [thing(f"{n:03}") for n in range(200)], NOW)
    numbered = await asyncio.gather(*(world.feed.sequence(most=60) for _ in range(5)))
    assert sum(numbered) == 200
    assert len(await followed(world)) == 200


async def test_a_refill_and_what_follows_it_end_in_the_same_state(world: World) -> None:
    """Items may show what is numbered only later; applying that again changes nothing in the end."""
    await world.catalog.upsert(world.tenant, [thing(f"{n:03}", "old") for n in range(50)], NOW)
    await world.feed.sequence(most=20)
    await world.catalog.delete(world.tenant, ["001", "040"], NOW)
    async with world.feed.refill(world.tenant) as (sequence, batches):
        await world.catalog.upsert(world.tenant, [thing("002", "new"), thing("x")], NOW)
        held: dict[int, ServedItem] = {served.posting: served async for batch in batches for served in batch}
    assert sequence == 20
    while await world.feed.sequence():
        pass
    for change in await world.feed.after(world.tenant, sequence, 1000):
        if change.served is None:
            held.pop(change.posting, None)
        else:
            held[change.posting] = change.served
    assert held == await living(world)


async def test_nothing_is_told_of_a_write_that_failed(world: World) -> None:
    with pytest.raises(Exception, match="refuses"):
        await world.catalog.upsert(world.tenant, [thing("a"), thing("b", "NUL \x00")], NOW)
    assert await world.catalog.get(world.tenant, "a") is None
    assert await followed(world) == {}


async def test_five_hundred_items_are_one_transaction(
    world: World, outsider: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    results = await world.catalog.upsert(world.tenant, [thing(f"{n:03}") for n in range(500)], NOW)
    assert len(results) == 500
    assert await outsider.fetchval("select count(distinct xid) from outbox") == 1
    assert await outsider.fetchval("select count(*) from postings where ended_at is null") == 500


async def test_lives_are_kept_with_their_ends(
    world: World, outsider: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await world.catalog.upsert(world.tenant, [thing("a", "1", NOW + 10), thing("b", "1", NOW + 90)], NOW)
    await world.catalog.upsert(world.tenant, [thing("a", "2", NOW + 50)], NOW + 20)
    await world.catalog.sweep(NOW + 60)
    await world.catalog.delete(world.tenant, ["b"], NOW + 70)
    rows = await outsider.fetch(
        "select item_id, title, extract(epoch from ended_at - to_timestamp($1))::int as after"
        " from postings order by posting",
        NOW,
    )
    assert [tuple(row) for row in rows] == [("a", "1", 10), ("b", "1", 70), ("a", "2", 50)]
