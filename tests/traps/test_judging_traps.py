"""Ways in which judgement goes wrong unnoticed: propensities, snapshots, no floor, dashboards."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.published.slates import ITEMS, POSITIONS, SlateWorld, ranking, slate_world
from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.bootstrap import Resampling
from nearcast_bandit.evaluation.estimators import estimates
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.report import evaluate
from nearcast_bandit.evaluation.sums import session_sums
from nearcast_bandit.evaluation.verdict import Outcome
from nearcast_bandit.master import FeedArm, feed_shares
from nearcast_bandit.propensity import draw_propensities, floor_propensities, with_floor
from nearcast_bandit.replaying import replayed_propensities

QUICK = Resampling(100)
LOGS = 12
REQUESTS = 20_000


@pytest.fixture(scope="module")
def world() -> SlateWorld:
    return slate_world(3)


def ips(log: ShownItems) -> float:
    """The reward per request under the target."""
    return float(estimates(session_sums(log).totals())["ips"][0])


# The wrong propensity: one over the candidates, the score, the share of a few replays.


def test_only_true_propensities_tell_what_another_policy_earns(world: SlateWorld) -> None:
    early = ranking(world.early)
    logs = [world.log(REQUESTS, np.random.default_rng(seed)) for seed in range(LOGS)]

    def tells_what_a_policy_earns(logged: Floats) -> bool:
        """The mean of the estimates lies within 1 % of the truth."""
        found = [ips(world.rows(shown, rewards, logged)) for shown, rewards in logs]
        return abs(float(np.mean(found)) / world.value(world.target) - 1) < 0.01

    scores = np.repeat((world.early[0] / (world.early[0] + world.early[1]))[:, None], POSITIONS, axis=1)
    few = np.maximum(replayed_propensities(early, POSITIONS, 200), 1 / 1024)
    assert tells_what_a_policy_earns(draw_propensities(early, POSITIONS))
    assert not tells_what_a_policy_earns(np.full((ITEMS, POSITIONS), 1 / ITEMS))
    assert not tells_what_a_policy_earns(scores)
    assert not tells_what_a_policy_earns(few)


# Snapshots that differ between replicas: weights of another snapshot are wrong, and it has to show.


def is_told_of(world: SlateWorld, taken_for: Floats) -> bool:
    """Whether an evaluation says that the log was not drawn by what it claims."""
    shown, rewards = world.log(REQUESTS, np.random.default_rng(1))
    missing = evaluate(world.rows(shown, rewards, taken_for), resampling=QUICK).verdict.missing
    return any("another snapshot" in each for each in missing)


def test_propensities_of_another_snapshot_are_found_out(world: SlateWorld) -> None:
    later = draw_propensities(ranking((world.early[0] + 12.0, world.early[1] + 40.0)), POSITIONS)
    mixed = np.maximum(later, 1e-6)
    assert not is_told_of(world, world.logged)
    assert is_told_of(world, mixed[::-1])


# No floor: the log has no second life.


def can_be_judged(world: SlateWorld, share: float) -> bool:
    """Whether a policy that shows what hardly ever was shown can be judged at all."""
    rng, sure = np.random.default_rng(2), (world.early[0] * 50, world.early[1] * 50)
    certain = replace(world, early=sure, logged=draw_propensities(ranking(sure), POSITIONS))
    even = floor_propensities(ITEMS, np.arange(ITEMS), POSITIONS)
    shown, _ = certain.log(REQUESTS, rng)
    shuffled = rng.random(REQUESTS) < share
    shown[shuffled] = np.argsort(rng.random((int(shuffled.sum()), ITEMS)), axis=1)[:, :POSITIONS]
    rewards = (rng.random(shown.shape) < world.rates[shown]).astype(np.float64)
    logged = np.maximum(with_floor(certain.logged, even, share), 1e-12)
    log = replace(certain, target=even).rows(shown, rewards, logged)
    return evaluate(log, resampling=QUICK).verdict.outcome is not Outcome.REFUSED


def test_without_a_floor_a_policy_far_from_the_log_is_refused_and_with_one_it_is_judged(
    world: SlateWorld,
) -> None:
    assert can_be_judged(world, share=0.1)
    assert not can_be_judged(world, share=0.0)


# A dashboard of adaptive arms read as an experiment: who was shown at a good hour looks better.


def names_the_better_feed(rate_of: Callable[[Floats, Floats, Floats], Floats]) -> bool:
    """By day feed 0 is given most sessions and every feed earns three times as much; feed 1 is the better."""
    rng, hours, sessions = np.random.default_rng(8), 48, 4_000
    told = np.zeros((3, 0))
    for hour in range(hours):
        is_day = hour % 24 < 12
        share = 0.9 if is_day else 0.1
        base = np.array([0.030, 0.036]) * (3.0 if is_day else 1.0)
        feed = (rng.random(sessions) >= share).astype(np.int64)
        reward = rng.random(sessions) < base[feed]
        chance = np.where(feed == 0, share, 1 - share)
        told = np.concatenate([told, np.array([feed, reward, chance])], axis=1)
    rates = rate_of(told[0], told[1], told[2])
    return bool(rates[1] > rates[0])


def test_feeds_are_compared_by_their_propensities_and_not_by_their_averages() -> None:
    def weighted(feed: Floats, reward: Floats, chance: Floats) -> Floats:
        rows, ones, none = np.arange(feed.size), np.ones(feed.size, np.int64), np.zeros(feed.size)
        return np.array(
            [ips(ShownItems(rows, rows, ones, reward, chance, (feed == arm) * 1.0, none)) for arm in (0, 1)]
        )

    def averages(feed: Floats, reward: Floats, chance: Floats) -> Floats:
        return np.array([reward[feed == arm].mean() for arm in (0, 1)])

    assert names_the_better_feed(weighted)
    assert not names_the_better_feed(averages)


def test_no_feed_is_ever_starved_so_that_it_can_come_back() -> None:
    arms = [FeedArm("good", 900.0, 100.0, 0.02, trials=1_000), FeedArm("bad", 1.0, 999.0, 0.02, trials=1_000)]
    shares = {each.feed: each.probability for each in feed_shares(arms)}
    assert shares["bad"] == pytest.approx(0.02, abs=1e-9)
    assert sum(shares.values()) == pytest.approx(1.0)
