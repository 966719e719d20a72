"""Which feed a request is given, and the probability that is told with it."""

import math
from collections import Counter
from random import Random
from uuid import UUID

import pytest

from nearcast_config.policy import Exploration, Feed, Scenario
from nearcast_server.choosing import Lineup, choose_feed, eligible_feeds, explores
from tests.unit.server.scene import (
    Scene,
    make_area,
    make_epoch,
    make_policy,
    make_query,
    make_revision,
    make_view,
    only_feed,
    town,
    with_epochs,
)

SALT = b"s" * 32
SHARES = (0.1, 0.2, 0.3, 0.4)


def sessions(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(count)]


def test_a_session_keeps_its_feed_within_an_epoch() -> None:
    view = make_view()
    epoch, lineup = make_epoch(view, 3, SHARES), Lineup(view.revision, list(view.orders))
    for session in sessions(50):
        chosen = {choose_feed(lineup, epoch, session, SALT) for _ in range(3)}
        assert len(chosen) == 1


def test_sessions_get_feeds_by_the_published_shares_and_are_told_them() -> None:
    """Within five standard deviations of the binomial, over 20,000 sessions."""
    view, count = make_view(), 20_000
    epoch = make_epoch(view, 3, SHARES)
    feeds = list(view.orders)
    given: Counter[str] = Counter()
    for session in sessions(count):
        choice = choose_feed(Lineup(view.revision, feeds), epoch, session, SALT)
        given[choice.feed] += 1
        assert choice.propensity == pytest.approx(SHARES[feeds.index(choice.feed)])
        assert choice.epoch == 3
        assert choice.number == view.revision.feeds[choice.feed]
    for feed, share in zip(feeds, SHARES, strict=True):
        assert abs(given[feed] - count * share) < 5 * math.sqrt(count * share * (1 - share))


def test_an_epoch_moves_sessions() -> None:
    view = make_view()
    one, two = (make_epoch(view, number, (0.25, 0.25, 0.25, 0.25)) for number in (1, 2))
    lineup = Lineup(view.revision, list(view.orders))
    moved = sum(
        choose_feed(lineup, one, session, SALT).feed != choose_feed(lineup, two, session, SALT).feed
        for session in sessions(400)
    )
    assert moved > 200


def test_before_the_first_epoch_the_prior_decides_and_epoch_is_zero() -> None:
    revision = make_revision()
    feeds = eligible_feeds(revision, Scenario())
    found = [choose_feed(Lineup(revision, feeds), None, session, SALT) for session in sessions(2000)]
    by_feed = {choice.feed: choice.propensity for choice in found}
    assert {choice.epoch for choice in found} == {0}
    assert set(by_feed) == set(feeds)
    assert math.fsum(by_feed.values()) == pytest.approx(1.0, abs=1e-9)


def test_an_epoch_that_does_not_know_these_feeds_is_passed_over() -> None:
    view = make_view()
    epoch = make_epoch(view, 3, SHARES)
    choice = choose_feed(Lineup(view.revision, ["nearest", "draw"]), epoch, sessions(1)[0], SALT)
    assert choice.epoch == 0
    assert choice.propensity > 0


def test_a_surface_is_given_its_own_feeds_in_the_policys_order() -> None:
    revision = make_revision()
    assert eligible_feeds(revision, Scenario(feeds=("draw", "nearest"))) == ("nearest", "draw")
    assert eligible_feeds(revision, Scenario()) == tuple(revision.policy.feeds)


@pytest.mark.parametrize("share", [0.02, 0.25])
def test_the_exploration_floor_has_its_share_of_requests(share: float) -> None:
    """Within five standard deviations of the binomial, over 100,000 request ids."""
    random, count = Random(7), 100_000
    explored = sum(explores(share, SALT, 1, UUID(bytes=random.randbytes(16))) for _ in range(count))
    assert abs(explored - count * share) < 5 * math.sqrt(count * share * (1 - share))


def test_no_share_explores_nothing_and_tenants_explore_apart() -> None:
    random = Random(8)
    ids = [UUID(bytes=random.randbytes(16)) for _ in range(2000)]
    assert not any(explores(0.0, SALT, 1, request_id) for request_id in ids)
    ours = [explores(0.5, SALT, 1, request_id) for request_id in ids]
    theirs = [explores(0.5, SALT, 2, request_id) for request_id in ids]
    assert 800 < sum(a == b for a, b in zip(ours, theirs, strict=True)) < 1200


async def test_propensities_of_all_outcomes_add_up_to_one() -> None:
    policy = make_policy(exploration=Exploration(share=0.3))
    view = make_view(policy)
    scene = town(5, with_epochs(view, make_epoch(view, 4, SHARES)))
    told: dict[str, float] = {}
    for number in range(300):
        choice = (await scene.ask(make_query(session_id=f"session-{number}"))).decision.choice
        told.setdefault(choice.feed, choice.propensity)
        assert told[choice.feed] == choice.propensity
        assert choice.explore is (choice.feed == "explore")
    assert set(told) == {*policy.feeds, "explore"}
    assert told["explore"] == 0.3
    assert math.fsum(told.values()) == pytest.approx(1.0, abs=1e-9)


async def feeds_given(scene: Scene, *, session_id: str = "", session_token: str = "") -> tuple[str, int, str]:
    slate = await scene.ask(make_query(session_id=session_id, session_token=session_token))
    return slate.decision.choice.feed, slate.decision.choice.epoch, slate.decision.visit.token


async def test_a_session_id_gives_the_same_feed_every_time_within_an_epoch() -> None:
    view = make_view()
    scene = town(5, with_epochs(view, make_epoch(view, 1, SHARES)))
    for number in range(20):
        answers = {(await feeds_given(scene, session_id=f"session-{number}"))[:2] for _ in range(3)}
        assert len(answers) == 1


async def test_a_policy_with_other_feeds_is_followed_at_once() -> None:
    scene = town(5, make_view(only_feed("nearest")))
    for feed in ("nearest", "newest", "nearest"):
        scene.show(make_view(only_feed(feed)))
        assert (await feeds_given(scene))[0] == feed
        scene.show(make_view(make_policy(feeds={feed: Feed("nearest")})))
        assert (await feeds_given(scene))[0] == feed


async def test_a_session_token_keeps_its_epoch_and_feed_while_newer_ones_come() -> None:
    view = make_view()
    first = make_epoch(view, 1, (1.0, 0.0, 0.0, 0.0))
    scene = town(5, with_epochs(view, first))
    feed, epoch, token = await feeds_given(scene)
    assert (feed, epoch) == ("nearest", 1)
    second = make_epoch(view, 2, (0.0, 0.0, 0.0, 1.0))
    scene.show(with_epochs(view, first, second))
    assert await feeds_given(scene, session_token=token) == ("nearest", 1, token)
    assert (await feeds_given(scene))[:2] == ("draw", 2)


async def test_a_session_moves_on_once_its_epoch_is_no_longer_kept() -> None:
    view = make_view()
    scene = town(5, with_epochs(view, make_epoch(view, 1, (1.0, 0.0, 0.0, 0.0))))
    token = (await feeds_given(scene))[2]
    scene.show(with_epochs(view, make_epoch(view, 2, (0.0, 0.0, 0.0, 1.0))))
    feed, epoch, renewed = await feeds_given(scene, session_token=token)
    assert (feed, epoch) == ("draw", 2)
    assert renewed != token
    assert await feeds_given(scene, session_token=renewed) == ("draw", 2, renewed)


async def test_a_session_gives_up_an_epoch_that_does_not_know_the_feeds_of_a_changed_policy() -> None:
    view = make_view()
    first = make_epoch(view, 1, (1.0, 0.0, 0.0, 0.0))
    scene = town(5, with_epochs(view, first))
    token = (await feeds_given(scene))[2]
    fewer = make_view(make_policy(feeds={"newest": Feed(order="newest"), "draw": Feed(order="draw")}))
    scene.show(with_epochs(fewer, first, make_epoch(fewer, 2, (0.0, 1.0))))
    feed, epoch, renewed = await feeds_given(scene, session_token=token)
    assert (feed, epoch) == ("draw", 2)
    assert renewed != token


async def test_a_session_without_an_epoch_joins_the_first_one_and_stays_itself() -> None:
    scene = town(5)
    slate = await scene.ask()
    scene.show(with_epochs(scene.view, make_epoch(scene.view, 1, SHARES)))
    joined = await scene.ask(make_query(session_token=slate.decision.visit.token))
    assert joined.decision.visit.session == slate.decision.visit.session
    assert joined.decision.choice.epoch == 1


@pytest.mark.parametrize("damage", ["garbage", "changed", "other tenant", "too old"])
async def test_an_unreadable_session_token_begins_a_new_visit_instead_of_failing(damage: str) -> None:
    scene = town(5, make_view(tenant_id=2 if damage == "other tenant" else 1))
    old = (await scene.ask()).decision.visit
    token = {
        "garbage": "not a token \x00",
        "changed": ("A" if old.token[0] != "A" else "B") + old.token[1:],
    }.get(damage, old.token)
    if damage == "other tenant":
        scene = town(5)
        scene.random.seed(21)
    if damage == "too old":
        scene.now += 86_401
    slate = await scene.ask(make_query(make_area(), session_token=token))
    assert slate.decision.visit.session != old.session
    assert slate.decision.visit.token not in {token, old.token}
