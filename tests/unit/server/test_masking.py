"""Feeds that a request cannot be given are masked before anything is searched for; shares stay exact."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from nearcast_config.mastery import Market, Master
from nearcast_config.policy import Feed, Policy, Scenario
from nearcast_geo.geojson import MARKET_LIMITS, read_area
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import RequestIds
from nearcast_server.choosing import Lineup, eligible_feeds
from nearcast_server.deciding import Decider
from nearcast_server.tenancy import View
from nearcast_store.markets.atlas import Atlas, Ranked
from nearcast_store.policies.protocol import Epoch
from tests.geojsons import box
from tests.unit.server.scene import (
    NOW,
    make_area,
    make_epoch,
    make_policy,
    make_query,
    make_view,
    town,
    with_epochs,
)

OSLO = 7
FEEDS = {
    "draw": Feed(order="draw", floor=0.1),
    "liked": Feed(order="popular", needs=("person",)),
    "local": Feed(order="newest", needs=("market",)),
    "many": Feed(order="most", kind="view", min_candidates=50),
}
KNOWN = Person(user_id="ann")
SUBSETS = {
    ("draw",): {"draw": 1.0},
    ("draw", "liked"): {"draw": 0.25, "liked": 0.75},
    ("draw", "local"): {"draw": 0.5, "local": 0.5},
    ("draw", "many"): {"draw": 0.125, "many": 0.875},
    ("draw", "liked", "many"): {"draw": 0.25, "liked": 0.25, "many": 0.5},
    ("draw", "liked", "local", "many"): {"draw": 0.25, "liked": 0.25, "local": 0.25, "many": 0.25},
}


def conditional_view(items: dict[int, int], policy: Policy | None = None) -> View:
    """With an epoch that tells the shares of every subset above, and how many items lie in no market."""
    view = make_view(policy or make_policy(feeds=FEEDS))
    numbers = view.revision.feeds
    told = {
        tuple(sorted(numbers[name] for name in names)): {numbers[name]: p for name, p in shares.items()}
        for names, shares in SUBSETS.items()
    }
    return with_epochs(view, Epoch(view.tenant_id, 4, 1, {0: told}, NOW, items=items))


def decider() -> Decider:
    random = Random(9)
    return Decider(RequestIds(lambda: int(NOW * 1000), random.randbytes), random.randbytes)


@pytest.mark.parametrize(
    ("person", "items", "left"),
    [
        (Person(), 0, ("draw",)),
        (KNOWN, 0, ("draw", "liked")),
        (Person(), 50, ("draw", "many")),
        (KNOWN, 51, ("draw", "liked", "many")),
        (KNOWN, 49, ("draw", "liked")),
    ],
)
def test_what_a_request_can_be_given_follows_from_what_is_known_of_it(
    person: Person, items: int, left: tuple[str, ...]
) -> None:
    """Four standard deviations of 600 sessions are 0.082."""
    view, made, given = conditional_view({0: items}), decider(), Counter[str]()
    for number in range(600):
        choice = made.decide(view, make_query(person=person, session_id=f"s-{number}"), NOW).choice
        given[choice.feed] += 1
        assert choice.propensity == SUBSETS[left][choice.feed]
        assert choice.epoch == 4
    for feed, share in SUBSETS[left].items():
        assert given[feed] / 600 == pytest.approx(share, abs=0.082)


def test_before_the_first_epoch_no_market_is_known_to_hold_enough() -> None:
    view = make_view(make_policy(feeds=FEEDS))
    lineup = Lineup(view.revision, eligible_feeds(view.revision, Scenario()))
    number, shares = lineup.shares(None)
    assert (number, [share.feed for share in shares]) == (0, ["draw", "liked"])


def test_a_need_of_the_place_is_met_within_markets_alone() -> None:
    revision = make_view(make_policy(feeds=FEEDS, markets={"oslo": Market()})).revision
    assert eligible_feeds(revision, Scenario(), "oslo") == ("draw", "liked", "local", "many")
    assert eligible_feeds(revision, Scenario(), "", is_known=False) == ("draw", "many")


async def test_what_the_search_finds_never_changes_the_mask() -> None:
    """Fifty items were counted, two are near, and the feed keeps its share."""
    scene = town(2, conditional_view({0: 50}))
    slates = [await scene.ask(make_query(make_area(radius_m=10.0), session_id=f"s-{n}")) for n in range(40)]
    assert {slate.decision.choice.feed for slate in slates} == {"draw", "many"}
    assert {len(slate.items) for slate in slates} <= {0, 1, 2}


async def test_a_masked_default_feed_is_stood_in_for() -> None:
    for items, feed in ((50, "many"), (49, "draw")):
        policy = make_policy(feeds=FEEDS, master=Master(frozen=True, default_feed="many"))
        slate = await town(3, conditional_view({0: items}, policy)).ask()
        assert slate.decision.choice.feed == feed


def segmented_view() -> View:
    view = make_view()
    epoch = make_epoch(view, 3, (0.1, 0.2, 0.3, 0.4))
    numbers = sorted(view.revision.feeds[name] for name in view.revision.policy.feeds)
    only = {n: {tuple(numbers): {each: float(each == n) for each in numbers}} for n in numbers}
    segments = {5: {0: only[numbers[0]], OSLO: only[numbers[1]]}}
    revision = replace(view.revision, segments={"new": 5, "old": 6})
    return with_epochs(replace(view, revision=revision), replace(epoch, segments=segments))


def in_oslo(view: View) -> View:
    area = read_area(box(10.0, 59.0, 11.0, 60.0), MARKET_LIMITS)
    return replace(view, atlas=Atlas(1, [Ranked(OSLO, "oslo", 0, area)]))


async def test_a_segment_goes_by_shares_of_its_own_and_its_trials_are_told_apart() -> None:
    view = segmented_view()
    feeds = list(view.revision.policy.feeds)
    for shown, feed in ((view, feeds[0]), (in_oslo(view), feeds[1])):
        slate = await town(5, shown).ask(make_query(segment="new"))
        assert (slate.decision.choice.feed, slate.decision.choice.propensity) == (feed, 1.0)
        assert slate.decision.segment == "new"
        assert slate.claims is not None
        assert slate.claims.scenario == 5 * 512 + slate.decision.scenario


@pytest.mark.parametrize("segment", ["old", "", "nobody-named-it"])
async def test_a_segment_of_which_nothing_is_known_goes_by_its_market_and_an_unknown_one_is_none(
    segment: str,
) -> None:
    view = segmented_view()
    told = {
        (await town(5, view).ask(make_query(segment=segment, session_id=f"s-{n}"))).decision.choice.propensity
        for n in range(40)
    }
    assert told == {0.1, 0.2, 0.3, 0.4}
    slate = await town(5, view).ask(make_query(segment=segment))
    assert slate.decision.segment == ("old" if segment == "old" else "")
    assert slate.claims is not None
    assert slate.claims.scenario // 512 == (6 if segment == "old" else 0)
