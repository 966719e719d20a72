"""The replica answers as the index does: the same items, order, scores, pages and words about them."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast_bandit.arrays import Integers
from nearcast_bandit.factors import Boost, Factors
from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Place, ServedItem
from nearcast_config.policy import Exploration, Feed, Policy, Priors
from nearcast_config.policy import Slate as SlateLimits
from nearcast_geo.geojson import SMALL_LIMITS, read_area
from nearcast_geo.point import Point
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import Answerer
from nearcast_replica.changes import Applied, SegmentChange
from nearcast_replica.files import Files
from nearcast_replica.twin import Twin
from nearcast_replica.writing import SegmentWriter
from nearcast_server.answering import ReplicaFinder
from nearcast_server.evidence import Beliefs, Evidence
from nearcast_server.finding import NOBODY, ByFeed, Finding, Listed, Ranking, Search, Shuffled
from nearcast_server.gathering import Reach
from nearcast_server.priors import priors_of
from nearcast_server.replicas import Replicas
from nearcast_server.searching import IndexFinder
from nearcast_server.telling import Births, tell
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit, Region
from tests.geojsons import polygon
from tests.unit.server.scene import (
    CENTER,
    METRES_PER_DEGREE,
    NOW,
    TENANT,
    make_count,
    make_policy,
    make_served,
    make_view,
    tagged,
)

ITEMS = 400
MOST = 300
KINDS = (2, 3, 4)
HOURS = (
    None,
    WeeklyHours("Europe/Oslo", ()),
    WeeklyHours("UTC", tuple(OpeningInterval(day, 0, 1440) for day in range(7))),
)
FEEDS = ("nearest", "newest", "most_applied", "popular", "draw")
RANKINGS: tuple[Ranking, ...] = (
    *(ByFeed(feed, 77) for feed in FEEDS),
    ByFeed("draw", 77, by_mean=True),
    Shuffled(50, 78),
    Listed(),
)


FACTORS = Factors(
    (
        Boost("category", "food", 4.0),
        Boost("category", "unheard of", 9.0),
        Boost("tag", "tag 2", 0.3),
        Boost("tag", "tag 4", 2.0),
        Boost("owner", "bob", 8.0),
    ),
    900.0,
    0.2,
    frozenset(range(1, ITEMS, 5)),
)
SURFACE = Filter(
    tags_any=frozenset({"tag 0", "tag 1"}),
    tags_none=frozenset({"tag 3"}),
    categories=frozenset({"food", ""}),
    categories_none=frozenset({"", "unheard of"}),
    exclude_item_ids=frozenset({"item-0013", "unknown"}),
)


def id_of(served: ServedItem) -> bytes:
    return served.item.item_id.encode()


class Rounded(Evidence):
    """What is believed of items that the replica is told of, as 32 bits hold it."""

    def beliefs_from(self, postings: Sequence[int], lines: Integers) -> Beliefs:
        exact = super().beliefs_from(postings, lines)
        is_told = np.array([posting in self.rows or self.priors.fits > 0 for posting in postings], bool)
        a, b = (np.where(is_told, each.astype(np.float32), each) for each in (exact.a, exact.b))
        return replace(exact, a=a, b=b)


def around(center: Point, rng: np.random.Generator, size_m: float) -> str:
    """A triangle about the centre, which may lie outside of it."""
    north, east = (rng.normal(0, size_m / 2, 2) / METRES_PER_DEGREE).tolist()
    turns = math.tau / 3.0 * (np.arange(3) + rng.uniform(0.0, 0.5, 3))
    size = size_m / METRES_PER_DEGREE
    corners = [(2.0 * (east + size * math.cos(t)), north + size * math.sin(t)) for t in turns]
    return polygon([(center.lon + east, center.lat + north) for east, north in corners])


def some_items(rng: np.random.Generator) -> list[ServedItem]:
    items = []
    for posting in range(1, ITEMS + 1):
        north, east = (rng.normal(0, 3000, 2) / METRES_PER_DEGREE).tolist()
        places = [Place(CENTER.lat + north, CENTER.lon + 2 * east)]
        if posting % 7 == 0:
            places.append(Place(CENTER.lat + east, CENTER.lon + north))
        served = make_served(
            posting,
            places=tuple(places),
            tags=tagged(*(f"tag {n}" for n in rng.integers(0, 5, 2).tolist())),
            category=("", "food", "jobs")[posting % 3],
            owner=("", "ann", "bob", "cod", "ann", "ann")[posting % 11 % 6],
            hours=HOURS[posting % 5] if posting % 5 < len(HOURS) else None,
            reach_m=float(rng.uniform(100, 9000)) if posting % 6 == 0 else None,
            reach_area=around(CENTER, rng, 20_000.0) if posting % 6 == 1 else "",
            starts_at=NOW + int(rng.integers(-2, 2)) if posting % 4 == 0 else None,
            expires_at=NOW + int(rng.integers(-1, 3)) if posting % 9 == 0 else None,
        )
        items.append(msgspec.structs.replace(served, market=posting % 4))
    return items


@dataclass
class Town:
    """The same items behind both."""

    view: View
    index: IndexFinder
    replica: ReplicaFinder
    items: MemoryGeoIndex
    writer: SegmentWriter

    def write(self, served: ServedItem, sequence: int) -> None:
        """A new item, or an old one as it is now."""
        births = Births(self.writer.kinds, lambda: self.view.evidence)
        (words,) = births([served])
        message = served.item.item_id.encode()
        applied = self.writer.apply([SegmentChange(sequence, served.posting, served, message, words)])
        assert isinstance(applied, Applied)
        self.items.put(TENANT, served)

    def both(self, search: Search) -> tuple[Finding, Finding]:
        answered = self.replica.find(search)
        assert answered is not None
        return asyncio.run(self.index.find(search)), answered


@pytest.fixture(scope="module", params=["machine code", "twin"])
def answerer(request: pytest.FixtureRequest) -> Answerer:
    if request.param == "twin":
        return Twin()
    from nearcast_replica.answering import answerer

    return answerer()


def some_fit(rng: np.random.Generator) -> PriorFit:
    """Of some kinds, markets and categories, each with a prior of its own."""

    def some_prior(level: Level) -> LevelPrior:
        prior = Prior(float(rng.uniform(0.01, 0.5)), float(rng.uniform(1, 300)))
        return LevelPrior(prior, level, FitKind.FITTED, 3, 40.0, 5.0, 0.5)

    priors: dict[int, dict[Region, LevelPrior]] = {}
    for kind in KINDS[:2]:
        priors[kind] = {EVERYWHERE: some_prior(Level.ALL)}
        for market in range(3):
            if rng.random() < 0.8:
                priors[kind][market, None] = some_prior(Level.MARKET)
            for category in ("", "food", "elsewhere"):
                if rng.random() < 0.6:
                    priors[kind][market, category] = some_prior(Level.CATEGORY)
    return PriorFit(TENANT, 1, b"", NOW, priors)


@pytest.fixture
def town(tmp_path: Path, answerer: Answerer) -> Iterator[Town]:
    with open_town(tmp_path, answerer, None) as town:
        yield town


@pytest.fixture
def learned_town(tmp_path: Path, answerer: Answerer) -> Iterator[Town]:
    """Whose priors were fitted."""
    with open_town(tmp_path, answerer, some_fit(np.random.default_rng(21))) as town:
        yield town


@contextmanager
def open_town(
    tmp_path: Path, answerer: Answerer, fit: PriorFit | None, message: Callable[[ServedItem], bytes] = id_of
) -> Iterator[Town]:
    rng = np.random.default_rng(20)
    policy = make_policy(
        exploration=Exploration(share=0.0, sharpness=0.8),
        slate=SlateLimits(max_candidates=MOST),
        feeds=Policy().feeds | {"popular": Feed(order="popular")},
        priors=Priors(mode="learned"),
    )
    counts = [make_count(posting, IMPRESSION, int(rng.integers(1, 500))) for posting in range(1, 300)]
    counts += [make_count(p, kind, int(rng.integers(0, 40))) for p in range(1, 300) for kind in KINDS]
    view = make_view(policy, counts=counts)
    exact = replace(view.evidence, priors=priors_of(view.revision, fit))
    fields = {name: getattr(exact, name) for name in Evidence.__dataclass_fields__}
    view = replace(view, evidence=Rounded(**fields))
    items, index = some_items(rng), MemoryGeoIndex()
    for served in items:
        index.put(TENANT, served)
    files = Files(tmp_path, tmp_path, "test", TENANT)
    writer = SegmentWriter(files, "test", (IMPRESSION, *sorted(exact.numbers)), lambda: NOW)
    filling = writer.begin_filling()
    filling.add(items, [message(served) for served in items])
    generation = filling.finish(1)
    generation.forget(exact.rules)
    writer.adopt(generation)
    told = generation.postings() if exact.priors.fits else list(exact.rows)
    tell(writer.put_statistics, exact, generation, told)
    tenancies = Tenancies()
    tenancies.publish(view)
    replicas = Replicas(lambda _: files, "test", tenancies, lambda: answerer, lambda: NOW)
    asyncio.run(replicas.open())
    yield Town(view, IndexFinder(index), ReplicaFinder(replicas), index, writer)
    writer.close()


def searches(view: View, ranking: Ranking, seed: int) -> Iterator[Search]:
    """Questions of all sorts."""
    rng = np.random.default_rng(seed)
    for _ in range(25):
        radius_m = float(rng.uniform(50, 4000))
        factors = () if isinstance(ranking, Listed) or rng.random() < 0.3 else (2.0, 4.0, 10.0)
        wanted = Filter(
            tags_any=frozenset({"tag 1", "tag 2"} if rng.random() < 0.3 else ()),
            tags_all=frozenset({"tag 3"} if rng.random() < 0.2 else ()),
            tags_none=frozenset({"tag 4", "nobody's"} if rng.random() < 0.3 else ()),
            categories=frozenset({"food", "unheard of"} if rng.random() < 0.3 else ()),
            exclude_item_ids=frozenset({"item-0003", "item-0010", "unknown"} if rng.random() < 0.5 else ()),
            market=2 if rng.random() < 0.2 else None,
            region=read_area(around(CENTER, rng, 3000.0), SMALL_LIMITS) if rng.random() < 0.2 else None,
        )
        left_out = frozenset(rng.integers(1, ITEMS, 30).tolist()) if rng.random() < 0.5 else frozenset()
        limit = int(rng.integers(1, 40))
        enough = 0 if isinstance(ranking, Listed) else limit
        most = MOST if rng.random() < 0.7 else 60
        reach = Reach(radius_m, radius_m, 20_000.0, factors, enough, most)
        capped = np.unique(rng.integers(1, ITEMS, 60)) if rng.random() < 0.5 else NOBODY
        yield Search(view, CENTER, reach, wanted, ranking, limit, NOW, left_out, capped=capped)


def assert_alike(index: Finding, replica: Finding) -> None:
    assert [shown.posting for shown in replica.items] == [shown.posting for shown in index.items]
    for ours, theirs in zip(replica.items, index.items, strict=True):
        assert (ours.item_id, ours.place, ours.market) == (theirs.item_id, theirs.place, theirs.market)
        assert ours.distance_m == pytest.approx(theirs.distance_m, abs=1e-6)
        assert ours.display == theirs.item_id.encode()
    assert replica.scores == pytest.approx(index.scores, rel=1e-9, abs=1e-6)
    told = ("eligible", "radius_used_m", "truncated", "exhausted")
    assert [getattr(replica, name) for name in told] == [getattr(index, name) for name in told]


@pytest.mark.parametrize("ranking", RANKINGS, ids=str)
def test_both_find_the_same(town: Town, ranking: Ranking) -> None:
    found = 0
    for search in searches(town.view, ranking, 5):
        index, replica = town.both(search)
        assert_alike(index, replica)
        found += len(index.items)
    assert found > 100


@pytest.mark.parametrize("ranking", [ByFeed("draw", 77), ByFeed("nearest", 7), Shuffled(50, 78)], ids=str)
def test_both_tell_how_many_pause(town: Town, ranking: Ranking) -> None:
    """As many as there are beside those found when nothing pauses."""
    told = 0
    for search in searches(town.view, ranking, 8):
        asked = msgspec.structs.replace(search, captured=True)
        index, replica = town.both(asked)
        assert index.capped == replica.capped
        reach = msgspec.structs.replace(asked.reach, radius_m=index.radius_used_m, factors=())
        freely = msgspec.structs.replace(asked, reach=reach, capped=NOBODY)
        assert town.both(freely)[0].eligible == index.eligible + index.capped
        told += index.capped
    assert told > 20


@pytest.mark.parametrize(
    "ranking", [ByFeed("draw", 82), ByFeed("draw", 83, by_mean=True), Shuffled(50, 84)], ids=str
)
def test_both_multiply_by_the_same_and_tell_it(town: Town, ranking: Ranking) -> None:
    found = 0
    for search in searches(town.view, ranking, 7):
        index, replica = town.both(msgspec.structs.replace(search, factors=FACTORS, captured=True))
        assert_alike(index, replica)
        assert index.pool is not None
        assert index.pool.factors is not None
        assert replica.pool is not None
        assert replica.pool.factors is not None
        told = dict(zip(replica.pool.postings.tolist(), replica.pool.factors.tolist(), strict=True))
        expected = dict(zip(index.pool.postings.tolist(), index.pool.factors.tolist(), strict=True))
        assert told == pytest.approx(expected, rel=1e-9)
        found += len(index.items)
    assert found > 100


def test_both_hold_to_the_filter_of_a_surface_besides(town: Town) -> None:
    found = 0
    for search in searches(town.view, ByFeed("draw", 85), 8):
        wanted = msgspec.structs.replace(search.wanted, also=SURFACE)
        index, replica = town.both(msgspec.structs.replace(search, wanted=wanted))
        assert_alike(index, replica)
        assert 13 not in index.postings
        found += len(index.items)
    assert found > 20


def test_what_a_surface_bars_stays_out_in_its_next_life(town: Town) -> None:
    reach = Reach(20_000.0, 20_000.0, 20_000.0, (), 0, 100_000)
    barred = Filter(also=Filter(exclude_item_ids=frozenset({"item-0013", "item-0900"})))
    search = Search(town.view, CENTER, reach, barred, ByFeed("draw", 1), 1000, NOW)
    assert_alike(*town.both(search))
    town.write(make_served(900), 2)
    town.write(make_served(901, item_id="item-0013"), 3)
    index, replica = town.both(search)
    assert_alike(index, replica)
    assert not {13, 900, 901} & set(replica.postings)
    assert 12 in replica.postings


@pytest.mark.parametrize(
    "ranking", [ByFeed("draw", 79), ByFeed("most_applied", 80), Shuffled(50, 81)], ids=str
)
def test_both_find_the_same_by_learned_priors(learned_town: Town, ranking: Ranking) -> None:
    found = 0
    for search in searches(learned_town.view, ranking, 6):
        index, replica = learned_town.both(search)
        assert_alike(index, replica)
        found += len(index.items)
    assert found > 100


def assert_believed_alike(town: Town) -> set[tuple[int, Level]]:
    """A, B and where the priors come from, of all that is near; the kinds and levels there were."""
    reach = Reach(20_000.0, 20_000.0, 20_000.0, (), 0, 100_000)
    search = Search(town.view, CENTER, reach, Filter(), ByFeed("nearest", 1), 1000, NOW, frozenset())
    index, replica = (finding.beliefs() for finding in town.both(search))
    assert index.postings.tolist() == replica.postings.tolist()
    np.testing.assert_allclose(replica.a, index.a, rtol=1e-7)
    np.testing.assert_allclose(replica.b, index.b, rtol=1e-7)
    levels = set()
    for column in range(index.postings.size):
        for row, kind in enumerate(index.numbers):
            assert replica.prior(row, column) == index.prior(row, column)
            levels.add((kind, index.prior(row, column).level))
    return levels


def test_both_believe_the_same_by_learned_priors(learned_town: Town) -> None:
    levels = assert_believed_alike(learned_town)
    assert levels == {
        *((kind, level) for kind in KINDS[:2] for level in (Level.ALL, Level.MARKET, Level.CATEGORY)),
        (KINDS[2], Level.CONFIGURED),
    }


def test_a_new_and_a_moved_item_begin_with_the_priors_of_their_places(learned_town: Town) -> None:
    """At once: nobody ever finds them with another."""
    for sequence, (posting, market, category) in enumerate(
        [(ITEMS + 1, 1, "food"), (ITEMS + 2, 77, "jobs"), (17, 2, ""), (350, 0, "unheard of")], start=2
    ):
        served = msgspec.structs.replace(make_served(posting, category=category), market=market)
        learned_town.write(served, sequence)
        assert_believed_alike(learned_town)


def test_what_nothing_was_told_of_is_scored_by_the_priors_of_now(town: Town) -> None:
    reach = Reach(20_000.0, 20_000.0, 20_000.0, (), 0, 100_000)
    priors = priors_of(town.view.revision, some_fit(np.random.default_rng(21)))
    later = replace(town.view, evidence=replace(town.view.evidence, priors=priors))
    scores = []
    for view in (town.view, later):
        search = Search(view, CENTER, reach, Filter(), ByFeed("popular", 1), 1000, NOW)
        found = town.replica.find(search)
        assert found is not None
        scores.append(dict(zip(found.postings, found.scores, strict=True)))
    untold = [posting for posting in scores[0] if posting >= 300]
    assert len(untold) > 50
    assert all(scores[0][posting] != scores[1][posting] for posting in untold)


def test_both_go_on_with_a_list_where_the_other_left_off(town: Town) -> None:
    """The last page is made by one, the next by the other, by turns."""
    reach = Reach(6000.0, 6000.0, 6000.0, (), 0, MOST)
    whole = asyncio.run(town.index.find(Search(town.view, CENTER, reach, Filter(), Listed(), MOST, NOW)))
    seen: list[str] = []
    ranking = Listed()
    for turn in range(100):
        search = Search(town.view, CENTER, reach, Filter(), ranking, 7, NOW)
        index, replica = town.both(search)
        assert_alike(index, replica)
        page = (index, replica)[turn % 2]
        if not page.items:
            break
        seen += [shown.item_id for shown in page.items]
        ranking = Listed((page.items[-1].distance_m, page.items[-1].item_id))
    assert seen == [shown.item_id for shown in whole.items]
    assert len(seen) > 50


def test_what_items_were_scored_by_is_told_alike(town: Town) -> None:
    reach = Reach(3000.0, 3000.0, 20_000.0, (), 50, MOST)
    search = Search(town.view, CENTER, reach, Filter(), ByFeed("draw", 3), 50, NOW)
    index, replica = (finding.beliefs() for finding in town.both(search))
    for name in ("postings", "exposures", "successes", "a", "b"):
        assert getattr(replica, name) == pytest.approx(getattr(index, name), rel=1e-12)


def test_what_no_replica_can_be_asked_is_left_to_the_index(town: Town) -> None:
    class Everywhere:
        def covers(self, lat: float, lon: float) -> bool:
            return True

    reach = Reach(3000.0, 3000.0, 3000.0, (), 5, MOST)
    search = Search(town.view, CENTER, reach, Filter(region=Everywhere()), ByFeed("draw", 3), 5, NOW)
    assert town.replica.find(search) is None
    elsewhere = replace(town.view, tenant_id=TENANT + 1)
    of_nobody = msgspec.structs.replace(search, wanted=Filter(), view=elsewhere)
    assert town.replica.find(of_nobody) is None
