"""The shares of feeds in one published epoch."""

from math import fsum

import pytest
from msgspec.structs import replace

from nearcast_config.mastery import Market, Master
from nearcast_config.policy import Feed, Policy, Scenario
from nearcast_config.segmentation import Segments
from nearcast_statskeeper.epochs import (
    EVERYWHERE,
    arms_of,
    eligible_sets,
    hours_by_market,
    is_due,
    next_epoch,
    posterior_of,
    segment_arms,
)
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.protocol import Epoch, Revision

NOW_S = 1_790_000_000.0
HOUR = int(NOW_S // 3600)
NUMBERS = {"nearest": 1, "newest": 2, "most_applied": 3, "draw": 4, "explore": 5}
ALL = (1, 2, 3, 4)


def revision(policy: Policy | None = None, number: int = 1) -> Revision:
    """A revision of a tenant whose feeds have these numbers."""
    policy = policy or Policy()
    segments = {name: place for place, name in enumerate(policy.segments.names, 1)}
    return Revision(1, number, policy, {"impression": 1}, NUMBERS, {"default": 1}, segments)


def shares(policy: Policy, *counts: FeedCount) -> dict[int, float]:
    """Of all feeds, in all markets."""
    return dict(next_epoch(None, revision(policy), counts, NOW_S).shares[EVERYWHERE][ALL])


def test_without_evidence_every_feed_gets_its_floor_and_an_equal_part_of_the_rest() -> None:
    floors = {1: 0.01, 2: 0.01, 3: 0.01, 4: 0.3}
    expected = {feed: floor + (1 - 0.33) / 4 for feed, floor in floors.items()}
    assert shares(Policy()) == pytest.approx(expected, abs=1e-9)


def test_a_feed_that_is_surely_best_gets_all_but_the_floors() -> None:
    found = shares(Policy(), FeedCount(0, 1, HOUR, 100_000, 90_000), FeedCount(0, 4, HOUR, 100_000, 100))
    assert found[1] == pytest.approx(1 - 0.32, abs=1e-3)
    assert found[4] == pytest.approx(0.3, abs=1e-3)


def test_a_feed_that_is_surely_worst_keeps_its_floor() -> None:
    found = shares(Policy(), *(FeedCount(0, feed, HOUR, 10**7, 10**6 * feed) for feed in ALL))
    assert found[1] == pytest.approx(0.01, abs=1e-9)


@pytest.mark.parametrize("trials", [0, 1, 50, 10**12])
@pytest.mark.parametrize("rewarded", [0.0, 0.5, 1.0])
def test_shares_are_a_distribution_above_the_floors(trials: int, rewarded: float) -> None:
    found = shares(Policy(), FeedCount(0, 2, HOUR, trials, int(trials * rewarded)))
    assert fsum(found.values()) == pytest.approx(1, abs=1e-9)
    assert all(found[NUMBERS[name]] >= feed.floor - 1e-12 for name, feed in Policy().feeds.items())


def test_extreme_priors_still_give_a_distribution() -> None:
    master = Master(prior_mean=5e-324, prior_strength=0.1)
    assert fsum(shares(replace(Policy(), master=master)).values()) == pytest.approx(1, abs=1e-9)


def test_a_single_feed_has_all() -> None:
    policy = Policy(feeds={"nearest": Feed(order="nearest", floor=0.0)})
    assert next_epoch(None, revision(policy), [], NOW_S).shares == {EVERYWHERE: {(1,): {1: 1.0}}}


def test_each_scenario_has_shares_among_its_own_feeds() -> None:
    policy = Policy(
        scenarios={
            "default": Scenario(),
            "map": Scenario(feeds=("nearest",)),
            "home": Scenario(feeds=("draw", "newest")),
            "mail": Scenario(feeds=("newest", "draw")),
        }
    )
    assert eligible_sets(revision(policy)) == [(1,), ALL, (2, 4)]
    found = next_epoch(None, revision(policy), [], NOW_S).shares[EVERYWHERE]
    assert set(found) == {(1,), ALL, (2, 4)}
    assert set(found[2, 4]) == {2, 4}
    assert all(fsum(each.values()) == pytest.approx(1, abs=1e-9) for each in found.values())


# Two markets of opposite taste: what pleases in one does not in the other.
OPPOSED = [
    FeedCount(market, feed, HOUR, 1000, 900 if feed == best else 100)
    for market, best in ((7, 1), (8, 2))
    for feed in ALL
]


def test_a_market_of_another_taste_gets_other_shares_and_zero_goes_by_all() -> None:
    found = next_epoch(None, revision(), OPPOSED, NOW_S).shares
    assert set(found) == {EVERYWHERE, 7, 8}
    assert found[7][ALL][1] > 0.65
    assert found[8][ALL][2] > 0.65
    assert found[EVERYWHERE][ALL][1] == pytest.approx(found[EVERYWHERE][ALL][2], abs=1e-9)
    assert found[EVERYWHERE][ALL][1] > 0.3


def test_markets_have_no_shares_of_their_own_unless_it_is_so_set() -> None:
    policy = replace(Policy(), master=Master(by_market=False))
    assert set(next_epoch(None, revision(policy), OPPOSED, NOW_S).shares) == {EVERYWHERE}


def test_a_market_begins_where_the_others_stand_and_its_own_sessions_outweigh_them() -> None:
    """The others' 9,000 sessions count as 100 there: feed 1 pleases them, feed 2 this market."""
    others = [FeedCount(7, feed, HOUR, 3000, 2700 if feed == 1 else 300) for feed in ALL]
    first = [FeedCount(8, 1, HOUR, 1, 0)]
    found = next_epoch(None, revision(), [*others, *first], NOW_S).shares[8][ALL]
    assert found[1] > 0.65
    own = [FeedCount(8, feed, HOUR, 400, 360 if feed == 2 else 40) for feed in ALL]
    assert next_epoch(None, revision(), [*others, *own], NOW_S).shares[8][ALL][2] > 0.65


def test_a_markets_belief_is_its_own_hours_over_those_of_the_others_alone() -> None:
    """Beta(2 + 30, 8 + 70) of the others is worth 50 sessions; 6 of 20 of its own come on top."""
    master = Master(prior_mean=0.2, prior_strength=10, half_life_days=0, parent_strength=50)
    own, others = (HOUR, 20, 6), (HOUR, 100, 30)
    a, b = posterior_of(master, [own, others], [own], NOW_S)
    assert (a, b) == pytest.approx((50 * 32 / 110 + 6, 50 * 78 / 110 + 14), abs=1e-12)


def test_a_market_that_is_alone_believes_what_it_saw_over_the_prior() -> None:
    master = Master()
    hours = [(HOUR, 40, 10)]
    assert posterior_of(master, hours, hours, NOW_S) == pytest.approx(
        posterior_of(master, hours, None, NOW_S)
    )


def test_feeds_tried_too_little_share_evenly_what_floors_leave() -> None:
    policy = replace(Policy(), master=Master(min_sessions=500))
    found = shares(policy, *(FeedCount(0, feed, HOUR, 499, 100 * feed) for feed in ALL))
    assert found == pytest.approx(shares(policy), abs=1e-12)
    assert shares(policy, *(FeedCount(0, feed, HOUR, 500, 100 * feed) for feed in ALL))[4] > 0.65


def test_to_identify_the_best_feed_the_second_best_is_tried_as_well() -> None:
    counts = [
        FeedCount(0, feed, HOUR, 1000, rewards)
        for feed, rewards in zip(ALL, (100, 100, 400, 440), strict=True)
    ]
    reward = shares(replace(Policy(), master=Master(goal="reward")), *counts)
    identify = shares(replace(Policy(), master=Master(goal="identify")), *counts)
    assert identify[3] > reward[3] + 0.2
    assert fsum(identify.values()) == pytest.approx(1, abs=1e-9)


def test_a_market_with_feeds_of_its_own_has_shares_among_them_on_every_surface() -> None:
    policy = Policy(
        scenarios={"default": Scenario(), "home": Scenario(feeds=("draw", "newest"))},
        markets={"oslo": Market(feeds=("nearest", "draw"))},
    )
    assert eligible_sets(revision(policy)) == [ALL, (1, 4), (2, 4), (4,)]


def test_those_held_out_are_counted_apart() -> None:
    held = Revision(1, 1, Policy(), {"impression": 1}, NUMBERS | {"holdout": 9}, {"default": 1})
    counts = [FeedCount(0, 9, HOUR, 10_000, 9_000)]
    assert next_epoch(None, held, counts, NOW_S).shares == next_epoch(None, held, [], NOW_S).shares


def test_counts_of_no_market_are_counted_once() -> None:
    assert hours_by_market([FeedCount(0, 1, HOUR, 10, 5)]) == {0: {1: [(HOUR, 10, 5)]}}


def test_evidence_fades_with_the_half_life_of_the_policy() -> None:
    policy = replace(Policy(), master=Master(half_life_days=1.0))
    aged = FeedCount(0, 1, HOUR - 24, 2000, 1000), FeedCount(0, 2, HOUR, 2000, 1000)
    halved = FeedCount(0, 1, HOUR, 1000, 500), FeedCount(0, 2, HOUR, 2000, 1000)
    assert shares(policy, *aged) == pytest.approx(shares(policy, *halved), abs=1e-3)
    assert shares(policy, *aged)[1] != pytest.approx(shares(Policy(), *aged)[1], abs=1e-3)


def test_counts_of_exploration_and_of_feeds_that_are_gone_are_left_out() -> None:
    with_them = shares(Policy(), FeedCount(0, 5, HOUR, 99, 99), FeedCount(0, 77, HOUR, 99, 99))
    assert with_them == pytest.approx(shares(Policy()), abs=1e-12)


def test_floors_above_one_are_refused_in_words() -> None:
    policy = Policy(feeds={name: Feed(order="nearest", floor=0.4) for name in ("nearest", "newest", "draw")})
    with pytest.raises(ValueError, match=r"floors .* 1\.2"):
        next_epoch(None, revision(policy), [], NOW_S)


def epoch(revision_number: int, age_s: float) -> Epoch:
    """One that was published so long ago."""
    return Epoch(1, 41, revision_number, {}, NOW_S - age_s)


@pytest.mark.parametrize(
    ("latest", "due"),
    [
        pytest.param(None, True, id="there is none"),
        pytest.param(epoch(3, 60), False, id="young"),
        pytest.param(epoch(3, 15 * 60 - 1), False, id="not yet"),
        pytest.param(epoch(3, 15 * 60), True, id="old"),
        pytest.param(epoch(2, 60), True, id="another policy"),
    ],
)
def test_an_epoch_is_due_when_there_is_none_it_is_old_or_of_another_policy(
    latest: Epoch | None, due: bool
) -> None:
    assert is_due(latest, revision(number=3), NOW_S) is due


def test_epochs_are_numbered_on() -> None:
    following = next_epoch(epoch(3, 900), revision(number=3), [], NOW_S)
    assert (following.number, following.policy_revision, following.published_at) == (42, 3, NOW_S)
    assert next_epoch(None, revision(), [], NOW_S).number == 1


@pytest.mark.parametrize("ahead_s", [0.0, 3600.0])
def test_an_epoch_is_published_after_the_last_one_whatever_the_clock_says(ahead_s: float) -> None:
    latest = epoch(2, -ahead_s)
    following = next_epoch(latest, revision(number=3), [], NOW_S)
    assert latest.published_at + 0.0005 < following.published_at < latest.published_at + 0.002


SEGMENTED = replace(Policy(), segments=Segments(names=("new", "old")))


def liked(best: int, market: int, segment: int, sessions: int = 1000) -> list[FeedCount]:
    """By so many sessions of each feed, nine of ten with one feed and one of ten with the others."""
    share = {feed: 9 if feed == best else 1 for feed in ALL}
    return [FeedCount(market, feed, HOUR, sessions, sessions * share[feed] // 10, segment) for feed in ALL]


def test_segments_of_opposed_taste_get_shares_of_their_own_in_every_market() -> None:
    counts = [*liked(1, 7, 1), *liked(2, 7, 2), *liked(3, 8, 1)]
    found = next_epoch(None, revision(SEGMENTED), counts, NOW_S).segments
    assert {segment: set(shares) for segment, shares in found.items()} == {1: {0, 7, 8}, 2: {0, 7}}
    assert found[1][7][ALL][1] > 0.65
    assert found[2][7][ALL][2] > 0.65
    assert found[1][8][ALL][3] > 0.65


def test_without_segments_nothing_is_published_for_any_and_all_sessions_count() -> None:
    counts = [*liked(1, 7, 1), *liked(1, 7, 2)]
    epoch = next_epoch(None, revision(), counts, NOW_S)
    assert epoch.segments == {}
    assert epoch.shares[7][ALL][1] > 0.65


def test_a_segment_begins_where_its_market_stands_and_its_own_sessions_outweigh_that() -> None:
    others = liked(1, 7, 0, sessions=3000)
    first = [FeedCount(7, 1, HOUR, 1, 0, 1)]
    epoch = next_epoch(None, revision(SEGMENTED), [*others, *first], NOW_S)
    assert epoch.segments[1][7][ALL][1] > 0.65
    own = liked(2, 7, 1, sessions=400)
    assert next_epoch(None, revision(SEGMENTED), [*others, *own], NOW_S).segments[1][7][ALL][2] > 0.65
    drowned = replace(SEGMENTED, segments=Segments(names=("new",), parent_strength=100_000.0))
    few = liked(2, 7, 1, sessions=100)
    assert next_epoch(None, revision(drowned), [*others, *few], NOW_S).segments[1][7][ALL][1] > 0.65


def test_a_segments_own_sessions_are_left_out_of_what_its_market_says() -> None:
    """All of the market is the segment: it has what its sessions say over the prior, counted once."""
    master = Master(prior_mean=0.2, prior_strength=10.0, half_life_days=0.0)
    policy = replace(SEGMENTED, master=master)
    counts = [FeedCount(0, 1, HOUR, 50, 20, 1)]
    arms = arms_of(revision(policy), hours_by_market(counts), EVERYWHERE, NOW_S)
    arm = segment_arms(revision(policy), arms, {1: [(HOUR, 50, 20)]}, NOW_S)[
        [each.name for each in arms].index("nearest")
    ]
    assert (arm.a, arm.b) == pytest.approx((2 + 20, 8 + 30), rel=1e-9)


def test_segments_have_no_shares_by_market_where_markets_have_none() -> None:
    policy = replace(SEGMENTED, master=Master(by_market=False))
    found = next_epoch(None, revision(policy), [*liked(1, 7, 1), *liked(1, 8, 1)], NOW_S).segments
    assert {segment: set(shares) for segment, shares in found.items()} == {1: {EVERYWHERE}}


def test_every_set_of_feeds_that_conditions_may_leave_has_shares() -> None:
    feeds = Policy().feeds | {
        "nearest": Feed(order="nearest", needs=("person",)),
        "newest": Feed(order="newest", min_candidates=10),
        "most_applied": Feed(order="most", kind="apply", needs=("market",), min_candidates=500),
    }
    found = next_epoch(None, revision(replace(Policy(), feeds=feeds)), [], NOW_S, {7: 12})
    least = {(4,), (1, 4), (2, 4), (1, 2, 4), (2, 3, 4), ALL}
    assert set(found.shares[EVERYWHERE]) == least
    assert found.items == {7: 12}
    assert all(fsum(shares.values()) == pytest.approx(1) for shares in found.shares[EVERYWHERE].values())
