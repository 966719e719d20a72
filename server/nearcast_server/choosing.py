"""Which feed a request is given: the session's by the published probabilities, or the exploration floor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from nearcast_bandit.master import FeedArm, FeedShare, choose, feed_shares, session_unit
from nearcast_bandit.stream import keyed_hash
from nearcast_config.policy import Master, Scenario
from nearcast_store.policies.protocol import Epoch, Revision

ALL_MARKETS = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """The feed of one request, and the probability with which it was given it."""

    feed: str
    number: int
    propensity: float
    explore: bool
    epoch: int


def eligible_feeds(revision: Revision, scenario: Scenario) -> tuple[str, ...]:
    """The feeds a surface may use, in the policy's order."""
    return tuple(name for name in revision.policy.feeds if not scenario.feeds or name in scenario.feeds)


def choose_feed(
    revision: Revision, epoch: Epoch | None, feeds: Sequence[str], session: bytes, salt: bytes
) -> Choice:
    """Where the session's hash falls among the shares of this epoch; the same session gives the same feed."""
    number, shares = _shares(revision, epoch, feeds)
    share = choose(shares, session_unit(salt, session, number))
    return Choice(share.feed, revision.feeds[share.feed], share.probability, explore=False, epoch=number)


def explores(share: float, salt: bytes, tenant_id: int, request_id: UUID) -> bool:
    """Whether this request is one of those that show a uniform shuffle; its salt is its own."""
    drawn = keyed_hash(salt, b"nearcast explore", tenant_id, request_id.bytes, b"")
    return (drawn >> 11) * 2.0**-53 < share


def published_shares(
    revision: Revision, epoch: Epoch | None, feeds: Sequence[str]
) -> Mapping[int, float] | None:
    """The share of each of these feeds, by number.

    None before the first epoch, and while a changed set of feeds has not been published yet.
    """
    if epoch is None:
        return None
    numbers = tuple(sorted(revision.feeds[name] for name in feeds))
    return epoch.shares.get(ALL_MARKETS, {}).get(numbers)


def _shares(revision: Revision, epoch: Epoch | None, feeds: Sequence[str]) -> tuple[int, Sequence[FeedShare]]:
    published = published_shares(revision, epoch, feeds)
    if epoch is None or published is None:
        return 0, _first_shares(
            revision.policy.master, tuple((f, revision.policy.feeds[f].floor) for f in feeds)
        )
    return epoch.number, [FeedShare(name, published[revision.feeds[name]]) for name in feeds]


@lru_cache(maxsize=256)
def _first_shares(master: Master, feeds: tuple[tuple[str, float], ...]) -> tuple[FeedShare, ...]:
    """Shares from the prior alone."""
    a = master.prior_mean * master.prior_strength
    b = (1 - master.prior_mean) * master.prior_strength
    return feed_shares([FeedArm(name, a, b, floor) for name, floor in feeds])
