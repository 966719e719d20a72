"""The replica answers as the index does: the same items, order, scores, pages and words about them."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Place, ServedItem
from nearcast_config.policy import Exploration
from nearcast_config.policy import Slate as SlateLimits
from nearcast_geo.geojson import SMALL_LIMITS, read_area
from nearcast_geo.point import Point
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import Answerer
from nearcast_replica.columns import pack_stats
from nearcast_replica.files import Files
from nearcast_replica.growing import Words
from nearcast_replica.twin import Twin
from nearcast_replica.writing import SegmentWriter
from nearcast_server.answering import ReplicaFinder
from nearcast_server.evidence import Beliefs, Evidence
from nearcast_server.finding import ByFeed, Finding, Listed, Ranking, Search, Shuffled
from nearcast_server.gathering import Reach
from nearcast_server.replicas import Replicas
from nearcast_server.searching import IndexFinder
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.index.memory import MemoryGeoIndex
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
FEEDS = ("nearest", "newest", "most_applied", "draw")
RANKINGS: tuple[Ranking, ...] = (*(ByFeed(feed, 77) for feed in FEEDS), Shuffled(50, 78), Listed())


class Rounded(Evidence):
    """What is believed of items that were counted, as 32 bits hold it."""

    def beliefs(self, postings: Sequence[int]) -> Beliefs:
        exact = super().beliefs(postings)
        is_counted = np.array([posting in self.rows for posting in postings], bool)
        a, b = (np.where(is_counted, each.astype(np.float32), each) for each in (exact.a, exact.b))
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


@pytest.fixture
def town(tmp_path: Path, answerer: Answerer) -> Iterator[Town]:
    rng = np.random.default_rng(20)
    policy = make_policy(
        exploration=Exploration(share=0.0, sharpness=0.8), slate=SlateLimits(max_candidates=MOST)
    )
    counts = [make_count(posting, IMPRESSION, int(rng.integers(1, 500))) for posting in range(1, 300)]
    counts += [make_count(p, kind, int(rng.integers(0, 40))) for p in range(1, 300) for kind in KINDS]
    view = make_view(policy, counts=counts)
    exact = view.evidence
    fields = {name: getattr(exact, name) for name in Evidence.__dataclass_fields__}
    view = replace(view, evidence=Rounded(**fields))
    items, index = some_items(rng), MemoryGeoIndex()
    for served in items:
        index.put(TENANT, served)
    files = Files(tmp_path, tmp_path, "test", TENANT)
    writer = SegmentWriter(files, "test", tuple(sorted(exact.numbers)), lambda: NOW)
    filling = writer.begin_filling()
    filling.add(items, [served.item.item_id.encode() for served in items])
    writer.adopt(filling.finish(1))
    beliefs = exact.beliefs(list(exact.rows))
    for row, kind in enumerate(beliefs.numbers):
        writer.put_statistics(Words(kind, beliefs.postings, pack_stats(beliefs.a[row], beliefs.b[row])))
    tenancies = Tenancies()
    tenancies.publish(view)
    replicas = Replicas(lambda _: files, "test", tenancies, lambda: answerer, lambda: NOW)
    asyncio.run(replicas.open())
    yield Town(view, IndexFinder(index), ReplicaFinder(replicas))
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
        yield Search(view, CENTER, reach, wanted, ranking, limit, NOW, left_out)


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
