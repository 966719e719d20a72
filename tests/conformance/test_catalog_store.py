"""What every catalogue does, in memory and in Postgres."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from nearcast_catalogue.checking import MAX_VERSION
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, Tag
from nearcast_catalogue.posting import ItemId
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.catalog.protocol import Verdict, WriteResult
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.changes.postgres import PostgresChangeFeed
from nearcast_store.postgres import open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore

NOW = 1_790_000_000.25
WRITTEN, STALE, MISMATCH, NOT_FOUND = (
    Verdict.WRITTEN,
    Verdict.STALE,
    Verdict.ETAG_MISMATCH,
    Verdict.NOT_FOUND,
)


@dataclass(slots=True)
class World:
    """One catalogue, the feed that hears of it, and two tenants."""

    catalog: MemoryCatalogStore | PostgresCatalogStore
    feed: MemoryChangeFeed | PostgresChangeFeed
    tenant: int
    other: int

    async def put(self, *items: Item, now: float = NOW) -> list[WriteResult]:
        return await self.catalog.upsert(self.tenant, items, now)

    async def put_one(self, item: Item, now: float = NOW) -> WriteResult:
        (result,) = await self.put(item, now=now)
        return result

    async def heard(self) -> list[tuple[int, int | None]]:
        """Posting and version (None: gone) of everything told so far, in order."""
        while await self.feed.sequence():
            pass
        changes = await self.feed.after(self.tenant, 0, 1000)
        return [(change.posting, change.served.version if change.served else None) for change in changes]


@pytest.fixture(params=["memory", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("database")


@pytest.fixture
async def world(dsn: str | None) -> AsyncIterator[World]:
    if dsn is None:
        feed = MemoryChangeFeed(lambda: NOW)
        yield World(MemoryCatalogStore(feed), feed, 1, 2)
        return
    pool = await open_pool(dsn, size=4, timeout_s=10.0)
    tenants = PostgresTenantStore(pool, lambda: NOW)
    one, two = await tenants.ensure_tenant("one", "One"), await tenants.ensure_tenant("two", "Two")
    yield World(PostgresCatalogStore(pool), PostgresChangeFeed(pool), one, two)
    await pool.close()


def thing(item_id: str = "a", **fields: Any) -> Item:
    return Item(ItemId(item_id), (Place(59.91, 10.75),), **fields)


FULL = Item(
    ItemId("full.item~1"),
    (Place(59.9139123456789, -180.0), Place(-0.0, 1e-12)),
    reach_m=20_000.5,
    tags=(Tag("job", 0.1), Tag("ærlig 日本")),
    category="work",
    owner="Ola & co",
    title='Kokk "søkes" \\ nå',
    url="https://example.com/a?b=c",
    image_url="https://example.com/a.png",
    attributes={"pay": "1e400", "z": "", "a": "line\nbreak"},
    starts_at=1_700_000_000.123456789,
    expires_at=1_999_999_999.5,
    hours=WeeklyHours("Europe/Oslo", (OpeningInterval(0, 480, 960), OpeningInterval(6, 0, 2880))),
)


async def test_an_item_comes_back_as_it_was_written(world: World) -> None:
    result = await world.put_one(FULL)
    assert (result.verdict, result.version, result.created) == (WRITTEN, 1, True)
    stored = await world.catalog.get(world.tenant, "full.item~1")
    assert stored is not None
    expected = msgspec.structs.replace(FULL, version=1, etag=result.etag)
    assert stored.served.item == expected
    assert (stored.served.posting, stored.served.version) == (result.posting, 1)
    assert (stored.served.born_at, stored.updated_at) == (NOW, NOW)
    while await world.feed.sequence():
        pass
    (change,) = await world.feed.after(world.tenant, 0, 10)
    assert change.served == stored.served


async def test_version_zero_counts_up_and_keeps_the_posting(world: World) -> None:
    first = await world.put_one(thing(title="a"))
    second = await world.put_one(thing(title="b"), now=NOW + 60)
    assert (second.verdict, second.version, second.created) == (WRITTEN, 2, False)
    assert second.posting == first.posting
    assert second.etag != first.etag
    stored = await world.catalog.get(world.tenant, "a")
    assert stored is not None
    assert (stored.served.item.title, stored.served.born_at, stored.updated_at) == ("b", NOW, NOW + 60)
    assert await world.heard() == [(first.posting, 1), (first.posting, 2)]


@pytest.mark.parametrize(
    ("version", "title", "verdict", "kept", "told"),
    [
        (6, "new", WRITTEN, 6, True),
        (5, "old", WRITTEN, 5, False),
        (5, "new", STALE, 5, False),
        (4, "old", STALE, 5, False),
        (1, "new", STALE, 5, False),
    ],
)
async def test_an_older_version_never_overwrites(
    world: World, version: int, title: str, verdict: Verdict, kept: int, told: bool
) -> None:
    first = await world.put_one(thing(version=5, title="old"))
    result = await world.put_one(thing(version=version, title=title))
    assert (result.verdict, result.version, result.posting) == (verdict, kept, first.posting)
    stored = await world.catalog.get(world.tenant, "a")
    assert stored is not None
    assert stored.served.item.title == ("new" if told else "old")
    assert stored.served.item.etag == result.etag
    assert len(await world.heard()) == 1 + told


async def test_the_highest_version_can_be_written_over_and_deleted(world: World) -> None:
    await world.put_one(thing(version=MAX_VERSION))
    assert (await world.put_one(thing(title="b"))).version == MAX_VERSION
    (deleted,) = await world.catalog.delete(world.tenant, ["a"], NOW)
    assert (deleted.verdict, deleted.version) == (WRITTEN, MAX_VERSION)


async def test_an_etag_must_be_that_of_the_stored_item(world: World) -> None:
    first = await world.put_one(thing())
    wrong = await world.put_one(thing(title="b", etag="0" * 16))
    assert (wrong.verdict, wrong.etag, wrong.version) == (MISMATCH, first.etag, 1)
    right = await world.put_one(thing(title="b", etag=first.etag))
    assert (right.verdict, right.version) == (WRITTEN, 2)
    assert (await world.put_one(thing(title="c", etag=first.etag))).verdict is MISMATCH
    assert await world.put_one(thing("new", etag="0" * 16)) == WriteResult(MISMATCH)


async def test_one_item_never_spoils_the_others(world: World) -> None:
    await world.put(thing("a", version=9), thing("b"))
    results = await world.put(thing("a", version=1), thing("b", etag="nonsense"), thing("c"))
    assert [result.verdict for result in results] == [STALE, MISMATCH, WRITTEN]


async def test_nothing_is_written_for_no_items(world: World) -> None:
    assert await world.put() == []
    assert await world.catalog.delete(world.tenant, [], NOW) == []


async def test_a_deleted_item_is_gone_and_its_id_begins_a_new_life(world: World) -> None:
    first = await world.put_one(thing(title="first"))
    deleted, missing = await world.catalog.delete(world.tenant, ["a", "b"], NOW + 1)
    assert (deleted.verdict, deleted.version, deleted.posting) == (WRITTEN, 1, first.posting)
    assert missing == WriteResult(NOT_FOUND)
    assert await world.catalog.get(world.tenant, "a") is None
    assert (await world.catalog.delete(world.tenant, ["a"], NOW + 2))[0].verdict is NOT_FOUND
    again = await world.put_one(thing(title="again"), now=NOW + 3)
    assert (again.verdict, again.version, again.created) == (WRITTEN, 2, True)
    assert again.posting > first.posting
    assert await world.heard() == [(first.posting, 1), (first.posting, None), (again.posting, 2)]
    assert await world.catalog.names(world.tenant, [first.posting, again.posting, 999]) == {
        first.posting: ("a", "first"),
        again.posting: ("a", "again"),
    }
    assert await world.catalog.current_postings(world.tenant, ["a", "b"]) == {"a": again.posting}


async def test_deleting_an_id_twice_in_one_call_finds_it_once(world: World) -> None:
    await world.put_one(thing())
    results = await world.catalog.delete(world.tenant, ["a", "a"], NOW)
    assert [result.verdict for result in results] == [WRITTEN, NOT_FOUND]


async def test_a_tombstone_holds_back_older_versions_until_it_is_forgotten(world: World) -> None:
    await world.put_one(thing(version=5))
    await world.catalog.delete(world.tenant, ["a"], NOW)
    for version in (1, 4):
        result = await world.put_one(thing(version=version))
        assert (result.verdict, result.version) == (STALE, 5)
    assert await world.catalog.forget_tombstones(NOW) == 0
    assert await world.catalog.forget_tombstones(NOW + 1) == 1
    assert (await world.put_one(thing(version=4))).verdict is WRITTEN


@pytest.mark.parametrize(("version", "written"), [(5, 5), (6, 6), (0, 6)])
async def test_after_a_delete_the_owner_goes_on_with_the_same_version_or_the_next(
    world: World, version: int, written: int
) -> None:
    first = await world.put_one(thing(version=5))
    await world.catalog.delete(world.tenant, ["a"], NOW)
    again = await world.put_one(thing(version=version), now=NOW + 1)
    assert (again.verdict, again.version, again.created) == (WRITTEN, written, True)
    assert again.posting > first.posting
    assert await world.catalog.get(world.tenant, "a") is not None


async def test_an_etag_of_a_deleted_item_no_longer_matches(world: World) -> None:
    first = await world.put_one(thing())
    await world.catalog.delete(world.tenant, ["a"], NOW)
    assert (await world.put_one(thing(etag=first.etag))).verdict is MISMATCH


async def test_sweep_ends_what_expired_of_every_tenant(world: World) -> None:
    (mine,) = await world.put(thing(expires_at=NOW + 10))
    await world.put(thing("stays", expires_at=NOW + 11), thing("for ever"))
    await world.catalog.upsert(world.other, [thing(expires_at=NOW + 5)], NOW)
    assert await world.catalog.sweep(NOW + 9.9) == 1
    assert await world.catalog.sweep(NOW + 10) == 1
    assert await world.catalog.sweep(NOW + 10) == 0
    heard = await world.heard()
    assert heard[-1] == (mine.posting, None)
    assert len(heard) == 4


async def test_an_expired_item_can_be_read_until_it_is_forgotten(world: World) -> None:
    written = await world.put_one(thing(expires_at=NOW + 10))
    await world.catalog.sweep(NOW + 20)
    assert await world.catalog.get(world.tenant, "a") is not None
    assert await world.catalog.current_postings(world.tenant, ["a"]) == {"a": written.posting}
    assert await world.catalog.forget_tombstones(NOW + 11) == 1
    assert await world.catalog.get(world.tenant, "a") is None


@pytest.mark.parametrize("swept", [False, True])
async def test_an_expired_id_begins_a_new_life(world: World, swept: bool) -> None:
    first = await world.put_one(thing(expires_at=NOW + 10))
    if swept:
        await world.catalog.sweep(NOW + 10)
    again = await world.put_one(thing(expires_at=NOW + 30), now=NOW + 20)
    assert (again.verdict, again.version, again.created) == (WRITTEN, 2, True)
    assert again.posting > first.posting
    assert await world.heard() == [(first.posting, 1), (first.posting, None), (again.posting, 2)]
    stored = await world.catalog.get(world.tenant, "a")
    assert stored is not None
    assert stored.served.born_at == NOW + 20
    assert await world.catalog.sweep(NOW + 29) == 0


@pytest.mark.parametrize("ended", ["unswept", "swept", "deleted"])
async def test_what_has_ended_and_is_written_as_ended_begins_no_new_life(world: World, ended: str) -> None:
    first = await world.put_one(thing(expires_at=NOW + 10))
    if ended == "swept":
        await world.catalog.sweep(NOW + 10)
    if ended == "deleted":
        await world.catalog.delete(world.tenant, ["a"], NOW + 10)
    for later in (20, 30):
        again = await world.put_one(thing(title=f"{later}", expires_at=NOW + later), now=NOW + later)
        assert (again.verdict, again.posting, again.created) == (WRITTEN, first.posting, False)
        stored = await world.catalog.get(world.tenant, "a")
        assert stored is not None
        assert (stored.served.item.title, stored.served.version) == (f"{later}", again.version)
    await world.catalog.sweep(NOW + 30)
    assert await world.catalog.sweep(NOW + 30) == 0
    heard = await world.heard()
    assert {posting for posting, _ in heard} == {first.posting}
    assert heard[-1] == (first.posting, None)
    if ended != "unswept":
        assert heard == [(first.posting, 1), (first.posting, None)]
    alive = await world.put_one(thing(expires_at=NOW + 50), now=NOW + 40)
    assert alive.created
    assert alive.posting > first.posting
    assert (await world.heard())[-1] == (alive.posting, alive.version)


@pytest.mark.parametrize("swept", [False, True])
async def test_the_same_version_of_an_expired_item_changes_nothing(world: World, swept: bool) -> None:
    item = thing(expires_at=NOW + 10, version=4)
    first = await world.put_one(item)
    if swept:
        await world.catalog.sweep(NOW + 10)
    again = await world.put_one(item, now=NOW + 20)
    assert (again.verdict, again.posting, again.created) == (WRITTEN, first.posting, False)


@pytest.mark.parametrize("swept", [False, True])
async def test_an_expired_item_can_be_deleted(world: World, swept: bool) -> None:
    first = await world.put_one(thing(expires_at=NOW + 10))
    if swept:
        await world.catalog.sweep(NOW + 10)
    (deleted,) = await world.catalog.delete(world.tenant, ["a"], NOW + 20)
    assert (deleted.verdict, deleted.version) == (WRITTEN, 1)
    assert await world.catalog.get(world.tenant, "a") is None
    assert await world.catalog.sweep(NOW + 30) == 0
    assert await world.heard() == [(first.posting, 1), (first.posting, None)]


async def test_pages_go_through_all_ids_in_byte_order(world: World) -> None:
    ids = ["B", "a", "a.1", "a-1", "a_1", "a~1", "b", "0", "Z9"]
    await world.put(*map(thing, ids))
    await world.catalog.upsert(world.other, [thing("hidden")], NOW)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await world.catalog.page(world.tenant, after, 4, expired_too=False, now=NOW)
        seen += [stored.served.item.item_id for stored in page.items]
        after = page.last_item_id
    assert seen == sorted(ids, key=str.encode)


async def test_a_full_last_page_has_no_next(world: World) -> None:
    await world.put(thing("a"), thing("b"))
    page = await world.catalog.page(world.tenant, "", 2, expired_too=False, now=NOW)
    assert (len(page.items), page.last_item_id) == (2, None)


async def test_pages_hold_expired_items_only_when_asked_for(world: World) -> None:
    await world.put(thing("gone"), thing("late", expires_at=NOW + 2), thing("over", expires_at=NOW + 1))
    await world.catalog.delete(world.tenant, ["gone"], NOW)
    await world.catalog.sweep(NOW + 1)
    for expired_too, expected in ((False, []), (True, ["late", "over"])):
        page = await world.catalog.page(world.tenant, "", 9, expired_too=expired_too, now=NOW + 2)
        assert [stored.served.item.item_id for stored in page.items] == expected


async def test_tenants_share_nothing(world: World) -> None:
    mine = await world.put_one(thing(title="mine"))
    (theirs,) = await world.catalog.upsert(world.other, [thing(title="theirs")], NOW)
    assert (theirs.version, theirs.created) == (1, True)
    assert theirs.posting != mine.posting
    assert await world.catalog.names(world.tenant, [theirs.posting]) == {}
    await world.catalog.delete(world.other, ["a"], NOW)
    stored = await world.catalog.get(world.tenant, "a")
    assert stored is not None
    assert stored.served.item.title == "mine"


async def test_the_feed_numbers_without_gaps_and_can_be_resumed(world: World) -> None:
    for title in "abcde":
        await world.put(thing("x", title=title), thing("y", title=title))
    await world.catalog.upsert(world.other, [thing()], NOW)
    assert await world.feed.last(world.tenant) == 0
    assert await world.feed.oldest_kept(world.tenant) == 1
    while await world.feed.sequence(most=3):
        pass
    changes = await world.feed.after(world.tenant, 0, 100)
    assert [change.sequence for change in changes] == list(range(1, 11))
    assert [change.served.item.title for change in changes if change.served] == list("aabbccddee")
    assert await world.feed.after(world.tenant, 4, 3) == changes[4:7]
    assert await world.feed.after(world.tenant, 10, 3) == []
    assert await world.feed.last(world.tenant) == 10
    assert await world.feed.last(world.other) == 1


async def test_pruned_changes_are_gone_and_numbers_go_on(world: World) -> None:
    await world.put(thing("a"), thing("b"))
    await world.feed.sequence()
    assert await world.feed.prune(0.0) == 0
    assert await world.feed.oldest_kept(world.tenant) == 1
    assert await world.feed.prune(5e9) == 2
    assert await world.feed.oldest_kept(world.tenant) == 3
    assert await world.feed.after(world.tenant, 0, 9) == []
    await world.put(thing("c"))
    await world.feed.sequence()
    (change,) = await world.feed.after(world.tenant, 0, 9)
    assert (change.sequence, await world.feed.oldest_kept(world.tenant)) == (3, 3)


async def test_a_refill_holds_what_lives_at_one_moment(world: World) -> None:
    await world.put(*(thing(f"{number:04}", expires_at=NOW + number + 1) for number in range(1500)))
    await world.catalog.delete(world.tenant, ["0700"], NOW)
    await world.catalog.upsert(world.other, [thing("theirs")], NOW)
    await world.catalog.sweep(NOW + 100)
    while await world.feed.sequence():
        pass
    async with world.feed.refill(world.tenant) as (sequence, batches):
        await world.put(thing("later"))
        live = [served async for batch in batches for served in batch]
    assert sequence == await world.feed.last(world.tenant) == 1500 + 1 + 100
    assert [served.item.item_id for served in live] == [f"{n:04}" for n in range(100, 1500) if n != 700]
    assert all(served.item.etag and served.version == 1 for served in live)


async def test_items_are_counted_by_market_while_they_live(world: World) -> None:
    await world.put(thing("a"), thing("b"), thing("c"))
    await world.catalog.delete(world.tenant, ["c"], NOW)
    assert await world.catalog.count_by_market(world.tenant) == {0: 2}
    assert await world.catalog.count_by_market(world.other) == {}


async def test_regions_are_those_of_the_item_as_last_written_also_of_ended_lives(world: World) -> None:
    jobs, none = await world.put(thing("a", category="jobs"), thing("b"))
    await world.put(thing("a", category="gigs"))
    await world.catalog.delete(world.tenant, ["a"], NOW)
    asked = [jobs.posting, none.posting, 999_999]
    assert await world.catalog.regions(world.tenant, asked) == {
        jobs.posting: (0, "gigs"),
        none.posting: (0, ""),
    }
    assert await world.catalog.regions(world.other, asked) == {}


async def test_owners_are_those_of_the_item_as_last_written(world: World) -> None:
    one, two, none = await world.put(thing("a", owner="anna"), thing("b", owner="bert"), thing("c"))
    await world.put(thing("a", owner="bert"))
    asked = [one.posting, two.posting, none.posting, 999_999]
    assert await world.catalog.owners_of(world.tenant, asked) == {one.posting: "bert", two.posting: "bert"}
    assert await world.catalog.owners_of(world.other, asked) == {}


async def test_items_of_an_owner_are_those_that_live(world: World) -> None:
    one, two, three, _ = await world.put(
        thing("a", owner="anna"), thing("b", owner="bert"), thing("c", owner="bert"), thing("d")
    )
    await world.catalog.delete(world.tenant, ["c"], NOW)
    assert await world.catalog.items_of(world.tenant, ["bert", "anna", "nobody", ""]) == {
        one.posting: "anna",
        two.posting: "bert",
    }
    assert await world.catalog.items_of(world.other, ["bert"]) == {}
    assert three.posting in await world.catalog.owners_of(world.tenant, [three.posting])
