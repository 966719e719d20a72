"""Which feed a request is given: the session's by the published probabilities, or the exploration floor."""

import math
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.master import FeedArm, FeedShare, Goal, choose, feed_shares, session_unit
from nearcast_bandit.stream import keyed_unit
from nearcast_config.masking import admitted
from nearcast_config.mastery import Market, Master
from nearcast_config.orders.way import Need
from nearcast_config.policy import Scenario
from nearcast_store.policies.protocol import Epoch, Revision

ALL_MARKETS = 0
_ANY = Market()


class Choice(Struct, frozen=True):
    """The feed of one request, and the probability with which it was given it.

    `ordered_by` is the feed whose order, without draws, what the bandits leave alone goes by.
    """

    feed: str
    number: int
    propensity: float
    explore: bool
    epoch: int
    ordered_by: str = ""
    frozen: bool = False

    @property
    def order(self) -> str:
        """The feed whose order it goes by."""
        return self.ordered_by or self.feed

    @property
    def by_mean(self) -> bool:
        """Whether nothing is drawn: what would be is ordered by posterior mean."""
        return bool(self.ordered_by)


def eligible_feeds(
    revision: Revision, scenario: Scenario, market_id: str = "", *, is_known: bool = True
) -> tuple[str, ...]:
    """The feeds a surface may use for somebody known or not in a market, in the policy's order."""
    policy = revision.policy
    market = policy.markets.get(market_id, _ANY)
    feeds = (
        name
        for name in policy.feeds
        if (not scenario.feeds or name in scenario.feeds) and (not market.feeds or name in market.feeds)
    )
    met: dict[Need, bool] = {"person": is_known, "market": bool(market_id)}
    return admitted(policy, feeds, {need for need, is_met in met.items() if is_met}, math.inf)


class Lineup:
    """What a surface may use in a market for a segment, of people known or not, under one revision.

    Shares are worked out once for an epoch.
    """

    def __init__(
        self, revision: Revision, feeds: Sequence[str], market: int = ALL_MARKETS, segment: str = ""
    ) -> None:
        self.revision = revision
        self._feeds = feeds
        self._place = market
        self._market = market if revision.policy.master.by_market else ALL_MARKETS
        self.segment = segment
        self.segment_number = revision.segments.get(segment, 0)
        self._least = max((revision.policy.feeds[name].min_candidates for name in feeds), default=0)
        self._first: Sequence[FeedShare] = ()
        self._last: tuple[Epoch, Sequence[FeedShare] | None] | None = None

    def feeds(self, epoch: Epoch | None) -> Sequence[str]:
        """Without those for which the market holds too few items, as counted for the epoch."""
        if not self._least:
            return self._feeds
        items = 0 if epoch is None else epoch.items.get(self._place, 0)
        policy = self.revision.policy
        return [name for name in self._feeds if policy.feeds[name].min_candidates <= items]

    def published(self, epoch: Epoch) -> Sequence[FeedShare] | None:
        """The shares of these feeds; None while a changed set of feeds has not been published yet."""
        if self._last is None or self._last[0] is not epoch:
            self._last = epoch, self._read(epoch)
        return self._last[1]

    def shares(self, epoch: Epoch | None) -> tuple[int, Sequence[FeedShare]]:
        """Those of an epoch with its number; of the prior alone, and 0, where it does not tell them."""
        published = None if epoch is None else self.published(epoch)
        if epoch is not None and published is not None:
            return epoch.number, published
        if not self._first:
            policy = self.revision.policy
            floors = [(name, policy.feeds[name].floor) for name in self.feeds(None)]
            self._first = _first_shares(policy.master, floors)
        return 0, self._first

    def _read(self, epoch: Epoch) -> Sequence[FeedShare] | None:
        """Those of the market where the segment has none of its own, of all markets where it has none."""
        feeds, numbers = self.feeds(epoch), self.revision.feeds
        eligible = tuple(sorted(numbers[name] for name in feeds))
        shares = (
            epoch.segments.get(self.segment_number, {}).get(self._market, {}).get(eligible)
            or epoch.shares.get(self._market, {}).get(eligible)
            or epoch.shares.get(ALL_MARKETS, {}).get(eligible)
        )
        return None if shares is None else [FeedShare(name, shares[numbers[name]]) for name in feeds]


def choose_feed(lineup: Lineup, epoch: Epoch | None, session: bytes, salt: bytes) -> Choice:
    """Where the session's hash falls among the shares of this epoch; the same session gives the same feed."""
    number, shares = lineup.shares(epoch)
    share = choose(shares, session_unit(salt, session, number))
    return Choice(
        share.feed, lineup.revision.feeds[share.feed], share.probability, explore=False, epoch=number
    )


def explores(share: float, salt: bytes, tenant_id: int, request_id: UUID) -> bool:
    """Whether this request is one of those that show a uniform shuffle; its salt is its own."""
    return explore_unit(salt, tenant_id, request_id) < share


def explore_unit(salt: bytes, tenant_id: int, request_id: UUID) -> float:
    """Where a request falls in [0, 1) for the exploration floor."""
    return keyed_unit(salt, b"nearcast explore", tenant_id, request_id.bytes)


def _first_shares(master: Master, feeds: Sequence[tuple[str, float]]) -> Sequence[FeedShare]:
    """Shares from the prior alone."""
    a = master.prior_mean * master.prior_strength
    b = (1 - master.prior_mean) * master.prior_strength
    arms = [FeedArm(name, a, b, floor, trials=0) for name, floor in feeds]
    return feed_shares(arms, goal=Goal(master.goal), least_trials=master.min_sessions)
