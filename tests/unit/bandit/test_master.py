import subprocess
import sys
from collections import Counter

import pytest
from scipy import stats

from nearcast_bandit.master import FeedArm, FeedShare, choose, feed_shares, session_unit

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


def test_sessions_fall_on_feeds_in_proportion() -> None:
    shares = feed_shares(ARMS)
    sessions = 200_000
    chosen = Counter(
        choose(shares, session_unit(SALT, b"session %d" % number, 3)).feed for number in range(sessions)
    )
    expected = [share.probability * sessions for share in shares]
    assert stats.chisquare([chosen[share.feed] for share in shares], expected).pvalue > 1e-6


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


def test_another_process_places_a_session_the_same() -> None:
    program = (
        "from nearcast_bandit.master import session_unit;"
        "print([session_unit(b'salt of the feeds', b'session %d' % n, 3).hex() for n in range(100)])"
    )
    # -R: another hash seed.
    other = subprocess.run([sys.executable, "-R", "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str([session_unit(SALT, b"session %d" % n, 3).hex() for n in range(100)])
