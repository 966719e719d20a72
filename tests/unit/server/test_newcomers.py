"""Places kept for new items, and from them: the same from index and replica, and made again from a record."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from nearcast_bandit.arranging import DEEPEST, Diversity, SlotKind, places
from nearcast_bandit.redeciding import differences, redecide
from nearcast_bandit.reserving import Budget, best_of_both
from nearcast_config.arrangement import Diversity as Diverse
from nearcast_config.newcomers import Newcomers
from nearcast_config.policy import Decisions, Exploration, Scenario
from nearcast_ledger.kinds import APPLY, IMPRESSION, VIEW
from nearcast_replica.answering import answerer as machine_code
from nearcast_replica.twin import Twin
from nearcast_server.arranging import Plan
from nearcast_server.finding import Finding, Listed, Ranking, Shuffled
from nearcast_server.recommending import Slate
from nearcast_store.decisions.codec import unpack
from tests.unit.server.scene import Scene, make_area, make_count, make_policy, make_query, make_view, town
from tests.unit.server.test_answering import RANKINGS, Town, open_town, searches
from tests.unit.server.test_arranging import display_of, postings_of
from tests.unit.server.test_decision_log import Logging, Outlet, sent

UNTIL = 100
BY_FEED = tuple(ranking for ranking in RANKINGS if not isinstance(ranking, Listed | Shuffled))


@pytest.fixture(scope="module", params=[Twin, machine_code])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """An index and a replica of the same items; half of them are new."""
    with open_town(tmp_path_factory.mktemp("new"), request.param(), None, display_of) as opened:
        yield opened


def some_plan(rng: np.random.Generator, seed: int) -> Plan:
    """Shares of all sorts, now and then with diversity, of a page somewhere in a slate."""
    floor, cap = sorted(rng.choice([0.0, 0.1, 0.5, 0.9, 1.0], 2).tolist())
    owners, categories = rng.integers(0, 3, 2).tolist()
    diversity = Diversity(owners, categories, 6) if rng.random() < 0.4 else Diversity()
    until = int(rng.choice([1, UNTIL, 10**6]))
    return Plan(diversity, (), (), Budget(floor, cap), until, int(rng.integers(1, 60)), seed)


@pytest.mark.parametrize("ranking", BY_FEED, ids=str)
@pytest.mark.parametrize("captured", [False, True])
def test_both_keep_the_same_places(both: Town, ranking: Ranking, captured: bool) -> None:
    """And it is what comes of looking at everything."""
    rng, moved = np.random.default_rng(3), 0
    for search in searches(both.view, ranking, 14):
        plan = some_plan(rng, 77)
        index, replica = both.both(replace(search, plan=plan, captured=captured))
        assert postings_of(replica) == postings_of(index)
        assert replica.scores == pytest.approx(index.scores, rel=1e-9, abs=1e-6)
        assert replica.eligible == index.eligible
        assert (replica.pool is not None) == captured
        if captured:
            assert replica.postings == of_everything(replica, both.both(replace(search, limit=400))[1], plan)
        moved += postings_of(replica) != postings_of(both.both(search)[1])
    assert moved > 5


def of_everything(finding: Finding, whole: Finding, plan: Plan) -> list[int]:
    """The page by the plain rules, from all that competed."""
    pool, arrangement = finding.pool, finding.arrangement
    assert pool is not None
    assert pool.is_new is not None
    assert arrangement is not None
    assert arrangement.layout.slots == plan.slots(arrangement.layout.limit)
    score_of = dict(zip(whole.postings, whole.scores, strict=True))
    scores = np.array([score_of[posting] for posting in pool.postings.tolist()])
    order = best_of_both(scores, pool.postings, pool.is_new, DEEPEST)
    return pool.postings[places(pool.candidates, order.tolist(), arrangement.layout)].tolist()


def test_a_replica_that_was_not_told_how_often_items_were_shown_is_not_asked(tmp_path, both: Town) -> None:
    search = next(searches(both.view, BY_FEED[0], 1))
    pinned = both.replica._replicas.pin(both.view.tenant_id)
    assert pinned is not None
    assert IMPRESSION in pinned.segment.shape.kinds
    shape = pinned.segment.shape
    object.__setattr__(shape, "kinds", tuple(kind for kind in shape.kinds if kind != IMPRESSION))
    try:
        asked = replace(search, plan=some_plan(np.random.default_rng(1), 1))
        assert both.replica.find(asked) is None
    finally:
        object.__setattr__(shape, "kinds", (IMPRESSION, *shape.kinds))


def scene_of(
    newcomers: Newcomers,
    known: int = 40,
    new: int = 40,
    liked: int = 20,
    feed: str = "draw",
    **changed: object,
) -> Scene:
    """The first items were shown 400 times, the last never."""
    counts = [make_count(posting, IMPRESSION, 400) for posting in range(1, known + 1)]
    counts += [make_count(posting, kind, liked) for posting in range(1, known + 1) for kind in (VIEW, APPLY)]
    policy = make_policy(newcomers=newcomers, scenarios={"default": Scenario(feeds=(feed,))})
    return town(known + new, make_view(msgspec.structs.replace(policy, **changed), counts=counts))


def new_places(slate: Slate, known: int = 40) -> list[bool]:
    return [placed.shown.posting > known for placed in slate.items]


async def share_of_new(scene: Scene, slates: int = 300, limit: int = 20) -> float:
    query = make_query(make_area(limit=limit))
    found = [new_places(await scene.ask(query)) for _ in range(slates)]
    assert all(len(each) == limit for each in found)
    return float(np.mean(found))


async def test_new_items_do_not_take_more_than_their_cap() -> None:
    """Beside items that few like: 300 slates of 20 places, three standard errors are 0.012."""
    assert await share_of_new(scene_of(Newcomers(), liked=4), slates=60) > 0.9
    capped = await share_of_new(scene_of(Newcomers(cap_share=0.1), liked=4))
    assert capped == pytest.approx(0.1, abs=0.012)


async def test_new_items_get_at_least_their_floor() -> None:
    """Where none would be shown: 300 slates with a floor of 0.3, three standard errors are 0.018."""
    most = "most_applied"
    assert await share_of_new(scene_of(Newcomers(), feed=most), slates=20) == 0
    kept = await share_of_new(scene_of(Newcomers(floor_share=0.3), feed=most))
    assert kept == pytest.approx(0.3, abs=0.018)


async def test_places_go_to_whoever_is_there_when_those_they_are_kept_for_are_not() -> None:
    only_new = scene_of(Newcomers(cap_share=0.0), known=0, new=25, exploration=Exploration(share=0.02))
    only_known = scene_of(Newcomers(floor_share=1.0), known=25, new=0)
    for scene in (only_new, only_known):
        assert len((await scene.ask(make_query(make_area(limit=20)))).items) == 20


async def test_pages_go_on_with_the_places_of_the_slate() -> None:
    """Whoever reads four pages of five is shown what one of twenty shows."""
    scene = scene_of(Newcomers(floor_share=0.2, cap_share=0.4))
    slate = await scene.ask(make_query(make_area(limit=5)))
    seed, paged = slate.decision.seed, [*slate.items]
    while len(paged) < 20:
        query = make_query(make_area(limit=5), page_token=slate.next_page_token)
        slate = await scene.ask(query)
        paged += slate.items
    slots = Budget(0.2, 0.4).slots(seed, 1, 20)
    is_new = [placed.shown.posting > 40 for placed in paged]
    assert len({placed.shown.posting for placed in paged}) == 20
    assert all(is_new[place] == (kind == SlotKind.NEW) for place, kind in enumerate(slots) if kind)


async def test_a_uniform_shuffle_stays_uniform() -> None:
    exploring = Exploration(share=0.5, pool_size=80)
    scene = scene_of(Newcomers(cap_share=0.0), exploration=exploring)
    query = make_query(make_area(limit=20))
    slates = [await scene.ask(query) for _ in range(60)]
    explored = [new_places(slate) for slate in slates if slate.decision.choice.explore]
    assert len(explored) > 15
    assert np.mean(explored) == pytest.approx(0.5, abs=0.15)
    assert not any(any(new_places(slate)) for slate in slates if not slate.decision.choice.explore)


async def test_the_same_is_kept_where_nothing_is_drawn() -> None:
    """A market that is frozen, or somebody who is held out."""
    frozen = msgspec.structs.replace(make_policy().master, frozen=True, default_feed="draw")
    scene = scene_of(Newcomers(cap_share=0.1), master=frozen)
    assert await share_of_new(scene, slates=100) < 0.13


@pytest.mark.parametrize("diverse", [Diverse(), Diverse(most_per_category=2, window=5)])
async def test_a_record_is_made_again(diverse: Diverse) -> None:
    """Also of later pages; and another share comes to another slate."""
    newcomers = Newcomers(floor_share=0.2, cap_share=0.5)
    scene = scene_of(newcomers, decisions=Decisions(log_share=1.0), diversity=diverse)
    house, differing, token = Logging(scene, Outlet()), 0, ""
    for _ in range(12):
        token = (await house.ask(area=make_area(limit=10), page_token=token)).next_page_token
    for logged in await sent(house):
        record = unpack(logged.record)
        assert differences(record.outcome, redecide(record)) == []
        ordering = replace(record.ordering, budget=Budget(0.0, 0.0))
        other = type(record)(**{**{n: getattr(record, n) for n in record.__slots__}, "ordering": ordering})
        differing += bool(differences(record.outcome, redecide(other)))
    assert differing >= 4
