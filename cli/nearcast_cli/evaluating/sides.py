"""A policy on one logged request: the ways it would answer it, and how it believes in the candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from nearcast_bandit.evaluation.believing import under_priors
from nearcast_bandit.evaluation.slates import Side, Way
from nearcast_bandit.posterior import Prior
from nearcast_bandit.record import DecisionRecord, Ordering, OrderName, Pool
from nearcast_cli.evaluating.odds import Shares
from nearcast_config.orders.ways import way_of
from nearcast_config.policy import EXPLORE_FEED, Policy
from nearcast_store.policies.protocol import Revision


def logged_explore_share(explore_share: float, log_share: float) -> float:
    """The share of exploring requests in the log: every one of them is logged, of the others a share."""
    logged = explore_share + (1 - explore_share) * log_share
    return explore_share / logged if logged > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes sides on one record: of the policy it was made under, and of others."""

    record: DecisionRecord
    pool: Pool
    revision: Revision

    def logged(self) -> Side:
        """As it is in the log, where requests that explore are far more frequent than they were."""
        choice, policy = self.record.choice, self.revision.policy
        share = logged_explore_share(choice.explore_share, policy.decisions.log_share)
        return Side(_ways(self.record, self.pool, self.revision, choice.shares, share), self.pool)

    def target(self, revision: Revision, shares: Shares) -> Side:
        """As it would be answered under another revision, which may be the same."""
        changed = _changed_priors(self.revision, revision.policy)
        pool = under_priors(self.pool, changed)
        share = revision.policy.exploration.share
        return Side(_ways(self.record, pool, revision, shares, share), pool)

    def own_ordering(self) -> Ordering:
        """How its revision orders a request of its feed: the record must say the same."""
        outcome = self.record.outcome
        feed = EXPLORE_FEED if outcome.explore else outcome.feed
        return _ordering(self.record, self.pool, self.revision, feed)


def _ways(
    record: DecisionRecord, pool: Pool, revision: Revision, shares: Shares, explore: float
) -> Sequence[Way]:
    feeds = [(feed, (1 - explore) * share) for feed, share in shares]
    return [
        Way(_ordering(record, pool, revision, feed), share)
        for feed, share in (*feeds, (EXPLORE_FEED, explore))
        if share > 0
    ]


def _ordering(record: DecisionRecord, pool: Pool, revision: Revision, feed: str) -> Ordering:
    policy, order, pool_size = revision.policy, record.ordering, 0
    if feed == EXPLORE_FEED:
        named: tuple[OrderName, dict[str, float]] = (
            "explore",
            {name: kind.weight for name, kind in policy.kinds.items()},
        )
        pool_size = max(policy.exploration.pool_size, order.limit)
    else:
        way = way_of(policy, feed)
        named = way.by, dict(way.weights)
    weights = {revision.kinds[name]: weight for name, weight in named[1].items()}
    # A kind that no record knows weighs nothing: otherwise nothing would be judged.
    known = [(kind, weight) for kind, weight in weights.items() if kind in pool.kinds]
    return replace(
        order,
        order=named[0],
        kinds=tuple(kind for kind, _ in known),
        weights=tuple(weight for _, weight in known),
        sharpness=policy.exploration.sharpness,
        pool_size=pool_size,
    )


def _changed_priors(before: Revision, after: Policy) -> dict[int, tuple[Prior, Prior]]:
    """By kind; learned priors are as they were."""
    if before.policy.priors.mode == "learned":
        return {}
    priors = {
        before.kinds[name]: (
            Prior(kind.prior_mean, kind.prior_strength),
            Prior(after.kinds[name].prior_mean, after.kinds[name].prior_strength),
        )
        for name, kind in before.policy.kinds.items()
        if name in after.kinds
    }
    return {kind: (one, other) for kind, (one, other) in priors.items() if one != other}
