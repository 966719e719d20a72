"""The shares of feeds in one published epoch."""

from math import fsum

import pytest
from msgspec.structs import replace

from nearcast_config.policy import Feed, Master, Policy, Scenario
from nearcast_statskeeper.epochs import EVERYWHERE, eligible_sets, hours_by_market, is_due, next_epoch
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.protocol import Epoch, Revision

NOW_S = 1_790_000_000.0
HOUR = int(NOW_S // 3600)
NUMBERS = {"nearest": 1, "newest": 2, "most_applied": 3, "draw": 4, "explore": 5}
ALL = (1, 2, 3, 4)


def revision(policy: Policy | None = None, number: int = 1) -> Revision:
    """A revision of a tenant whose feeds have these numbers."""
    return Revision(1, number, policy or Policy(), {"impression": 1}, NUMBERS, {"default": 1})


def shares(policy: Policy, *counts: FeedCount) -> dict[int, float]:
    """Of all feeds, in all markets."""
    return dict(next_epoch(None, revision(policy), counts, NOW_S).shares[EVERYWHERE][ALL])


def test_without_evidence_every_feed_gets_its_floor_and_an_equal_part_of_the_rest() -> None:
    floors = {1: 0.02, 2: 0.02, 3: 0.02, 4: 0.1}
    expected = {feed: floor + (1 - 0.16) / 4 for feed, floor in floors.items()}
    assert shares(Policy()) == pytest.approx(expected, abs=1e-9)


def test_a_feed_that_is_surely_best_gets_all_but_the_floors() -> None:
    found = shares(Policy(), FeedCount(0, 1, HOUR, 100_000, 90_000), FeedCount(0, 4, HOUR, 100_000, 100))
    assert found[1] == pytest.approx(1 - 0.14, abs=1e-3)
    assert found[4] == pytest.approx(0.1, abs=1e-3)


def test_a_feed_that_is_surely_worst_keeps_its_floor() -> None:
    found = shares(Policy(), *(FeedCount(0, feed, HOUR, 10**7, 10**6 * feed) for feed in ALL))
    assert found[1] == pytest.approx(0.02, abs=1e-9)


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


def test_every_market_goes_by_its_own_counts_and_zero_by_all() -> None:
    counts = [FeedCount(7, 1, HOUR, 1000, 900), FeedCount(8, 2, HOUR, 1000, 900)]
    found = next_epoch(None, revision(), counts, NOW_S).shares
    assert set(found) == {EVERYWHERE, 7, 8}
    assert found[7][ALL][1] > 0.8
    assert found[8][ALL][2] > 0.8
    assert found[EVERYWHERE][ALL][1] == pytest.approx(found[EVERYWHERE][ALL][2], abs=1e-9)
    assert found[EVERYWHERE][ALL][1] > 0.4


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
