"""Pins and diversity, by index and replica alike."""

from collections.abc import Iterator

import numpy as np
import pytest
from msgspec.structs import replace

from nearcast_bandit.arranging import Diversity
from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import ServedItem
from nearcast_replica.answering import answerer as machine_code
from nearcast_replica.twin import Twin
from nearcast_server.arranging import Plan
from nearcast_server.finding import ByFeed, Finding, Listed, Ranking, Search, Shuffled
from nearcast_server.gathering import Reach
from nearcast_server.rpc.items import to_message
from tests.unit.server.scene import CENTER, NOW
from tests.unit.server.test_answering import RANKINGS, Town, open_town, searches

DRAWN = tuple(ranking for ranking in RANKINGS if not isinstance(ranking, Listed))
NEAR = Reach(6000.0, 6000.0, 6000.0, (), 0, 300)


@pytest.fixture(scope="module", params=[Twin, machine_code])
def town(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """What its replica displays are whole items, owners and all."""
    folder = tmp_path_factory.mktemp("arranged")
    with open_town(folder, request.param(), None, display_of) as town:
        yield town


def display_of(served: ServedItem) -> bytes:
    return to_message(served).SerializeToString()


def some_plan(rng: np.random.Generator, near: Finding) -> Plan:
    """Most pins are of items that may be shown."""
    owners, categories = rng.integers(0, 4, 2).tolist()
    diversity = Diversity(owners, categories, int(rng.integers(1, 12)))
    slots = sorted(set(rng.integers(0, 30, int(rng.integers(0, 5))).tolist()))
    items = [shown.item_id for shown in near.items] + ["item-0003", "item-9999"]
    pinned = rng.choice(items, min(len(slots), len(items)), replace=False).tolist()
    return Plan(diversity, list(zip(slots, pinned, strict=False)), ())


def postings_of(finding: Finding) -> list[int]:
    return [shown.posting for shown in finding.items]


@pytest.mark.parametrize("ranking", DRAWN, ids=str)
@pytest.mark.parametrize("captured", [False, True])
def test_both_arrange_alike(town: Town, ranking: Ranking, captured: bool) -> None:
    pinned = moved = 0
    rng = np.random.default_rng(8)
    for search in searches(town.view, ranking, 9):
        plan = some_plan(rng, town.both(replace(search, ranking=Listed(), limit=200))[1])
        first = town.both(search)[1]
        before = first.postings[: plan.diversity.window - 1] if plan.diversity.is_on else ()
        reach = replace(search.reach, from_m=first.radius_used_m)
        second = replace(search, reach=reach, left_out=search.left_out.union(before))
        plan = plan._replace(before=before)
        index, replica = town.both(replace(second, plan=plan, captured=captured))
        assert postings_of(replica) == postings_of(index) == list(replica.postings)
        assert replica.scores == pytest.approx(index.scores, rel=1e-9, abs=1e-6)
        assert len(set(replica.postings)) == len(replica.postings)
        assert replica.arrangement is not None
        assert index.arrangement is not None
        assert replica.arrangement[:2] == index.arrangement[:2]
        assert replica.pinned == index.pinned
        assert (replica.pool is not None) == captured == (index.pool is not None)
        bare = town.both(second)[1]
        pinned += len(replica.pinned & set(replica.postings))
        moved += list(bare.postings) != list(replica.postings)
        assert len(bare.postings) == len(replica.postings) or isinstance(ranking, Shuffled)
    assert pinned > 10
    assert moved > 10


def test_a_pinned_item_keeps_its_score_distance_and_place(town: Town) -> None:
    bare = Search(town.view, CENTER, NEAR, Filter(), ByFeed("draw", 5), 300, NOW)
    _, replica = town.both(bare)
    last = replica.items[-1]
    plan = Plan(Diversity(), [(0, last.item_id)], ())
    index, first = town.both(replace(bare, limit=5, plan=plan))
    for finding in (index, first):
        assert postings_of(finding) == [last.posting, *replica.postings[:4]]
        assert finding.scores[0] == pytest.approx(replica.scores[-1])
        assert finding.items[0].place == last.place
        assert finding.items[0].distance_m == pytest.approx(last.distance_m)
        assert finding.pinned == {last.posting}
        assert finding.eligible == replica.eligible


@pytest.mark.parametrize(
    "changed",
    [
        {"wanted": Filter(exclude_item_ids=frozenset({"item-0003"}))},
        {"wanted": Filter(categories=frozenset({"jobs"}))},
        {"left_out": frozenset({3})},
        {"capped": np.array([3])},
        {"reach": Reach(1.0, 1.0, 1.0, (), 0, 300)},
    ],
    ids=["excluded", "filtered", "served", "pausing", "far"],
)
def test_a_pin_that_may_not_be_shown_leaves_its_slot_to_the_draw(
    town: Town, changed: dict[str, object]
) -> None:
    search = Search(town.view, CENTER, NEAR, Filter(), ByFeed("draw", 5), 5, NOW)
    plan = Plan(Diversity(), [(1, "item-0003"), (2, "item-9999")], ())
    assert town.both(replace(search, plan=plan))[1].postings[1] == 3
    for bare, planned in zip(
        town.both(replace(search, **changed)), town.both(replace(search, plan=plan, **changed)), strict=True
    ):
        assert planned.postings == bare.postings
        assert not planned.pinned


def test_a_list_by_distance_is_not_arranged(town: Town) -> None:
    search = Search(town.view, CENTER, NEAR, Filter(), Listed(), 50, NOW)
    plan = Plan(Diversity(1, 1, 5), [(0, "item-0003")], ())
    for bare, planned in zip(town.both(search), town.both(replace(search, plan=plan)), strict=True):
        assert planned.postings == bare.postings
        assert planned.arrangement is None
