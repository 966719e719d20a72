"""Which feed a request is given: the session's by the published probabilities, or the exploration floor."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.master import FeedArm, FeedShare, choose, feed_shares, session_unit
from nearcast_bandit.stream import keyed_hash
from nearcast_config.policy import Master, Scenario
from nearcast_store.policies.protocol import Epoch, Revision

ALL_MARKETS = 0


class Choice(Struct, frozen=True):
    """The feed of one request, and the probability with which it was given it."""

    feed: str
    number: int
    propensity: float
    explore: bool
    epoch: int


def eligible_feeds(revision: Revision, scenario: Scenario) -> tuple[str, ...]:
    """The feeds a surface may use, in the policy's order."""
    return tuple(name for name in revision.policy.feeds if not scenario.feeds or name in scenario.feeds)


class Lineup:
    """The feeds that a surface may use under one revision; their shares are worked out once for an epoch."""

    def __init__(self, revision: Revision, feeds: Sequence[str]) -> None:
        self.revision = revision
        self._feeds = feeds
        self._numbers = tuple(sorted(revision.feeds[name] for name in feeds))
        self._first: Sequence[FeedShare] = ()
        self._last: tuple[Epoch, Sequence[FeedShare] | None] | None = None

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
            floors = [(name, policy.feeds[name].floor) for name in self._feeds]
            self._first = _first_shares(policy.master, floors)
        return 0, self._first

    def _read(self, epoch: Epoch) -> Sequence[FeedShare] | None:
        shares, numbers = epoch.shares.get(ALL_MARKETS, {}).get(self._numbers), self.revision.feeds
        return None if shares is None else [FeedShare(name, shares[numbers[name]]) for name in self._feeds]


def choose_feed(lineup: Lineup, epoch: Epoch | None, session: bytes, salt: bytes) -> Choice:
    """Where the session's hash falls among the shares of this epoch; the same session gives the same feed."""
    number, shares = lineup.shares(epoch)
    share = choose(shares, session_unit(salt, session, number))
    return Choice(
        share.feed, lineup.revision.feeds[share.feed], share.probability, explore=False, epoch=number
    )


def explores(share: float, salt: bytes, tenant_id: int, request_id: UUID) -> bool:
    """Whether this request is one of those that show a uniform shuffle; its salt is its own."""
    drawn = keyed_hash(salt, b"nearcast explore", tenant_id, request_id.bytes, b"")
    return (drawn >> 11) * 2.0**-53 < share


def _first_shares(master: Master, feeds: Sequence[tuple[str, float]]) -> Sequence[FeedShare]:
    """Shares from the prior alone."""
    a = master.prior_mean * master.prior_strength
    b = (1 - master.prior_mean) * master.prior_strength
    return feed_shares([FeedArm(name, a, b, floor) for name, floor in feeds])
