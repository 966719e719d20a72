"""The feed probabilities of one policy epoch: pure, from counts and policy to exact shares."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from nearcast_bandit.draw import SHAPE_FLOOR
from nearcast_bandit.master import SHAPE_CEILING, FeedArm, Goal, feed_shares
from nearcast_bandit.posterior import Prior
from nearcast_bandit.trials import narrowed_posterior, trial_posterior
from nearcast_config.masking import feed_sets
from nearcast_config.mastery import Master
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.protocol import Epoch, Revision, Shares

EVERYWHERE = 0
"""The market whose counts are those of all markets together."""

Eligible = tuple[int, ...]
Hour = tuple[int, int, int]
Hours = Mapping[int, Mapping[int, Sequence[Hour]]]
# Gateways ask for what was published after the last that they know, and a keeper's clock may be behind.
_STEP_S = 0.001

NO_ITEMS: Mapping[int, int] = MappingProxyType({})


def is_due(latest: Epoch | None, revision: Revision, now: float) -> bool:
    """Whether a new epoch must be published: there is none, the policy is another, or it is old."""
    if latest is None or latest.policy_revision != revision.number:
        return True
    return now - latest.published_at >= revision.policy.master.epoch_minutes * 60


def next_epoch(
    latest: Epoch | None,
    revision: Revision,
    counts: Sequence[FeedCount],
    now: float,
    items: Mapping[int, int] = NO_ITEMS,
) -> Epoch:
    """The epoch that follows; shares for all markets together and, if so set, for each that was seen.

    `items` are those that each market holds, where a feed depends on it.
    """
    eligible = eligible_sets(revision)
    hours = hours_by_market(counts)
    markets = sorted({EVERYWHERE, *hours}) if revision.policy.master.by_market else [EVERYWHERE]
    return Epoch(
        tenant_id=revision.tenant_id,
        number=latest.number + 1 if latest else 1,
        policy_revision=revision.number,
        shares={
            market: _shares(revision, arms_of(revision, hours, market, now), eligible) for market in markets
        },
        published_at=max(now, latest.published_at + _STEP_S) if latest else now,
        segments=_segments(revision, hours, counts, eligible, now),
        items=items,
    )


def eligible_sets(revision: Revision) -> list[Eligible]:
    """Every set of feeds that a request can choose from, by their numbers."""
    sets = feed_sets(revision.policy)
    return sorted(tuple(sorted(revision.feeds[name] for name in each)) for each in sets)


def hours_by_market(counts: Iterable[FeedCount]) -> dict[int, dict[int, list[Hour]]]:
    """Hours of trials and rewards by market and feed; every market's count for all markets together too."""
    hours: dict[int, dict[int, list[Hour]]] = defaultdict(lambda: defaultdict(list))
    for count in counts:
        for market in {EVERYWHERE, count.market}:
            hours[market][count.feed].append((count.bucket, count.trials, count.rewards))
    return {market: dict(feeds) for market, feeds in hours.items()}


def arms_of(
    revision: Revision, hours: Mapping[int, Mapping[int, Sequence[Hour]]], market: int, now: float
) -> list[FeedArm]:
    """What is believed of every feed in a market: what it saw there, over what the other markets saw.

    A feed counts as tried by its sessions everywhere: a market need not begin anew.
    """
    policy, everywhere, own = revision.policy, hours.get(EVERYWHERE, {}), hours.get(market, {})
    arms = []
    for name, feed in policy.feeds.items():
        number = revision.feeds[name]
        seen = everywhere.get(number, ())
        a, b = posterior_of(policy.master, seen, own.get(number, ()) if market != EVERYWHERE else None, now)
        trials = sum(tried for _, tried, _ in seen)
        arms.append(FeedArm(name, _bounded(a), _bounded(b), feed.floor, trials))
    return arms


def posterior_of(
    master: Master, everywhere: Sequence[Hour], own: Sequence[Hour] | None, now: float
) -> tuple[float, float]:
    """A and B of a feed, everywhere, or of its own hours in one market over those of all others."""
    prior, hour = Prior(master.prior_mean, master.prior_strength), now / 3600
    a, b = trial_posterior(everywhere, prior, master.half_life_days, hour)
    if own is None:
        return a, b
    return narrowed_posterior((a, b), own, master.parent_strength, master.half_life_days, hour)


def segment_arms(
    revision: Revision, arms: Sequence[FeedArm], own: Mapping[int, Sequence[Hour]], now: float
) -> list[FeedArm]:
    """What is believed of every feed for a segment: its own hours over what all others did in the market."""
    half_life_days, strength = revision.policy.master.half_life_days, revision.policy.segments.parent_strength
    narrow = []
    for arm in arms:
        hours = own.get(revision.feeds[arm.name], ())
        a, b = narrowed_posterior((arm.a, arm.b), hours, strength, half_life_days, now / 3600)
        narrow.append(FeedArm(arm.name, _bounded(a), _bounded(b), arm.floor, arm.trials))
    return narrow


def _segments(
    revision: Revision, hours: Hours, counts: Iterable[FeedCount], eligible: Sequence[Eligible], now: float
) -> dict[int, Shares]:
    """By segment, for all markets together and, if so set, for each where it was seen."""
    seen: dict[int, list[FeedCount]] = {number: [] for number in sorted(revision.segments.values())}
    for count in counts if seen else ():
        if count.segment in seen:
            seen[count.segment].append(count)
    found: dict[int, Shares] = {}
    for segment, own in ((segment, hours_by_market(some)) for segment, some in seen.items() if some):
        markets = sorted(own) if revision.policy.master.by_market else [EVERYWHERE]
        found[segment] = {
            market: _shares(
                revision,
                segment_arms(revision, arms_of(revision, hours, market, now), own[market], now),
                eligible,
            )
            for market in markets
        }
    return found


def _shares(
    revision: Revision, arms: Sequence[FeedArm], eligible: Iterable[Eligible]
) -> dict[Eligible, dict[int, float]]:
    """The exact share of every feed within each eligible set."""
    master = revision.policy.master
    names = {number: name for name, number in revision.feeds.items()}
    return {
        feeds: {
            revision.feeds[share.feed]: share.probability
            for share in feed_shares(
                arms, {names[feed] for feed in feeds}, Goal(master.goal), master.min_sessions
            )
        }
        for feeds in eligible
    }


def _bounded(shape: float) -> float:
    return min(max(shape, SHAPE_FLOOR), SHAPE_CEILING)
