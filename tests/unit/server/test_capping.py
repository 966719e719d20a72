"""What pauses by its impressions of the last hour, and that nobody is shown it meanwhile."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.caps import Caps
from nearcast_config.policy import Exploration
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_server.capping import ITEMS_HOLD_S, OWNERS_HOLD_S, Capped, Capper
from nearcast_server.evidence import Learner
from nearcast_server.impressions import Lately
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.protocol import CountRow
from tests.conftest import FixedClock
from tests.unit.server.scene import (
    HOUR,
    TENANT,
    ids_of,
    make_area,
    make_count,
    make_query,
    make_revision,
    make_view,
    town,
)

HALF_PAST = HOUR * 3600 + 1800.0


def lately(counts: Iterable[CountRow], now_s: float = HALF_PAST) -> Lately:
    learner = Learner()
    learner.follow(make_revision(), now_s)
    learner.learn(counts)
    return learner.last_hours().lately(now_s)


def shown(posting: int, *by_hour: int) -> list[CountRow]:
    """So often in this hour, the one before, and so on; and liked, which caps do not look at."""
    return [
        make_count(posting, kind, count, bucket=HOUR - ago)
        for ago, count in enumerate(by_hour)
        for kind in (IMPRESSION, VIEW)
    ]


def paused(capped: Capped, now_s: float = HALF_PAST) -> list[int]:
    return capped.at(now_s).tolist()


class Catalogue:
    """Items with owners; how often it was asked."""

    def __init__(self) -> None:
        self.store = MemoryCatalogStore(MemoryChangeFeed(lambda: HALF_PAST))
        self.asked = 0

    async def put(self, name: str, owner: str) -> int:
        item = Item(ItemId(name), (Place(0.0, 0.0),), owner=owner)
        (written,) = await self.store.upsert(TENANT, [item], HALF_PAST)
        return written.posting

    async def owners_of(self, tenant_id: int, postings: Sequence[int]) -> dict[int, str]:
        self.asked += 1
        return await self.store.owners_of(tenant_id, postings)

    async def items_of(self, tenant_id: int, owners: Sequence[str]) -> dict[int, str]:
        self.asked += 1
        return await self.store.items_of(tenant_id, owners)


async def test_the_last_hour_is_this_one_and_what_is_left_of_the_one_before() -> None:
    counts = [*shown(1, 60), *shown(2, 20, 82), *shown(3, 20, 78), *shown(4, 0, 0, 900), *shown(5, 0, 122)]
    capped = await Capper(TENANT, None).capped(Caps(item_per_hour=60), lately(counts))
    assert paused(capped) == [1, 2, 5]
    assert capped.by_item == 3


async def test_what_pauses_comes_back_by_itself() -> None:
    """Also where the statistics stay as they are because the store is away."""
    counts = [*shown(1, 60), *shown(2, 90), *shown(3, 20, 100)]
    capped = await Capper(TENANT, None).capped(Caps(item_per_hour=60), lately(counts))
    assert paused(capped) == [1, 2, 3]
    assert paused(capped, HALF_PAST + 361) == [1, 2]
    assert paused(capped, HALF_PAST + 1801) == [2]
    assert paused(capped, HALF_PAST + 1800 + 1201) == []


async def test_all_items_of_an_owner_pause_also_those_never_shown() -> None:
    catalogue = Catalogue()
    first, second, third = [await catalogue.put(name, "anna") for name in "abc"]
    other, nobodys = await catalogue.put("d", "bert"), await catalogue.put("e", "")
    counts = [*shown(first, 40), *shown(second, 30), *shown(other, 69), *shown(nobodys, 500)]
    capped = await Capper(TENANT, catalogue).capped(Caps(owner_per_hour=70), lately(counts))
    assert paused(capped) == [first, second, third]
    assert capped.by_item == 0


async def test_who_pauses_twice_pauses_for_the_longer_time() -> None:
    catalogue = Catalogue()
    first, second = await catalogue.put("a", "anna"), await catalogue.put("b", "anna")
    counts = [*shown(first, 90), *shown(second, 90)]
    capped = await Capper(TENANT, catalogue).capped(Caps(item_per_hour=60, owner_per_hour=90), lately(counts))
    assert paused(capped, HALF_PAST + 1800 + 1201) == [first, second]
    assert paused(capped, HALF_PAST + 1800 + 1801) == []


async def test_owners_are_asked_for_anew_now_and_then() -> None:
    """A new item of who pauses is found soon; one that changed hands a little later."""
    catalogue = Catalogue()
    posting, other = await catalogue.put("a", "anna"), await catalogue.put("b", "bert")
    caps, capper, learner = Caps(owner_per_hour=10), Capper(TENANT, catalogue), Learner()
    learner.follow(make_revision(), HALF_PAST)
    learner.learn(shown(posting, 10))

    async def paused_at(now_s: float) -> list[int]:
        return paused(await capper.capped(caps, learner.last_hours().lately(now_s)), now_s)

    assert await paused_at(HALF_PAST) == [posting]
    asked = catalogue.asked
    await catalogue.put("b", "anna")
    assert await paused_at(HALF_PAST) == [posting]
    assert catalogue.asked == asked
    assert await paused_at(HALF_PAST + ITEMS_HOLD_S) == [posting, other]
    await catalogue.put("a", "bert")
    # They have changed hands: what was shown is bert's now, and nothing of anna's was.
    assert await paused_at(HALF_PAST + OWNERS_HOLD_S) == [posting]


async def test_whose_an_item_is_stays_right_when_everything_is_read_anew() -> None:
    """Then postings have other numbers inside."""
    catalogue = Catalogue()
    annas, berts = await catalogue.put("a", "anna"), await catalogue.put("b", "bert")
    caps, capper, learner = Caps(owner_per_hour=10), Capper(TENANT, catalogue), Learner()
    learner.follow(make_revision(), HALF_PAST)
    for rows in ([*shown(annas, 10), *shown(berts, 1)], [*shown(berts, 10), *shown(annas, 1)]):
        learner.forget()
        for row in rows:
            learner.learn([row])
        found = paused(await capper.capped(caps, learner.last_hours().lately(HALF_PAST)))
    assert found == [berts]


def test_the_last_hours_are_the_same_however_they_were_learned() -> None:
    """Read at once or kept up, in whatever order; hours long past are no longer there."""
    rng = np.random.default_rng(4)
    rows = [
        make_count(posting, kind, int(rng.integers(0, 50)), position=position, bucket=HOUR - ago)
        for posting in range(1, 40)
        for kind in (IMPRESSION, VIEW)
        for position in (1, 2)
        for ago in range(6)
    ]
    learner = Learner()
    learner.follow(make_revision(), HALF_PAST)
    learner.last_hours()
    for part in np.array_split(rng.permutation(len(rows)), 9):
        learner.learn([rows[index] for index in part.tolist()])
    found = learner.last_hours().lately(HALF_PAST)
    for ago, counts in ((0, found.current), (1, found.before)):
        told = dict(zip(found.postings, counts.tolist(), strict=True))
        for posting in range(1, 40):
            assert told[posting] == sum(
                row.count
                for row in rows
                if (row.posting, row.kind, row.bucket) == (posting, IMPRESSION, HOUR - ago)
            )


async def test_where_nothing_was_shown_nothing_pauses(clock: FixedClock) -> None:
    capped = await Capper(TENANT, Catalogue()).capped(Caps(item_per_hour=1, owner_per_hour=1), lately([]))
    assert len(capped) == 0
    assert paused(capped) == []


@pytest.mark.parametrize("explored", [0.0, 0.5])
async def test_what_pauses_is_shown_to_nobody_and_then_again(explored: float) -> None:
    """Not by a feed and not by the exploration floor."""
    view = make_view()
    policy = msgspec.structs.replace(view.revision.policy, exploration=Exploration(share=explored))
    scene = town(12, make_view(policy))
    query = make_query(make_area(limit=20))
    capped = await Capper(TENANT, None).capped(Caps(item_per_hour=9), lately(shown(3, 9), scene.now))
    scene.show(replace(scene.view, capped=capped))
    for _ in range(12):
        slate = await scene.ask(query)
        assert "item-0003" not in ids_of(slate)
        assert (len(ids_of(slate)), slate.finding.eligible) == (11, 11)
    scene.now = (HOUR + 1) * 3600 + 1.0
    assert "item-0003" in ids_of(await scene.ask(query))
