"""What is served is counted while answering, and written later."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from nearcast_server import serving
from nearcast_server.recommending import Slate
from nearcast_server.serving import ServedTally
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.served.memory import MemoryServedStore
from nearcast_store.served.protocol import ServedKey
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics, render
from tests.unit.server.scene import HOUR, TENANT, Scene, make_area, make_query, make_view, only_feed, town


class Shelf(MemoryServedStore):
    """A store that can be away."""

    away = False
    calls = 0

    async def add(self, counts: Mapping[ServedKey, int]) -> None:
        self.calls += 1
        if self.away:
            raise StoreUnavailableError("away")
        await super().add(counts)


class SlowShelf(Shelf):
    """Lets an answer be given while it writes."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    async def add(self, counts: Mapping[ServedKey, int]) -> None:
        await super().add(counts)
        self.meanwhile()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def tally(shelf: Shelf, registry: CollectorRegistry) -> ServedTally:
    return ServedTally(shelf, Metrics(registry, SERVER_METRICS))


@pytest.fixture
def scene() -> Scene:
    return town(30, make_view(only_feed("nearest")))


async def slate(scene: Scene, limit: int = 3, page_token: str = "") -> Slate:
    return await scene.ask(make_query(make_area(limit=limit), page_token=page_token))


async def test_each_item_counts_where_it_stood_on_every_page(
    scene: Scene, tally: ServedTally, shelf: Shelf
) -> None:
    first = await slate(scene, 22)
    tally.note(first)
    tally.note(await slate(scene, 22, first.next_page_token))
    tally.note(await slate(scene, 1))
    await tally.write()
    feed = scene.view.revision.feeds["nearest"]
    assert shelf.counts[ServedKey(TENANT, 1, 0, HOUR, 1, feed, explore=False)] == 2
    assert shelf.counts[ServedKey(TENANT, 20, 0, HOUR, 20, feed, explore=False)] == 1
    assert shelf.counts[ServedKey(TENANT, 23, 0, HOUR, 25, feed, explore=False)] == 1
    assert sum(shelf.counts.values()) == 31


async def test_each_market_that_was_asked_from_is_counted_by_itself(
    scene: Scene, tally: ServedTally, shelf: Shelf
) -> None:
    answer = await slate(scene)
    for market in (0, 7, 7):
        tally.note(replace(answer, market=market))
    await tally.write()
    feed = scene.view.revision.feeds["nearest"]
    assert shelf.counts[ServedKey(TENANT, 1, 0, HOUR, 1, feed, explore=False)] == 1
    assert shelf.counts[ServedKey(TENANT, 1, 7, HOUR, 1, feed, explore=False)] == 2
    await tally.write()
    assert shelf.calls == 1


async def test_nothing_is_written_while_nothing_is_served(
    scene: Scene, tally: ServedTally, shelf: Shelf
) -> None:
    tally.note(await slate(Scene(make_view())))
    await tally.write()
    assert shelf.calls == 0
    tally.note(await slate(scene))
    await tally.write()
    await tally.write()
    assert shelf.calls == 1


async def test_what_cannot_be_written_is_written_later(
    scene: Scene, tally: ServedTally, shelf: Shelf
) -> None:
    shelf.away = True
    for _ in range(3):
        tally.note(await slate(scene))
        await tally.write()
    shelf.away = False
    await tally.write_last()
    assert await shelf.served_of(TENANT, [1, 2, 3]) == {1: 3, 2: 3, 3: 3}


async def test_what_is_kept_is_bounded_and_what_is_dropped_is_counted(
    scene: Scene,
    tally: ServedTally,
    shelf: Shelf,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "MOST_KEPT", 4)
    shelf.away = True
    for limit in (3, 5, 5, 5):
        tally.note(await slate(scene, limit))
        await tally.write()
    shelf.away = False
    await tally.write()
    assert await shelf.served_of(TENANT, range(1, 6)) == {1: 2, 2: 2, 3: 2, 4: 1, 5: 1}
    assert b"nearcast_server_served_dropped_total 10.0" in render(registry)
    tally.note(await slate(scene))
    await tally.write()
    assert await shelf.served_of(TENANT, [1]) == {1: 3}


async def test_large_sums_are_written_in_parts_and_a_part_that_was_written_stays_so(
    scene: Scene, tally: ServedTally, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "WRITTEN_AT_ONCE", 2)
    tally.note(await slate(scene, 5))
    add = shelf.add

    async def second_fails(counts: Mapping[ServedKey, int]) -> None:
        shelf.away = shelf.calls == 1
        await add(counts)

    monkeypatch.setattr(shelf, "add", second_fails)
    await tally.write()
    assert sum(shelf.counts.values()) == 2
    await tally.write()
    assert set(shelf.counts.values()) == {1}
    assert len(shelf.counts) == 5


async def test_what_is_served_while_a_write_is_under_way_is_written_next(scene: Scene) -> None:
    answers = [await slate(scene), await slate(scene, 5)]
    shelf = SlowShelf(lambda: busy.note(answers.pop()) if answers else None)
    busy = ServedTally(shelf, Metrics(CollectorRegistry(), SERVER_METRICS))
    busy.note(await slate(scene))
    await busy.write()
    assert await shelf.served_of(TENANT, range(1, 6)) == {1: 1, 2: 1, 3: 1}
    await busy.write()
    await busy.write()
    assert await shelf.served_of(TENANT, range(1, 6)) == {1: 3, 2: 3, 3: 3, 4: 1, 5: 1}
