"""The share of requests that each feed gets under a policy, for those whom the bandits serve."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import msgspec

from nearcast_bandit.master import Goal, feed_shares
from nearcast_config.mastery import Market
from nearcast_config.policy import Policy
from nearcast_server.choosing import eligible_feeds
from nearcast_statskeeper.epochs import EVERYWHERE, arms_of, hours_by_market, segment_arms
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.protocol import Revision

Shares = Sequence[tuple[str, float]]
Hours = Mapping[int, Mapping[int, Sequence[tuple[int, int, int]]]]
_NOTHING_FREE = 1e-9
_ANY = Market()
_NOBODY: frozenset[str] = frozenset()


@dataclass(slots=True)
class FeedOdds:
    """As the keeper would publish them now, from the sessions that were counted; `now` in unix seconds.

    `segments` are the hours of single segments, by their numbers.
    """

    hours: Hours
    now: float
    segments: Mapping[int, Hours] = field(default_factory=dict)
    # With the revision, so that nothing else can come to its id.
    _known: dict[tuple[int, int, int, tuple[str, ...]], tuple[Revision, Shares]] = field(default_factory=dict)

    def shares(
        self,
        revision: Revision,
        scenario: str,
        market: int,
        market_id: str,
        segment: int = 0,
        masked: AbstractSet[str] = _NOBODY,
    ) -> Shares:
        """Of the feeds that a surface may use in a market for a segment, without those that were masked."""
        master = revision.policy.master
        counted = market if master.by_market and market in self.hours else EVERYWHERE
        usual = eligible_feeds(revision, revision.policy.scenarios[scenario], market_id)
        eligible = tuple(feed for feed in usual if feed not in masked)
        key = id(revision), counted, segment, eligible
        if key not in self._known:
            arms = arms_of(revision, self.hours, counted, self.now)
            own = self.segments.get(segment, {}).get(market if master.by_market else EVERYWHERE)
            if own is not None:
                arms = segment_arms(revision, arms, own, self.now)
            found = feed_shares(arms, eligible, Goal(master.goal), master.min_sessions)
            self._known[key] = revision, [(share.feed, share.probability) for share in found]
        return self._known[key][1]


def hours_by_segment(counts: Iterable[FeedCount]) -> dict[int, Hours]:
    """Of everybody who belongs to one."""
    seen: dict[int, list[FeedCount]] = defaultdict(list)
    for count in counts:
        if count.segment:
            seen[count.segment].append(count)
    return {segment: hours_by_market(some) for segment, some in seen.items()}


def refloored(shares: Shares, before: Policy, after: Policy) -> Shares:
    """The same beliefs under other floors: what floors leave is parted as it was, to the last digit."""
    feeds = [feed for feed, _ in shares]
    return [(feed, refloored_share(feed, share, feeds, before, after)) for feed, share in shares]


def refloored_share(feed: str, share: float, eligible: Sequence[str], before: Policy, after: Policy) -> float:
    """That of one feed among those that were eligible."""
    if all(before.feeds[each].floor == after.feeds[each].floor for each in eligible):
        return share
    free = 1 - sum(before.feeds[each].floor for each in eligible)
    left = max(1 - sum(after.feeds[each].floor for each in eligible), 0.0)
    return after.feeds[feed].floor + left * max(share - before.feeds[feed].floor, 0.0) / free


def are_told(policies: Iterable[Policy]) -> bool:
    """Whether recorded shares tell those of all these policies: they differ in nothing but floors."""
    policies = list(policies)
    told = {_beside_floors(policy) for policy in policies}
    return len(told) == 1 and all(
        sum(feed.floor for feed in policy.feeds.values()) < 1 - _NOTHING_FREE for policy in policies
    )


def _beside_floors(policy: Policy) -> bytes:
    master = policy.master
    return msgspec.json.encode(
        (
            (master.prior_mean, master.prior_strength, master.half_life_days, master.goal),
            (master.min_sessions, master.by_market, master.parent_strength, policy.segments.parent_strength),
            sorted(policy.feeds),
            {name: scenario.feeds for name, scenario in policy.scenarios.items()},
            {name: market.feeds for name, market in policy.markets.items() if market.feeds != _ANY.feeds},
        ),
        order="sorted",
    )
