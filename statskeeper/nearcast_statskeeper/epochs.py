"""The feed probabilities of one policy epoch: pure, from counts and policy to exact shares."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.master import SHAPE_CEILING, FeedArm, feed_shares
from nearcast_bandit.posterior import Prior
from nearcast_bandit.trials import trial_posterior
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.protocol import Epoch, Revision

EVERYWHERE = 0
"""The market whose counts are those of all markets together."""

Eligible = tuple[int, ...]
Hour = tuple[int, int, int]
# Gateways ask for what was published after the last that they know, and a keeper's clock may be behind.
_STEP_S = 0.001

Shares = Mapping[Eligible, Mapping[int, float]]


def is_due(latest: Epoch | None, revision: Revision, now: float) -> bool:
    """Whether a new epoch must be published: there is none, the policy is another, or it is old."""
    if latest is None or latest.policy_revision != revision.number:
        return True
    return now - latest.published_at >= revision.policy.master.epoch_minutes * 60


def next_epoch(latest: Epoch | None, revision: Revision, counts: Iterable[FeedCount], now: float) -> Epoch:
    """The epoch that follows; shares for all markets together and for each that was seen."""
    eligible = eligible_sets(revision)
    hours = hours_by_market(counts)
    return Epoch(
        tenant_id=revision.tenant_id,
        number=latest.number + 1 if latest else 1,
        policy_revision=revision.number,
        shares={
            market: shares_of(revision, hours.get(market, {}), eligible, now)
            for market in sorted({EVERYWHERE, *hours})
        },
        published_at=max(now, latest.published_at + _STEP_S) if latest else now,
    )


def eligible_sets(revision: Revision) -> list[Eligible]:
    """Every set of feeds that a request can choose from: all of them, and those of each scenario."""
    policy = revision.policy
    names = [
        tuple(policy.feeds),
        *(scenario.feeds for scenario in policy.scenarios.values() if scenario.feeds),
    ]
    return sorted({tuple(sorted(revision.feeds[name] for name in each)) for each in names})


def hours_by_market(counts: Iterable[FeedCount]) -> dict[int, dict[int, list[Hour]]]:
    """Hours of trials and rewards by market and feed; every market's count for all markets together too."""
    hours: dict[int, dict[int, list[Hour]]] = defaultdict(lambda: defaultdict(list))
    for count in counts:
        for market in {EVERYWHERE, count.market}:
            hours[market][count.feed].append((count.bucket, count.trials, count.rewards))
    return {market: dict(feeds) for market, feeds in hours.items()}


def shares_of(
    revision: Revision, hours: Mapping[int, Sequence[Hour]], eligible: Iterable[Eligible], now: float
) -> dict[Eligible, dict[int, float]]:
    """The exact share of every feed within each eligible set."""
    master = revision.policy.master
    prior = Prior(master.prior_mean, master.prior_strength)
    arms = []
    for name, feed in revision.policy.feeds.items():
        known = hours.get(revision.feeds[name], ())
        a, b = trial_posterior(known, prior, master.half_life_days, now / 3600)
        arms.append(FeedArm(name, _bounded(a), _bounded(b), feed.floor))
    names = {number: name for name, number in revision.feeds.items()}
    return {
        feeds: {
            revision.feeds[share.feed]: share.probability
            for share in feed_shares(arms, {names[feed] for feed in feeds})
        }
        for feeds in eligible
    }


def _bounded(shape: float) -> float:
    return min(max(shape, SHAPE_FLOOR), SHAPE_CEILING)
