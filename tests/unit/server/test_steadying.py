"""What the bandits leave alone: markets and tenants that are frozen, and people who are held out."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest

from nearcast_config.mastery import Market, Master
from nearcast_config.policy import Exploration, Policy, Scenario
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_ledger.kinds import IMPRESSION
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import RequestIds
from nearcast_server.choosing import eligible_feeds
from nearcast_server.deciding import Decider
from nearcast_server.errors import InvalidRequestError
from nearcast_server.steadying import default_feed, held_out
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.markets.atlas import Atlas, Ranked
from nearcast_store.policies.protocol import Epoch
from tests.geojsons import box
from tests.unit.server.scene import (
    NOW,
    ids_of,
    make_area,
    make_count,
    make_epoch,
    make_policy,
    make_query,
    make_view,
    town,
    with_epochs,
)

ROOT = Path(__file__).parents[3]
OSLO = 7
EXPLORING = Exploration(share=0.3)
ITEMS = 30


def held_view(policy: Policy) -> View:
    """With numbers for the feeds that the policy has without naming them."""
    view = make_view(policy)
    revision = replace(view.revision, feeds=dict(view.revision.feeds) | {"holdout": 98})
    return replace(view, revision=revision)


def counted_view(policy: Policy) -> View:
    random = Random(5)
    counts = []
    for posting in range(1, ITEMS + 1):
        seen = random.randint(10, 900)
        counts.append(make_count(posting, IMPRESSION, seen))
        counts += [make_count(posting, kind, random.randint(0, seen // 4)) for kind in (2, 3, 4)]
    return make_view(policy, counts=counts)


def in_oslo(view: View) -> View:
    """The scene's centre lies in a market."""
    area = read_area(box(10.0, 59.0, 11.0, 60.0), MARKET_LIMITS)
    return replace(view, atlas=Atlas(1, [Ranked(OSLO, "oslo", 0, area)]))


def by_means(view: View) -> list[str]:
    """Ids by the weighted sum of posterior means, computed here by itself."""
    beliefs = view.evidence.beliefs(list(range(1, ITEMS + 1)))
    weights = np.array(beliefs.weights)[:, None]
    means = (weights * beliefs.a / (beliefs.a + beliefs.b)).sum(axis=0)
    return [f"item-{posting:04}" for posting in (np.argsort(-means, kind="stable") + 1).tolist()]


async def test_what_is_frozen_is_the_argsort_of_posterior_means_a_thousand_times() -> None:
    policy = make_policy(master=Master(frozen=True), exploration=EXPLORING)
    scene = town(ITEMS, counted_view(policy))
    expected, random = by_means(scene.view), Random(6)
    first = (await scene.ask(make_query(make_area(limit=ITEMS)))).finding.scores
    for _ in range(1000):
        slate = await scene.ask(make_query(make_area(limit=ITEMS), session_id=str(random.random())))
        choice = slate.decision.choice
        assert ids_of(slate) == expected
        assert slate.finding.scores == first
        assert (choice.feed, choice.propensity, choice.explore, choice.frozen) == ("draw", 1.0, False, True)


@pytest.mark.parametrize(("scenario", "expected"), [((), "newest"), (("nearest", "draw"), "draw")])
async def test_the_default_feed_is_the_policys_where_it_may_be_used(
    scenario: tuple[str, ...], expected: str
) -> None:
    policy = make_policy(
        master=Master(frozen=True, default_feed="newest"), scenarios={"default": Scenario(feeds=scenario)}
    )
    slate = await town(5, make_view(policy)).ask()
    assert slate.decision.choice.feed == expected


async def test_a_frozen_market_leaves_the_others_alone() -> None:
    policy = make_policy(markets={"oslo": Market(frozen=True)}, exploration=Exploration(share=0.0))
    inside, outside = town(5, in_oslo(make_view(policy))), town(5, make_view(policy))
    assert (await inside.ask()).decision.choice.frozen
    choices = [(await outside.ask(make_query(session_id=f"s-{n}"))).decision.choice for n in range(40)]
    assert not any(choice.frozen for choice in choices)
    assert len({choice.feed for choice in choices}) > 1


async def test_a_page_goes_on_frozen_as_soon_as_its_market_is() -> None:
    scene = town(ITEMS, counted_view(make_policy(exploration=Exploration(share=0.5))))
    first = await scene.ask(make_query(make_area(limit=10)))
    frozen = msgspec.structs.replace(scene.view.revision.policy, master=Master(frozen=True))
    scene.show(replace(scene.view, revision=replace(scene.view.revision, policy=frozen)))
    second = await scene.ask(make_query(make_area(limit=10), page_token=first.next_page_token))
    assert second.decision.choice.frozen
    left = [item_id for item_id in by_means(scene.view) if item_id not in ids_of(first)]
    assert ids_of(second) == left[:10]


async def test_people_held_out_get_means_of_the_default_feed_under_a_name_of_their_own() -> None:
    policy = make_policy(master=Master(holdout_share=0.5), exploration=EXPLORING)
    view = counted_view(policy)
    scene = town(ITEMS, replace(view, revision=held_view(policy).revision))
    slates = [
        await scene.ask(make_query(make_area(limit=ITEMS), person=Person(user_id=f"u-{n}")))
        for n in range(40)
    ]
    held = [slate for slate in slates if slate.decision.choice.feed == "holdout"]
    assert 5 < len(held) < 35
    for slate in held:
        assert ids_of(slate) == by_means(scene.view)
        assert slate.decision.choice.propensity == 0.5
        assert slate.claims is not None
        assert (slate.claims.feed, slate.claims.explore) == (98, False)
        assert not slate.decision.choice.frozen


async def test_pages_of_people_held_out_go_on_so() -> None:
    policy = make_policy(master=Master(holdout_share=0.5))
    scene = town(ITEMS, replace(counted_view(policy), revision=held_view(policy).revision))
    for n in range(20):
        first = await scene.ask(make_query(make_area(limit=10), person=Person(user_id=f"u-{n}")))
        second = await scene.ask(make_query(make_area(limit=10), page_token=first.next_page_token))
        assert second.decision.choice == first.decision.choice
        if first.decision.choice.feed == "holdout":
            assert ids_of(first) + ids_of(second) == by_means(scene.view)[:20]
            ended = replace(scene, view=make_view(), tenancies=Tenancies())
            with pytest.raises(InvalidRequestError, match="no longer in the policy"):
                await ended.ask(make_query(make_area(limit=10), page_token=first.next_page_token))


def test_a_person_is_held_out_for_as_long_as_the_salt_whatever_key_signs() -> None:
    people = [Person(user_id=f"user-{n}") for n in range(2000)]

    def held(salt: str, share: float = 0.2) -> set[int]:
        revision = held_view(make_policy(master=Master(holdout_share=share, holdout_salt=salt))).revision
        return {n for n, person in enumerate(people) if held_out(revision, person, b"visit")}

    assert held("first") == held("first")
    assert held("first", 0.1) < held("first")
    assert 0.1 < len(held("first") & held("second")) / len(held("first")) < 0.32
    nobody = held_view(make_policy()).revision
    assert not any(held_out(nobody, person, b"visit") for person in people)


# Of chi-square with 5 degrees of freedom: exceeded once in a million.
CHI_SQUARE_MOST = 35.9


def test_every_outcome_is_given_as_often_as_its_propensity_says() -> None:
    """Feeds, exploration and holdout over 20,000 people, by chi-square with a fixed seed."""
    policy = make_policy(master=Master(holdout_share=0.2), exploration=EXPLORING)
    view = held_view(policy)
    view = with_epochs(view, make_epoch(view, 3, (0.1, 0.2, 0.3, 0.4)))
    random, count = Random(9), 20_000
    decider = Decider(RequestIds(lambda: int(NOW * 1000), random.randbytes), random.randbytes)
    given: Counter[str] = Counter()
    told: dict[str, float] = {}
    for n in range(count):
        query = make_query(person=Person(user_id=f"user-{n}"), session_id=f"session-{n}")
        choice = decider.decide(view, query, NOW).choice
        given[choice.feed] += 1
        assert told.setdefault(choice.feed, choice.propensity) == choice.propensity
    assert sum(told.values()) == pytest.approx(1.0, abs=1e-9)
    assert len(told) == 6
    assert sum((given[f] - count * p) ** 2 / (count * p) for f, p in told.items()) < CHI_SQUARE_MOST


def market_epoch(view: View, own: dict[str, float], everywhere: dict[str, float]) -> Epoch:
    numbers = view.revision.feeds
    shares = {}
    for market, by_name in ((0, everywhere), (OSLO, own)):
        by_number = {numbers[name]: share for name, share in by_name.items()}
        shares[market] = {tuple(sorted(by_number)): by_number}
    return Epoch(view.tenant_id, 4, 1, shares, NOW)


@pytest.mark.parametrize("by_market", [True, False])
async def test_a_market_has_its_own_shares_if_so_set(by_market: bool) -> None:
    view = make_view(make_policy(master=Master(by_market=by_market)))
    names = list(view.revision.policy.feeds)
    own = dict.fromkeys(names, 0.0) | {"newest": 1.0}
    everywhere = dict.fromkeys(names, 0.0) | {"nearest": 1.0}
    epoch = market_epoch(view, own, everywhere)
    outside, inside = with_epochs(view, epoch), in_oslo(with_epochs(view, epoch))
    assert (await town(5, outside).ask()).decision.choice.feed == "nearest"
    slate = await town(5, inside).ask()
    assert slate.decision.choice.feed == ("newest" if by_market else "nearest")
    assert (slate.decision.choice.propensity, slate.decision.choice.epoch) == (1.0, 4)


async def test_a_market_without_shares_of_its_own_goes_by_those_of_all() -> None:
    view = make_view()
    scene = town(5, in_oslo(with_epochs(view, make_epoch(view, 1, (0.0, 0.0, 1.0, 0.0)))))
    assert (await scene.ask()).decision.choice.feed == list(view.revision.policy.feeds)[2]


def test_a_market_may_use_fewer_feeds() -> None:
    revision = make_view(make_policy(markets={"oslo": Market(feeds=("draw", "newest"))})).revision
    assert eligible_feeds(revision, Scenario(), "oslo") == ("newest", "draw")
    assert eligible_feeds(revision, Scenario(feeds=("draw", "nearest")), "oslo") == ("draw",)
    assert eligible_feeds(revision, Scenario(), "bergen") == tuple(revision.policy.feeds)


def test_the_feed_with_the_largest_floor_is_the_default_unless_one_is_named() -> None:
    policy = make_policy()
    assert default_feed(policy, tuple(policy.feeds)) == "draw"
    assert default_feed(policy, ("nearest", "newest")) == "newest"
    named = make_policy(master=Master(default_feed="nearest"))
    assert default_feed(named, tuple(named.feeds)) == "nearest"
    assert default_feed(named, ("newest",)) == "newest"


FEEDS_OF_SESSIONS = """
import json
from collections import Counter
from hashlib import sha256
from tests.unit.server.scene import make_epoch, make_view
from nearcast_bandit.master import FeedArm, feed_shares
from nearcast_server.choosing import Lineup, choose_feed
view = make_view()
feeds = list(view.orders)
arms = [FeedArm(feeds[0], 1e9, 1.0, 0.05), *(FeedArm(name, 1.0, 1e9, 0.05) for name in feeds[1:])]
shares = [share.probability for share in feed_shares(arms)]
epoch, lineup = make_epoch(view, 3, shares), Lineup(view.revision, feeds)
sessions = (number.to_bytes(16, "big") for number in range(100_000))
given = [choose_feed(lineup, epoch, each, b"s" * 32).feed for each in sessions]
told = sha256(" ".join(given).encode()).hexdigest()
print(json.dumps([told, shares, [Counter(given)[name] for name in feeds]]))
"""


def _feeds_of_sessions(hash_seed: str) -> str:
    """What another process says of them."""
    done = subprocess.run(
        [sys.executable, "-c", FEEDS_OF_SESSIONS],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sessions_have_the_same_feeds_in_processes_of_different_hash_seeds() -> None:
    """A hundred thousand, under posteriors that are certain of one feed: the others keep their floors.

    Five standard deviations of a count with share 0.05 are 345.
    """
    told = {_feeds_of_sessions(seed) for seed in ("1", "2")}
    assert len(told) == 1
    _, shares, counts = json.loads(told.pop())
    assert shares == pytest.approx([0.85, 0.05, 0.05, 0.05], abs=1e-12)
    assert counts == pytest.approx([85_000, 5000, 5000, 5000], abs=345 * 2)
