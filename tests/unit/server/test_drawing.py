"""What a draw depends on, and what it does not."""

import numpy as np
import pytest

from nearcast_catalogue.eligibility import Filter
from nearcast_config.policy import Draws, Exploration, Kind
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_server.explaining import drawn
from nearcast_server.recommending import Slate
from tests.unit.server.scene import (
    NOW,
    Scene,
    ids_of,
    make_area,
    make_count,
    make_query,
    make_served,
    make_view,
    only_feed,
    tagged,
    town,
)

INTERVAL = Draws(interval_minutes=30)
VISIT = make_query(session_id="visit-1")


def scores_of(slate: Slate) -> dict[str, float]:
    return {placed.shown.item_id: placed.score for placed in slate.items}


async def test_two_requests_are_two_draws() -> None:
    scene = town(20, make_view(only_feed("draw")))
    one, two = await scene.ask(VISIT), await scene.ask(VISIT)
    assert one.decision.visit.session == two.decision.visit.session
    assert scores_of(one) != scores_of(two)
    assert ids_of(one) != ids_of(two)


async def test_within_an_interval_a_session_gets_the_same_draw_again() -> None:
    scene = town(20, make_view(only_feed("draw", draws=INTERVAL)))
    scene.now = NOW // 1800 * 1800
    one = await scene.ask(VISIT)
    scene.now += 1799
    two = await scene.ask(VISIT)
    scene.now += 1
    three = await scene.ask(VISIT)
    assert scores_of(one) == scores_of(two)
    assert scores_of(one) != scores_of(three)
    assert one.decision.request_id != two.decision.request_id


async def test_an_interval_too_short_to_count_is_no_fault() -> None:
    scene = town(3, make_view(only_feed("draw", draws=Draws(interval_minutes=1e-300))))
    assert len((await scene.ask(VISIT)).items) == 3


async def test_within_an_interval_two_sessions_still_draw_apart() -> None:
    scene = town(20, make_view(only_feed("draw", draws=INTERVAL)))
    assert scores_of(await scene.ask(VISIT)) != scores_of(await scene.ask(make_query(session_id="visit-2")))


async def test_an_item_that_comes_or_goes_changes_nobody_elses_draw() -> None:
    scene = town(30, make_view(only_feed("draw", draws=INTERVAL)))
    query = make_query(make_area(limit=100), session_id="visit-1")
    before = scores_of(await scene.ask(query))
    scene.put(make_served(500, 55.0))
    with_one_more = scores_of(await scene.ask(query))
    scene.index.remove(1, 7)
    with_one_less = scores_of(await scene.ask(query))
    assert {item_id: with_one_more[item_id] for item_id in before} == before
    assert set(with_one_more) - set(before) == {"item-0500"}
    del before["item-0007"], with_one_more["item-0007"]
    assert with_one_less == with_one_more


async def test_a_filter_changes_nobody_elses_draw() -> None:
    scene = Scene(make_view(only_feed("draw", draws=INTERVAL)))
    for posting in range(1, 21):
        scene.put(make_served(posting, 10.0 * posting, tags=tagged("even" if posting % 2 == 0 else "odd")))
    everything = scores_of(await scene.ask(VISIT))
    filtered = make_query(make_area(asks=Filter(tags_any=frozenset({"odd"}))), session_id="visit-1")
    odd = scores_of(await scene.ask(filtered))
    assert odd == {item_id: everything[item_id] for item_id in odd}
    assert len(odd) == 10


@pytest.mark.parametrize("feed", ["nearest", "newest", "most_applied", "draw"])
async def test_the_slate_is_the_best_of_all_scores_in_their_order(feed: str) -> None:
    counts = [make_count(posting, IMPRESSION, 100) for posting in range(1, 61)]
    counts += [make_count(posting, APPLY, posting % 7) for posting in range(1, 61)]
    view = make_view(only_feed(feed, draws=INTERVAL), counts=counts)
    scene = town(60, view)
    everything = await scene.ask(make_query(make_area(limit=100), session_id="visit-1"))
    best = await scene.ask(make_query(make_area(limit=10), session_id="visit-1"))
    scores = [placed.score for placed in everything.items]
    assert len(scores) == 60
    assert scores == sorted(scores, reverse=True)
    assert [placed.rank for placed in everything.items] == list(range(1, 61))
    assert [(p.shown.posting, p.score) for p in best.items] == [
        (p.shown.posting, p.score) for p in everything.items[:10]
    ]


async def test_feeds_order_by_what_they_are_named_for() -> None:
    counts = [make_count(posting, IMPRESSION, 200) for posting in (1, 2, 3)]
    counts += [make_count(3, APPLY, 40), make_count(2, APPLY, 10)]
    first = {}
    for feed in ("nearest", "newest", "most_applied"):
        scene = Scene(make_view(only_feed(feed), counts=counts))
        scene.put(make_served(2, 10.0), make_served(3, 20.0), make_served(1, 30.0))
        first[feed] = [placed.shown.posting for placed in (await scene.ask()).items]
    assert first == {"nearest": [2, 3, 1], "newest": [1, 2, 3], "most_applied": [3, 2, 1]}


async def test_what_people_do_moves_an_item_up() -> None:
    """200 draws: an item that is applied for stands first far more often than one that is not."""
    counts = [make_count(posting, IMPRESSION, 400) for posting in (1, 2)]
    counts += [make_count(1, kind, 60) for kind in (VIEW, SAVE, APPLY)]
    scene = town(2, make_view(only_feed("draw"), counts=counts))
    firsts = [int((await scene.ask()).items[0].shown.posting) for _ in range(200)]
    assert firsts.count(1) >= 195


async def test_an_explanation_recomputes_the_score_that_decided() -> None:
    counts = [make_count(posting, IMPRESSION, 50) for posting in range(1, 6)]
    scene = town(20, make_view(only_feed("draw"), counts=counts))
    slate = await scene.ask()
    for placed in slate.items:
        draws = drawn(slate, slate.beliefs, placed.column)
        assert all(0 < draw < 1 for draw in draws)
        assert np.dot(slate.beliefs.weights, draws) == pytest.approx(placed.score, abs=1e-12)


async def test_an_explanation_follows_the_sharpness_of_the_policy() -> None:
    policy = only_feed("draw", exploration=Exploration(share=0.0, sharpness=0.5))
    slate = await town(5, make_view(policy)).ask()
    for placed in slate.items:
        assert np.dot(slate.beliefs.weights, drawn(slate, slate.beliefs, placed.column)) == pytest.approx(
            placed.score, abs=1e-12
        )


async def test_a_feed_that_does_not_draw_says_so() -> None:
    slate = await town(3, make_view(only_feed("nearest"))).ask()
    assert drawn(slate, slate.beliefs, 0) == [0.0, 0.0, 0.0]


async def test_a_kind_without_weight_has_no_say() -> None:
    kinds = {"view": Kind(weight=1.0), "shrug": Kind(weight=0.0)}
    counts = [make_count(posting, IMPRESSION, 1000) for posting in (1, 2)] + [make_count(2, 5, 900)]
    slates = [
        await town(
            2, make_view(only_feed("draw", kinds=kinds, feeds=_draw_only(), draws=INTERVAL), counts=c)
        ).ask(VISIT)
        for c in (counts, counts[:2])
    ]
    assert scores_of(slates[0]) == scores_of(slates[1])


def _draw_only() -> dict[str, object]:
    return {"draw": make_view().revision.policy.feeds["draw"]}


async def test_the_exploration_floor_shuffles_the_best_and_leaves_the_rest_out() -> None:
    counts = [make_count(posting, IMPRESSION, 1000) for posting in range(1, 41)]
    counts += [make_count(posting, APPLY, 300) for posting in range(1, 11)]
    scene = town(
        40, make_view(only_feed("draw", exploration=Exploration(share=0.5, pool_size=10)), counts=counts)
    )
    firsts = set()
    for _ in range(200):
        slate = await scene.ask(make_query(make_area(limit=5)))
        if slate.decision.choice.explore:
            postings = [placed.shown.posting for placed in slate.items]
            assert set(postings) <= set(range(1, 11))
            firsts.add(postings[0])
    assert firsts == set(range(1, 11))
