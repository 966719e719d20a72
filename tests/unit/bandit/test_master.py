import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from nearcast_bandit.best import top_two_shares
from nearcast_bandit.master import (
    FeedArm,
    FeedShare,
    Goal,
    choose,
    feed_shares,
    is_held_out,
    session_unit,
)

SALT = b"salt of the feeds"
ARMS = (
    FeedArm("nearest", 30, 300, floor=0.02),
    FeedArm("newest", 20, 300, floor=0.02),
    FeedArm("most_applied", 34, 310, floor=0.02),
    FeedArm("draw", 36, 320, floor=0.1),
)


def probabilities(shares: tuple[FeedShare, ...]) -> dict[str, float]:
    return {share.feed: share.probability for share in shares}


def test_without_floors_a_feed_is_chosen_as_often_as_it_is_the_best() -> None:
    shares = probabilities(feed_shares((FeedArm("up", 2, 1), FeedArm("flat", 1, 1))))
    assert shares == pytest.approx({"up": 2 / 3, "flat": 1 / 3}, abs=1e-5)


def test_floors_are_taken_out_before_the_rest_is_shared() -> None:
    shares = probabilities(feed_shares((FeedArm("up", 2, 1, floor=0.1), FeedArm("flat", 1, 1, floor=0.2))))
    assert shares == pytest.approx({"up": 0.1 + 0.7 * 2 / 3, "flat": 0.2 + 0.7 / 3}, abs=1e-5)


def test_shares_add_up_to_one_in_the_order_of_the_arms() -> None:
    shares = feed_shares(ARMS)
    assert [share.feed for share in shares] == [arm.name for arm in ARMS]
    assert sum(share.probability for share in shares) == pytest.approx(1, abs=1e-12)


def test_a_hopeless_feed_keeps_its_floor() -> None:
    arms = (
        FeedArm("sure", 1e9, 1e3, floor=0.02),
        FeedArm("hopeless", 1e-9, 1e9, floor=0.03),
        FeedArm("lost", 1, 1e6),
    )
    shares = probabilities(feed_shares(arms))
    assert shares == pytest.approx({"sure": 0.97, "hopeless": 0.03, "lost": 0.0}, abs=1e-12)


def test_floors_that_fill_everything_leave_nothing_to_learn() -> None:
    arms = (FeedArm("up", 9, 1, floor=0.3), FeedArm("flat", 1, 1, floor=0.7))
    assert probabilities(feed_shares(arms)) == pytest.approx({"up": 0.3, "flat": 0.7}, abs=1e-15)


def test_feeds_that_are_not_eligible_are_left_out_of_the_reckoning() -> None:
    some = feed_shares(ARMS, eligible={"newest", "draw"})
    assert some == feed_shares((ARMS[1], ARMS[3]))
    assert sum(share.probability for share in some) == pytest.approx(1, abs=1e-12)


def test_the_only_eligible_feed_is_certain() -> None:
    assert probabilities(feed_shares(ARMS, eligible=["newest"])) == {"newest": pytest.approx(1, abs=1e-12)}


def test_no_eligible_feed_is_an_error_that_names_the_feeds() -> None:
    with pytest.raises(ValueError, match="nearest"):
        feed_shares(ARMS, eligible=())


def test_floors_above_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"add up to 1\.2"):
        feed_shares((FeedArm("a", 1, 1, floor=0.6), FeedArm("b", 1, 1, floor=0.6)))


@pytest.mark.parametrize("floor", [-0.1, 1.1, float("nan")])
def test_a_floor_out_of_range_is_refused(floor: float) -> None:
    with pytest.raises(ValueError, match="floor of feed 'a'"):
        FeedArm("a", 1, 1, floor=floor)


@pytest.mark.parametrize("shape", [0.0, -1.0, float("nan"), float("inf")])
def test_a_shape_out_of_range_is_refused(shape: float) -> None:
    with pytest.raises(ValueError, match="A of feed 'a'"):
        FeedArm("a", shape, 1)
    with pytest.raises(ValueError, match="B of feed 'a'"):
        FeedArm("a", 1, shape)


def test_choosing_goes_by_the_cumulated_shares() -> None:
    shares = (FeedShare("a", 0.25), FeedShare("none", 0.0), FeedShare("b", 0.5), FeedShare("c", 0.25))
    chosen = [choose(shares, unit).feed for unit in (0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53)]
    assert chosen == ["a", "a", "b", "b", "c", "c"]


def test_a_sum_a_hair_below_one_goes_to_the_last_feed_that_has_a_share() -> None:
    shares = (FeedShare("a", 0.5), FeedShare("b", 0.5 - 1e-12), FeedShare("none", 0.0))
    assert choose(shares, 1 - 2**-53).feed == "b"


@pytest.mark.parametrize("unit", [-0.1, 1.0, float("nan")])
def test_a_unit_out_of_range_is_refused(unit: float) -> None:
    with pytest.raises(ValueError, match="unit"):
        choose(feed_shares(ARMS), unit)


def test_salt_session_and_epoch_each_move_a_session() -> None:
    units = {
        session_unit(SALT, b"session", 1),
        session_unit(b"another", b"session", 1),
        session_unit(SALT, b"sessions", 1),
        session_unit(SALT, b"session", 2),
    }
    assert len(units) == 4
    assert all(0 <= unit < 1 for unit in units)


def test_epochs_place_sessions_independently() -> None:
    pairs = [
        (session_unit(SALT, b"%d" % number, 1), session_unit(SALT, b"%d" % number, 2))
        for number in range(20_000)
    ]
    assert abs(stats.pearsonr(*zip(*pairs, strict=True)).statistic) < 6 / 20_000**0.5


def test_a_million_sessions_of_eight_feeds_fall_as_the_shares_say() -> None:
    arms = [FeedArm(f"feed {number}", 20 + number, 300, floor=0.02) for number in range(8)]
    shares = feed_shares(arms)
    bounds = np.cumsum([share.probability for share in shares])
    units = np.array([session_unit(SALT, number.to_bytes(4), 9) for number in range(1_000_000)])
    counted = np.bincount(np.searchsorted(bounds, units, side="right"), minlength=8)
    expected = 1e6 * np.diff(bounds, prepend=0.0)
    # The 1e-6 point of chi-square with 7 degrees of freedom.
    assert float(((counted - expected) ** 2 / expected).sum()) < 40.5


def test_another_process_places_a_session_the_same() -> None:
    program = (
        "from nearcast_bandit.master import session_unit;"
        "print([session_unit(b'salt of the feeds', b'session %d' % n, 3).hex() for n in range(100)])"
    )
    # -R: another hash seed.
    other = subprocess.run([sys.executable, "-R", "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str([session_unit(SALT, b"session %d" % n, 3).hex() for n in range(100)])


def test_to_identify_the_best_feed_the_rest_goes_by_top_two_sampling() -> None:
    arms = (FeedArm("up", 40, 300, floor=0.1), FeedArm("flat", 20, 300), FeedArm("down", 18, 300, floor=0.2))
    shares = [share.probability for share in feed_shares(arms, goal=Goal.IDENTIFY)]
    parts = top_two_shares(np.array([40.0, 20, 18]), np.array([300.0, 300, 300]))
    assert shares == pytest.approx(list(np.array([0.1, 0, 0.2]) + 0.7 * parts), abs=1e-12)
    assert shares[0] < feed_shares(arms)[0].probability


def test_feeds_that_were_hardly_tried_share_evenly() -> None:
    arms = [FeedArm(name, a, 300, trials=99) for name, a in (("up", 60), ("flat", 30), ("down", 10))]
    shares = probabilities(feed_shares(arms, least_trials=100))
    assert shares == pytest.approx({"up": 1 / 3, "flat": 1 / 3, "down": 1 / 3}, abs=1e-12)


def test_a_feed_that_comes_later_gets_an_even_part_and_the_others_keep_their_proportions() -> None:
    old = (FeedArm("up", 40, 300, floor=0.1, trials=100), FeedArm("flat", 30, 300, floor=0.1, trials=5000))
    before = probabilities(feed_shares(old, least_trials=100))
    after = probabilities(feed_shares((*old, FeedArm("new", 1, 9, floor=0.1, trials=3)), least_trials=100))
    assert after["new"] == pytest.approx(0.1 + 0.7 / 3)
    for name in ("up", "flat"):
        assert (after[name] - 0.1) / (0.7 * 2 / 3) == pytest.approx((before[name] - 0.1) / 0.8)


def test_trials_below_none_are_refused() -> None:
    with pytest.raises(ValueError, match="trials of feed 'a'"):
        FeedArm("a", 1, 1, trials=-1)


def test_a_share_is_held_out_for_as_long_as_the_salt() -> None:
    subjects = [b"subject %d" % number for number in range(40_000)]
    held = [is_held_out(SALT, subject, 0.1) for subject in subjects]
    assert stats.binomtest(sum(held), len(held), 0.1).pvalue > 1e-6
    assert held[:2000] == [is_held_out(SALT, subject, 0.1) for subject in subjects[:2000]]
    other = [is_held_out(b"another", subject, 0.1) for subject in subjects]
    both = sum(one and two for one, two in zip(held, other, strict=True))
    assert stats.binomtest(both, len(held), 0.01).pvalue > 1e-6


def test_a_greater_share_holds_out_whoever_a_smaller_one_does() -> None:
    subjects = [b"%d" % number for number in range(2000)]
    some = {subject for subject in subjects if is_held_out(SALT, subject, 0.05)}
    assert some
    assert some < {subject for subject in subjects if is_held_out(SALT, subject, 0.2)}


def test_none_and_all_can_be_held_out() -> None:
    assert not any(is_held_out(SALT, b"%d" % number, 0) for number in range(1000))
    assert all(is_held_out(SALT, b"%d" % number, 1) for number in range(1000))


def test_who_is_held_out_says_nothing_of_the_feed_under_the_same_salt() -> None:
    held = [
        session_unit(SALT, b"%d" % number, 0)
        for number in range(50_000)
        if is_held_out(SALT, b"%d" % number, 0.1)
    ]
    assert stats.kstest(held, "uniform").pvalue > 1e-6


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_held_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share held out"):
        is_held_out(SALT, b"subject", share)
