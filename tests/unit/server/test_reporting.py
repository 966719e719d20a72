"""What GetStats says, from counts in memory."""

import pytest

from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_ledger.event import AcceptedEvent, Durability, Unlearned
from nearcast_ledger.identity import identity_of, implied_impression
from nearcast_server.errors import InvalidRequestError
from nearcast_server.reporting import Reporter
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch, LedgerRow
from nearcast_store.served.memory import MemoryServedStore
from tests.unit.server.scene import NOW, Scene, make_epoch, make_query, make_served, make_view, with_epochs


class Bureau:
    """A town whose people act, and the report of it."""

    def __init__(self) -> None:
        view = make_view()
        self.scene = Scene(with_epochs(view, make_epoch(view, 1, (0.1, 0.2, 0.3, 0.4))))
        self.counts = MemoryCountStore()
        self.catalog = MemoryCatalogStore(MemoryChangeFeed(lambda: NOW))
        self.served = MemoryServedStore()
        self.reporter = Reporter(
            self.counts, self.catalog, self.served, self.scene.tenancies, lambda: self.scene.now
        )

    async def put(self, *item_ids: str) -> dict[str, int]:
        items = [
            Item(ItemId(item_id), (Place(59.91, 10.75),), title=f"The {item_id}") for item_id in item_ids
        ]
        results = await self.catalog.upsert(1, items, NOW)
        postings = {item_id: result.posting for item_id, result in zip(item_ids, results, strict=True)}
        self.scene.put(*(make_served(posting, item_id=item_id) for item_id, posting in postings.items()))
        return postings

    async def act(self, item_id: str, *kinds: int, session: str = "") -> None:
        slate = await self.scene.ask(make_query(session_id=session))
        token = next(p.token for p in slate.items if p.shown.item_id == item_id)
        claims = self.scene.view.tokens.rewards.verify(token, 1)
        events = [AcceptedEvent(kind, Unlearned.LEARNED, claims) for kind in kinds]
        implied = [found for event in events if (found := implied_impression(event))]
        rows = [
            LedgerRow(
                identity_of(1, event), event, event in implied, 0, "g", Durability.MEMORY, event.kind > 1
            )
            for event in (*events, *implied)
        ]
        await self.counts.fold(Batch(rows))


async def test_counts_are_exact_and_posteriors_are_those_of_recommend() -> None:
    bureau = Bureau()
    await bureau.put("a", "b")
    for _ in range(3):
        await bureau.act("a", 1)
    await bureau.act("a", 1, 4)
    report = await bureau.reporter.report(1, ["a", "b", "nobody", "a"], 0)
    assert [(item.item_id, item.title) for item in report.items] == [("a", "The a"), ("b", "The b")]
    found = {kind.kind: kind for kind in report.items[0].kinds}
    assert {name: kind.count for name, kind in found.items()} == {
        "impression": 4,
        "view": 0,
        "save": 0,
        "apply": 1,
    }
    policy = bureau.scene.view.revision.policy
    prior = policy.kinds["apply"]
    assert found["apply"].a == pytest.approx(prior.prior_mean * prior.prior_strength + found["apply"].success)
    assert found["apply"].rate == pytest.approx(found["apply"].a / (found["apply"].a + found["apply"].b))
    assert (found["impression"].a, found["impression"].rate) == (0.0, 0.0)
    assert {total.kind: total.count for total in report.totals} == {
        "impression": 4,
        "view": 0,
        "save": 0,
        "apply": 1,
    }


async def test_without_ids_the_most_seen_come_first() -> None:
    bureau = Bureau()
    await bureau.put("a", "b", "c")
    for item_id, times in (("a", 1), ("b", 3), ("c", 2)):
        for _ in range(times):
            await bureau.act(item_id, 1)
    report = await bureau.reporter.report(1, [], 2)
    assert [item.item_id for item in report.items] == ["b", "c"]
    assert len((await bureau.reporter.report(1, [], 10**9)).items) == 3


async def test_feeds_are_counted_once_per_session_and_shares_add_up() -> None:
    bureau = Bureau()
    await bureau.put("a")
    for _ in range(4):
        await bureau.act("a", 1, session="s1")
    await bureau.act("a", 4, session="s2")
    report = await bureau.reporter.report(1, [], 0)
    assert sum(feed.trials for feed in report.feeds) == 2
    assert sum(feed.rewards for feed in report.feeds) == 1
    assert [feed.probability for feed in report.feeds] == [0.1, 0.2, 0.3, 0.4]
    assert report.epoch == 1


async def test_before_the_first_epoch_there_are_no_shares_to_tell() -> None:
    bureau = Bureau()
    bureau.scene.show(make_view())
    report = await bureau.reporter.report(1, [], 0)
    assert {feed.probability for feed in report.feeds} == {0.0}
    assert (report.epoch, list(report.items)) == (0, [])


@pytest.mark.parametrize(
    ("item_ids", "size", "field"), [(["a", "b b"], 0, "item_ids[1]"), ([], -1, "page_size")]
)
async def test_what_is_wrong_is_named(item_ids: list[str], size: int, field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await Bureau().reporter.report(1, item_ids, size)
    assert raised.value.violations[0].field == field
