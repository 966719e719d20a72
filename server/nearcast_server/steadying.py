"""What is served where the bandits are left alone: in what is frozen, and to those who are held out."""

from collections.abc import Sequence

from nearcast_bandit.master import is_held_out
from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_config.policy import Policy
from nearcast_ledger.person import Person
from nearcast_server.choosing import Choice
from nearcast_store.policies.protocol import Revision


def is_frozen(policy: Policy, market_id: str) -> bool:
    """Whether nothing is drawn for somebody in this market, "" for none."""
    market = policy.markets.get(market_id)
    return policy.master.frozen or (market is not None and market.frozen)


def frozen_choice(revision: Revision, feeds: Sequence[str], epoch: int) -> Choice:
    """The default feed, for certain."""
    feed = default_feed(revision.policy, feeds)
    return Choice(feed, revision.feeds[feed], 1.0, explore=False, epoch=epoch, ordered_by=feed, frozen=True)


def holdout_choice(revision: Revision, feeds: Sequence[str], epoch: int) -> Choice:
    """The order of the default feed under a name of its own, so that it is counted apart."""
    feed, share = default_feed(revision.policy, feeds), revision.policy.master.holdout_share
    return Choice(HOLDOUT_FEED, revision.feeds[HOLDOUT_FEED], share, False, epoch, ordered_by=feed)


def held_out(revision: Revision, person: Person, session: bytes) -> bool:
    """Whether the bandits leave this person alone; somebody without an id is known by the visit."""
    master = revision.policy.master
    if not master.holdout_share:
        return False
    salt = f"{revision.tenant_id}.{master.holdout_salt}".encode()
    return is_held_out(salt, _subject(person, session), master.holdout_share)


def default_feed(policy: Policy, feeds: Sequence[str]) -> str:
    """The one that the policy names where it may be used, else the one with the largest floor."""
    if policy.master.default_feed in feeds:
        return policy.master.default_feed
    return max(feeds, key=lambda name: (policy.feeds[name].floor, name))


def _subject(person: Person, session: bytes) -> bytes:
    if person.user_id:
        return b"user " + person.user_id.encode()
    if person.anonymous_id:
        return b"anonymous " + person.anonymous_id.encode()
    return b"visit " + session
