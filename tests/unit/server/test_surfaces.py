"""What a surface asks beyond the query: its filter, and what scores are multiplied with."""

import math
from collections.abc import Callable
from random import Random

import pytest

from nearcast_bandit.factors import Part, Subject
from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import ServedItem
from nearcast_config.mastery import Master
from nearcast_config.policy import Exploration, Policy, Scenario
from nearcast_config.surfacing import Boost
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.kinds import APPLY, IMPRESSION
from nearcast_ledger.person import Person
from nearcast_server.explaining import multiplied
from nearcast_server.surfaces import surfaces_of
from nearcast_store.seen.protocol import Sightings
from tests.unit.server.scene import (
    KEYRING,
    NOW,
    TENANT,
    Scene,
    ids_of,
    make_area,
    make_count,
    make_policy,
    make_query,
    make_served,
    make_view,
    tagged,
)

ANN = Person(user_id="ann")
NOW_MS = int(NOW * 1000)
ITEMS = 40


def some_item(posting: int) -> ServedItem:
    return make_served(
        posting,
        100.0 * posting,
        category=("food", "jobs")[posting % 2],
        tags=tagged("late") if posting % 3 == 0 else (),
        owner=("anna", "bert")[posting % 5 == 0],
    )


def scene_of(policy: Policy) -> Scene:
    random = Random(3)
    counts = [make_count(posting, IMPRESSION, random.randint(50, 900)) for posting in range(1, ITEMS + 1)]
    counts += [make_count(posting, APPLY, random.randint(0, 40)) for posting in range(1, ITEMS + 1)]
    scene = Scene(make_view(policy, counts=counts))
    scene.put(*map(some_item, range(1, ITEMS + 1)))
    return scene


def on(surface: Scenario, **changed: object) -> Scene:
    return scene_of(make_policy(scenarios={"default": surface}, **changed))


async def scores(scene: Scene, **changed: object) -> dict[int, float]:
    slate = await scene.ask(make_query(make_area(limit=ITEMS), **changed))
    return {placed.shown.posting: placed.score for placed in slate.items}


async def remember(scene: Scene, *postings: int) -> None:
    who = subject_hash(KEYRING.signing_key.secret, ANN.user_id, "")
    await scene.seen.add([Sightings(TENANT, who, dict.fromkeys(postings, NOW_MS), 10_000, 0, 3_600_000)])


BOOSTS = (Boost(8.0, category="food"), Boost(0.25, tag="late"), Boost(3.0, owner="bert"))


def expected(posting: int) -> float:
    rules = ((2, 8.0), (3, 0.25), (5, 3.0))
    return math.prod(factor for divisor, factor in rules if posting % divisor == 0)


@pytest.mark.parametrize(
    "changed",
    [{}, {"master": Master(frozen=True, default_feed="draw")}, {"exploration": Exploration(1.0, 1000)}],
    ids=["draws", "means of what is frozen", "the pool of the shuffle"],
)
async def test_scores_are_multiplied_and_what_was_learned_is_not_touched(changed: dict[str, object]) -> None:
    plain = await scores(on(Scenario(feeds=("draw",)), **changed))
    boosted = await scores(on(Scenario(feeds=("draw",), boosts=BOOSTS), **changed))
    assert len(plain) == len(boosted) == ITEMS
    for posting, score in plain.items():
        assert boosted[posting] == pytest.approx(score * expected(posting))


@pytest.mark.parametrize("feed", ["nearest", "newest", "most_applied"])
async def test_orders_that_anybody_can_look_up_are_left_as_they_are(feed: str) -> None:
    surface = Scenario(feeds=(feed,), boosts=BOOSTS, distance_half_m=200.0, seen="fade")
    boosted, plain = on(surface), on(Scenario(feeds=(feed,)))
    await remember(boosted, 1, 2)
    assert await scores(boosted, person=ANN) == await scores(plain)


async def test_the_pool_of_the_shuffle_is_the_best_after_factors() -> None:
    explores = Exploration(0.5, 20)
    scene = on(Scenario(boosts=(Boost(100.0, category="food"),)), exploration=explores)
    for _ in range(20):
        slate = await scene.ask(make_query(make_area(limit=20)))
        if slate.decision.choice.explore:
            assert {placed.shown.posting % 2 for placed in slate.items} == {0}
            return
    pytest.fail("no request of twenty explored")


async def test_near_items_gain_on_far_ones() -> None:
    plain = await scores(on(Scenario(feeds=("draw",))))
    near = await scores(on(Scenario(feeds=("draw",), distance_half_m=1000.0)))
    for posting, score in plain.items():
        assert near[posting] == pytest.approx(score * 2.0 ** -(posting / 10.0), rel=1e-4)


@pytest.mark.parametrize(
    ("asked", "share"), [(None, 0.25), (False, 1.0)], ids=["as the surface says", "as if nothing was seen"]
)
async def test_what_was_seen_fades_and_stays(asked: bool | None, share: float) -> None:
    scene, plain = on(Scenario(feeds=("draw",), seen="fade", seen_fade=0.25)), on(Scenario(feeds=("draw",)))
    await remember(scene, 3, 4)
    faded, before = await scores(scene, person=ANN, exclude_seen=asked), await scores(plain)
    for posting, score in before.items():
        assert faded[posting] == pytest.approx(score * (share if posting in {3, 4} else 1.0))


async def test_a_query_may_leave_out_what_the_surface_lets_fade() -> None:
    scene = on(Scenario(feeds=("draw",), seen="fade"))
    await remember(scene, 3, 4)
    assert not {3, 4} & (await scores(scene, person=ANN, exclude_seen=True)).keys()


async def test_a_surface_may_leave_out_what_was_seen() -> None:
    scene = on(Scenario(feeds=("draw",), seen="leave_out"))
    await remember(scene, 3, 4)
    assert not {3, 4} & (await scores(scene, person=ANN)).keys()


@pytest.mark.parametrize(
    ("surface", "asked", "kept"),
    [
        (Scenario(categories=("food",)), Filter(), lambda n: n % 2 == 0),
        (Scenario(categories=("food",)), Filter(categories=frozenset({"jobs"})), lambda _: False),
        (Scenario(exclude_categories=("food",)), Filter(), lambda n: n % 2 == 1),
        (Scenario(tags_all=("late",)), Filter(categories=frozenset({"food"})), lambda n: n % 6 == 0),
        (Scenario(tags_any=("late", "early")), Filter(tags_any=frozenset({"early"})), lambda _: False),
        (Scenario(exclude_tags=("late",)), Filter(), lambda n: n % 3 > 0),
        (
            Scenario(exclude_item_ids=("item-0002",)),
            Filter(exclude_item_ids=frozenset({"item-0004"})),
            lambda n: n not in {2, 4},
        ),
    ],
)
async def test_filters_of_surface_and_query_both_hold(
    surface: Scenario, asked: Filter, kept: Callable[[int], bool]
) -> None:
    slate = await on(surface).ask(make_query(make_area(limit=ITEMS, asks=asked)))
    assert sorted(ids_of(slate)) == [f"item-{n:04}" for n in range(1, ITEMS + 1) if kept(n)]


async def test_other_surfaces_are_as_they_were() -> None:
    scenarios = {"default": Scenario(feeds=("draw",)), "home": Scenario(feeds=("draw",), boosts=BOOSTS)}
    scene = scene_of(make_policy(scenarios=scenarios))
    assert list(surfaces_of(scenarios)) == ["home"]
    slate = await scene.ask(make_query())
    assert slate.search.factors is None


async def test_the_rules_that_applied_are_told() -> None:
    scene = on(Scenario(feeds=("draw",), boosts=BOOSTS, distance_half_m=600.0, seen="fade"))
    await remember(scene, 6)
    slate = await scene.ask(make_query(make_area(limit=ITEMS), person=ANN))
    told = multiplied(slate, Subject(6, "food", frozenset({"late"}), "anna", 600.0))
    assert told == [
        Part("category", "food", 8.0),
        Part("tag", "late", 0.25),
        Part("distance", "", 0.5),
        Part("seen", "", 0.5),
    ]
