"""What is compared with the index behind a request's back, and what is made of a difference."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import ServedItem
from nearcast_server.finding import ByFeed, Finding, Search
from nearcast_server.gathering import Reach
from nearcast_server.searching import IndexFinder
from nearcast_server.shadowing import Comparison, Shadow
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.gateways import eventually
from tests.unit.server.scene import CENTER, NOW, TENANT, make_served, make_view


@dataclass
class Sides:
    """Two copies of the items, asked in the same way; they stand in for replica and index."""

    ours: dict[int, ServedItem]
    theirs: dict[int, ServedItem]
    paused: Callable[[], None] = lambda: None
    pauses: int = 0
    was_abreast: bool = False
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        comparison = Comparison(_Copy(self.ours), _Index(self.theirs), self)
        self.shadow = Shadow(
            1.0, comparison, lambda: 0.0, lambda: NOW, Metrics(self.registry, SERVER_METRICS)
        )

    async def of(
        self, tenant_id: int, postings: Iterable[int]
    ) -> tuple[Mapping[int, int], Mapping[int, int]]:
        ours, theirs = (
            {p: items[p].version for p in postings if p in items} for items in (self.ours, self.theirs)
        )
        return ours, theirs

    def abreast_at(self, tenant_id: int) -> float:
        return NOW if self.was_abreast else NOW - 0.1

    async def check(self, radius_m: float = 5000.0, most: int = 100):
        reach = Reach(radius_m, radius_m, 50_000.0, (2.0, 4.0), 5, most)
        search = Search(make_view(), CENTER, reach, Filter(), ByFeed("draw", 1), 5, NOW)

        async def pause() -> None:
            self.pauses += 1
            self.paused()

        return await self.shadow.check(search, pause)

    def checks(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("nearcast_server_shadow_checks_total", {"outcome": outcome})


class _Copy:
    def __init__(self, items: dict[int, ServedItem]) -> None:
        self.items = items

    def find(self, search: Search) -> Finding:
        finding = _finished(_Index(self.items).find(search))
        assert isinstance(finding, Finding)
        return finding


class _Index:
    def __init__(self, items: dict[int, ServedItem]) -> None:
        self.items = items

    async def find(self, search: Search) -> Finding:
        index = MemoryGeoIndex()
        for served in self.items.values():
            index.put(TENANT, served)
        return await IndexFinder(index).find(search)


def _finished(coroutine: Any) -> object:
    """What a coroutine that never waits comes to."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value.value


def items(*postings: int) -> dict[int, ServedItem]:
    return {posting: make_served(posting, 100.0 * posting) for posting in postings}


def newer(served: ServedItem, distance_m: float) -> ServedItem:
    moved = make_served(served.posting, distance_m)
    return ServedItem(moved.posting, served.version + 1, moved.born_at, moved.item)


async def test_equal_sides_are_alike_and_need_no_second_look() -> None:
    sides = Sides(items(*range(1, 20)), items(*range(1, 20)))
    assert (await sides.check())[:3] == (frozenset(), 19, 0)
    assert (sides.pauses, sides.checks("alike"), sides.checks("different")) == (0, 1, None)
    assert not sides.shadow.doubts(TENANT)


@pytest.mark.parametrize("lost", ["replica", "index"])
async def test_an_item_that_one_side_leaves_out_is_a_difference(lost: str) -> None:
    """A planted bug: the item is held in the same version, and not found."""
    sides = Sides(items(*range(1, 20)), items(*range(1, 20)))
    blind = Comparison(
        _Blind(sides.ours, 7) if lost == "replica" else _Copy(sides.ours),
        _BlindIndex(sides.theirs, 7) if lost == "index" else _Index(sides.theirs),
        sides,
    )
    sides.shadow._comparison = blind
    assert (await sides.check()).different == {7}
    assert (sides.pauses, sides.checks("different")) == (1, 1)
    assert sides.shadow.doubts(TENANT)
    assert sides.shadow.doubted() == [TENANT]
    assert not sides.shadow.doubts(TENANT + 1)


class _Blind(_Copy):
    def __init__(self, items: dict[int, ServedItem], posting: int) -> None:
        super().__init__({key: served for key, served in items.items() if key != posting})


class _BlindIndex(_Index):
    def __init__(self, items: dict[int, ServedItem], posting: int) -> None:
        super().__init__({key: served for key, served in items.items() if key != posting})


async def test_an_item_at_another_distance_is_a_difference() -> None:
    ours, theirs = items(*range(1, 9)), items(*range(1, 9))
    ours[4] = make_served(4, 400.01)
    assert (await Sides(ours, theirs).check()).different == {4}


async def test_what_is_on_its_way_is_skipped() -> None:
    ours, theirs = items(1, 2, 3, 4), items(1, 2, 3, 5)
    theirs[3] = newer(theirs[3], 900.0)
    found = await Sides(ours, theirs).check()
    assert found[:3] == (frozenset(), 2, 3)


@pytest.mark.parametrize("was_abreast", [True, False])
async def test_a_change_that_never_came_is_a_difference_once_the_replica_was_abreast(
    was_abreast: bool,
) -> None:
    """3 was changed, 4 came to its end, 5 was born, and the replica was told of none of it."""
    ours, theirs = items(1, 2, 3, 4), items(1, 2, 3, 5)
    theirs[3] = newer(theirs[3], 900.0)
    sides = Sides(ours, theirs, was_abreast=was_abreast)
    found = await sides.check()
    assert found.different == ({3, 4, 5} if was_abreast else frozenset())
    assert (found.alike, found.skipped) == ((2, 0) if was_abreast else (2, 3))
    assert sides.shadow.doubts(TENANT) is was_abreast


async def test_a_change_that_comes_before_the_second_look_is_none() -> None:
    """The item has changed again by then: the versions still differ, but the replica has come farther."""
    ours, theirs = items(1, 2, 3), items(1, 2, 3)
    theirs[3] = newer(theirs[3], 310.0)
    sides = Sides(ours, theirs, was_abreast=True)

    def go_on() -> None:
        ours[3], theirs[3] = theirs[3], newer(theirs[3], 320.0)

    sides.paused = go_on
    assert (await sides.check())[:3] == (frozenset(), 2, 1)


async def test_a_difference_that_passes_is_none() -> None:
    ours, theirs = items(1, 2, 3), items(1, 2, 3)
    ours[3] = make_served(3, 901.0)
    sides = Sides(ours, theirs)

    def settle() -> None:
        ours[3] = theirs[3]

    sides.paused = settle
    assert (await sides.check()).different == frozenset()
    assert (sides.pauses, sides.checks("alike")) == (1, 1)


async def test_a_side_that_looked_farther_is_compared_within_the_smaller_circle() -> None:
    """Five are enough: the replica has the fifth within the first circle, the index needs the second."""
    ours, theirs = items(1, 2, 3, 4, 5, 30), items(1, 2, 3, 4, 30)
    found = await Sides(ours, theirs).check(radius_m=600.0)
    assert found[:3] == (frozenset(), 4, 1)


async def test_of_more_than_one_call_may_look_at_only_the_nearest_are_compared() -> None:
    found = await Sides(items(*range(1, 30)), items(*range(2, 31))).check(most=10)
    assert found.different == frozenset()
    assert found.alike == 8


async def test_one_check_does_not_wait_for_another() -> None:
    sides, stop, both = Sides(items(1), items(1)), asyncio.Event(), asyncio.Barrier(2)

    class Meeting(_Index):
        async def find(self, search: Search) -> Finding:
            await both.wait()
            return await super().find(search)

    sides.shadow._comparison = Comparison(_Copy(sides.ours), Meeting(sides.theirs), sides)
    reach = Reach(500.0, 500.0, 500.0, (), 5, 100)
    for _ in range(2):
        sides.shadow.note(Search(make_view(), CENTER, reach, Filter(), ByFeed("draw", 1), 5, NOW))
    running = asyncio.create_task(sides.shadow.run(stop))

    async def alike() -> object:
        return sides.checks("alike") == 2

    await eventually(alike, 20.0)
    stop.set()
    await running


async def test_an_index_that_is_away_is_no_difference() -> None:
    sides, stop = Sides(items(1), items(1)), asyncio.Event()

    class Away:
        async def find(self, search: Search) -> Finding:
            raise IndexUnavailableError("away")

    sides.shadow._comparison = Comparison(_Copy(sides.ours), Away(), sides)
    reach = Reach(500.0, 500.0, 500.0, (), 5, 100)
    sides.shadow.note(Search(make_view(), CENTER, reach, Filter(), ByFeed("draw", 1), 5, NOW))
    running = asyncio.create_task(sides.shadow.run(stop))

    async def dropped() -> object:
        return sides.checks("dropped")

    await eventually(dropped, 20.0)
    stop.set()
    await running
    assert not sides.shadow.doubts(TENANT)
