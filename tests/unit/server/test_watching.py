"""What a watcher is told over memory stores, with pages, cuts and resets at any place."""

from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.policy import Policy, Priors
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_server import noticeboard, watching
from nearcast_server.errors import InvalidRequestError, UnavailableError
from nearcast_server.following import Regional
from nearcast_server.noticeboard import Noticeboard, Watch
from nearcast_server.refreshing import Refresher
from nearcast_server.reporting import Reporter
from nearcast_server.tenancy import Tenancies
from nearcast_server.watching import StatsWatch, Update, Watcher, Wish
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.priors.memory import MemoryPriorStore
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from nearcast_store.served.memory import MemoryServedStore
from nearcast_store.tenants.memory import MemoryTenantStore
from tests.conformance.ledger_rows import MIDNIGHT_MS, claims, learned, uuid7

NOW = MIDNIGHT_MS / 1000 + 3600.0
Known = dict[str, int]


def clock() -> float:
    return NOW


@dataclass
class World:
    """A gateway's rules over memory, and what is really true."""

    random: Random = field(default_factory=lambda: Random(11))
    counts: MemoryCountStore = field(default_factory=MemoryCountStore)
    truth: Known = field(default_factory=dict)
    tenancies: Tenancies = field(default_factory=Tenancies)
    board: Noticeboard = field(default_factory=Noticeboard)

    async def open(self, items: int) -> "World":
        self.catalog = MemoryCatalogStore(MemoryChangeFeed(clock))
        tenants = MemoryTenantStore(clock)
        self.tenant_id = await tenants.ensure_tenant("one", "One")
        self.policies = MemoryPolicyStore(clock)
        self.priors = MemoryPriorStore()
        self.refresher = Refresher(
            self.tenancies,
            tenants,
            self.policies,
            self.counts,
            self.board,
            clock,
            Regional(priors=self.priors),
        )
        self.names = [f"item-{number:03d}" for number in range(items)]
        made = [Item(ItemId(name), (Place(59.9, 10.7),), title=name) for name in self.names]
        await self.catalog.upsert(self.tenant_id, made, NOW)
        self.postings = await self.catalog.current_postings(self.tenant_id, self.names)
        self.watch = StatsWatch(
            Reporter(self.counts, self.catalog, MemoryServedStore(), self.tenancies, clock),
            self.counts,
            self.tenancies,
            self.board,
        )
        return self

    async def see(self, *names: str) -> None:
        """People see these, and the keeper has counted it."""
        rows = []
        for name in names:
            shown = claims(
                uuid7(self.random, MIDNIGHT_MS), tenant_id=self.tenant_id, posting=self.postings[name]
            )
            rows.append(learned(IMPRESSION, shown))
            self.truth[name] = self.truth.get(name, 0) + 1
        await self.counts.fold(Batch(rows))

    async def fit(self, strength: float) -> None:
        """As the keeper publishes it."""
        prior = LevelPrior(Prior(0.2, strength), Level.ALL, FitKind.FITTED, 9, 9.0, 1.0, 1.0)
        await self.priors.publish(PriorFit(self.tenant_id, 1, b"", NOW, {VIEW: {EVERYWHERE: prior}}))

    async def look(self) -> None:
        """As the refresher does on its beat."""
        assert await self.refresher.refresh()

    def follow(self, stack: ExitStack, **wish: object) -> Watcher:
        return stack.enter_context(self.watch.follow(Wish(self.tenant_id, **wish)))  # type: ignore[arg-type]


@pytest.fixture
async def world() -> World:
    made = await World().open(items=30)
    await made.look()
    return made


@pytest.fixture
def pages_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAGE_ITEMS", 4)


async def hear(watcher: Watcher, known: Known, most: int = 1000) -> list[Update]:
    """Listen to so many messages, at most to all there are now."""
    heard: list[Update] = []
    async with aclosing(watcher.updates()) as updates:
        async for update in updates:
            heard.append(update)
            known.update({item.item_id: item.kinds[0].count for item in update.items})
            if len(heard) == most:
                break
    return heard


def sizes(heard: Sequence[Update]) -> list[int]:
    return [len(update.items) for update in heard]


async def test_what_changes_is_told_once_and_feeds_when_they_are_weighed_anew(world: World) -> None:
    with ExitStack() as stack:
        watcher, known = world.follow(stack), Known()
        (first,) = await hear(watcher, known)
        assert (sizes([first]), bool(first.feeds), first.settled) == ([0], True, True)
        assert await hear(watcher, known) == []
        await world.see("item-001", "item-001", "item-002")
        assert await hear(watcher, known) == [], "nobody has looked yet"
        await world.look()
        assert watcher.watch.woken.done()
        (update,) = await hear(watcher, known)
        assert known == {"item-001": 2, "item-002": 1}
        assert (update.feeds, update.settled) == ([], True)
        assert not watcher.watch.woken.done()
        assert await hear(watcher, known) == []


async def test_one_who_was_slow_is_told_the_latest_only(world: World) -> None:
    with ExitStack() as stack:
        watcher, known = world.follow(stack), Known()
        await hear(watcher, known)
        for _ in range(50):
            await world.see("item-001", "item-002")
            await world.look()
        assert sizes(await hear(watcher, known)) == [2]
        assert known == {"item-001": 50, "item-002": 50}


async def test_of_too_much_to_remember_the_store_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch, pages_of_four: None
) -> None:
    monkeypatch.setattr(noticeboard, "MOST_PENDING", 6)
    with ExitStack() as stack:
        watcher, known = world.follow(stack), Known()
        await hear(watcher, known)
        for name in world.names[:10]:
            await world.see(name)
            await world.look()
        heard = await hear(watcher, known)
        assert sizes(heard) == [4, 4, 2]
        assert known == world.truth
        await world.see("item-020")
        await world.look()
        assert sizes(await hear(watcher, known)) == [1], "and it keeps up again"


@pytest.mark.usefixtures("pages_of_four")
async def test_a_large_change_comes_in_pages_and_is_settled_by_the_last(world: World) -> None:
    with ExitStack() as stack:
        watcher, known = world.follow(stack), Known()
        await hear(watcher, known)
        await world.see(*world.names[:8])
        await world.look()
        heard = await hear(watcher, known)
        assert [(len(update.items), update.settled) for update in heard] == [(4, False), (4, True)]


@pytest.mark.usefixtures("pages_of_four")
async def test_a_snapshot_that_was_cut_goes_on_where_it_was(world: World) -> None:
    await world.see(*world.names[:10])
    await world.look()
    known: Known = {}
    with ExitStack() as stack:
        first = await hear(world.follow(stack, snapshot=True), known, most=1)
    await world.see(world.names[0], world.names[9])
    await world.look()
    with ExitStack() as stack:
        watcher = world.follow(stack, resume_token=first[-1].resume_token)
        await watcher.begin()
        again = await hear(watcher, known)
        assert known == world.truth
        assert sizes(again)[:2] == [4, 2], "the rest of the snapshot"
        assert again[-1].settled or (await watcher.sign_of_life()).settled


async def test_of_wished_items_all_is_told_at_first_and_then_what_changes(world: World) -> None:
    await world.see("item-003", "item-004")
    await world.look()
    with ExitStack() as stack:
        known: Known = {}
        watcher = world.follow(stack, item_ids=("item-004", "item-005", "gone"), snapshot=True)
        await hear(watcher, known)
        assert known == {"item-004": 1, "item-005": 0}
        await world.see("item-003", "item-005")
        await world.look()
        await hear(watcher, known)
        assert known == {"item-004": 1, "item-005": 1}


async def test_counts_of_another_server_are_told_anew(world: World) -> None:
    """A store that was restored to an earlier state has another future."""
    for name in world.names[:5]:
        await world.see(name)
        await world.look()
    known: Known = {}
    with ExitStack() as stack:
        watcher = world.follow(stack)
        token = (await hear(watcher, known))[-1].resume_token
        world.counts.__init__()  # type: ignore[misc]
        world.truth.clear()
        await world.see("item-007")
        await world.look()
        await hear(watcher, known)
        assert known == {"item-007": 1}
    with ExitStack() as stack:
        again = world.follow(stack, resume_token=token)
        await again.begin()
        known.clear()
        await hear(again, known)
        assert known == {"item-007": 1}


async def test_what_a_fit_moved_is_told_although_nobody_saw_it(world: World) -> None:
    learned = msgspec.structs.replace(Policy(), priors=Priors(mode="learned"))
    await world.policies.apply(world.tenant_id, learned, "tests", "")
    await world.see("item-001", "item-002")
    await world.look()
    with ExitStack() as stack:
        watcher, known = world.follow(stack), Known()
        await hear(watcher, known)
        assert await hear(watcher, known) == []
        await world.fit(500.0)
        await world.look()
        heard = await hear(watcher, known)
        assert {item.item_id for update in heard for item in update.items} == {"item-001", "item-002"}
        assert await hear(watcher, known) == []


async def test_whoever_was_away_is_told_what_a_fit_moved(world: World) -> None:
    learned = msgspec.structs.replace(Policy(), priors=Priors(mode="learned"))
    await world.policies.apply(world.tenant_id, learned, "tests", "")
    await world.see("item-001", "item-002")
    await world.look()
    with ExitStack() as stack:
        watcher, known = world.follow(stack), Known()
        await hear(watcher, known)
        token = (await watcher.sign_of_life()).resume_token
    await world.fit(500.0)
    await world.look()
    for expected in ({"item-001", "item-002"}, set()):
        with ExitStack() as stack:
            watcher = world.follow(stack, resume_token=token)
            await watcher.begin()
            heard = await hear(watcher, known)
            assert {item.item_id for update in heard for item in update.items} == expected
            token = (await watcher.sign_of_life()).resume_token


@pytest.mark.usefixtures("pages_of_four")
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_cut_wherever_nothing_is_missed(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noticeboard, "MOST_PENDING", 9)
    random, known, token = Random(seed), Known(), ""
    for _ in range(60):
        with ExitStack() as stack:
            watcher = world.follow(stack, resume_token=token, snapshot=not token)
            await watcher.begin()
            for _ in range(random.randrange(4)):
                for _ in range(random.randrange(5)):
                    await world.see(*random.sample(world.names, random.randrange(1, 8)))
                    if random.random() < 0.6:
                        await world.look()
                heard = await hear(watcher, known, most=random.choice((1, 2, 1000)))
                token = heard[-1].resume_token if heard else token
                if heard and not heard[-1].settled:
                    break
            else:
                token = (await watcher.sign_of_life()).resume_token
        for _ in range(random.randrange(3)):
            await world.see(*random.sample(world.names, 3))
            await world.look()
    await world.look()
    with ExitStack() as stack:
        watcher = world.follow(stack, resume_token=token)
        await watcher.begin()
        await hear(watcher, known)
    assert known == world.truth


async def test_a_token_changed_in_one_character_is_refused(world: World) -> None:
    with ExitStack() as stack:
        token = (await hear(world.follow(stack), {}))[-1].resume_token
    for place in range(0, len(token), 7):
        changed = f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}"
        with ExitStack() as stack:
            watcher = world.follow(stack, resume_token=changed)
            with pytest.raises(InvalidRequestError, match="resume_token"):
                await watcher.begin()


async def test_a_tenant_that_was_not_read_yet_cannot_be_watched() -> None:
    world = await World().open(items=1)
    with ExitStack() as stack, pytest.raises(UnavailableError, match="still being read"):
        world.follow(stack)


async def test_who_has_gone_is_forgotten(world: World) -> None:
    with world.board.watch(world.tenant_id) as watch:
        pass
    await world.see("item-001")
    await world.look()
    assert isinstance(watch, Watch)
    assert not watch.woken.done()
