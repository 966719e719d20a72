"""A policy on one logged request: the ways it would answer it, and how it believes in the candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from nearcast_bandit.arrays import Booleans
from nearcast_bandit.evaluation.believing import under_priors
from nearcast_bandit.evaluation.slates import Side, Way
from nearcast_bandit.posterior import Prior
from nearcast_bandit.record import DecisionRecord, Ordering, OrderName, Pool
from nearcast_cli.evaluating import rules
from nearcast_cli.evaluating.odds import Shares
from nearcast_config.orders.ways import way_of
from nearcast_config.policy import EXPLORE_FEED, Policy
from nearcast_store.decisions.reading import Candidate
from nearcast_store.policies.protocol import Revision


def logged_explore_share(explore_share: float, log_share: float) -> float:
    """The share of exploring requests in the log: every one of them is logged, of the others a share."""
    logged = explore_share + (1 - explore_share) * log_share
    return explore_share / logged if logged > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes sides on one record: of the policy it was made under, and of others.

    `candidates` are its items as they were then, where a policy goes by what the record does not hold.
    `withheld` are the orders whose records are left out.
    """

    record: DecisionRecord
    pool: Pool
    revision: Revision
    candidates: Sequence[Candidate] | None = None
    withheld: frozenset[str] = frozenset()

    def logged(self) -> Side:
        """As it is in the log, where requests that explore are far more frequent than they were."""
        choice, policy = self.record.choice, self.revision.policy
        share = logged_explore_share(choice.explore_share, policy.decisions.log_share)
        ways = [
            (feed, part)
            for feed, part in _parts(choice.shares, share)
            if manner(policy, feed) not in self.withheld
        ]
        held = sum(part for _, part in ways) or 1.0
        return self._side(self.revision, self.pool, [(feed, part / held) for feed, part in ways])

    def target(self, revision: Revision, shares: Shares) -> Side:
        """As it would be answered under another revision, which may be the same."""
        scenario = self.record.circumstances.scenario
        before, after = (each.policy.scenarios[scenario] for each in (self.revision, revision))
        pool = under_priors(self.pool, _changed_priors(self.revision, revision.policy))
        pool = rules.told(
            rules.boosted(pool, before, after, self.candidates), revision.policy, self.candidates
        )
        barred = rules.barred(before, after, self.candidates)
        parts = _parts(shares, revision.policy.exploration.share)
        return replace(self._side(revision, pool, parts, barred), barred=barred)

    def _side(self, revision: Revision, pool: Pool, parts: Shares, barred: Booleans | None = None) -> Side:
        ways, recorded = [], rules.still_pinned(self.record.layout, pool, barred)
        for feed, share in parts:
            ordering = _ordering(self.record, pool, revision, feed)
            ordering, layout = rules.placed(ordering, recorded, pool, revision.policy)
            ways.append(Way(ordering, share, rules.is_weighed(revision.policy, feed), layout))
        return Side(ways, pool)

    def is_as_recorded(self) -> bool:
        """Whether its revision orders a request of its feed, and gives its places, as the record says."""
        outcome, recorded = self.record.outcome, self.record.layout
        feed = EXPLORE_FEED if outcome.explore else outcome.feed
        ordering = _ordering(self.record, self.pool, self.revision, feed)
        ordering, layout = rules.placed(ordering, recorded, self.pool, self.revision.policy)
        if layout is None or recorded is None:
            return ordering == self.record.ordering and layout is recorded
        return ordering == self.record.ordering and layout.diversity == recorded.diversity

    def is_withheld(self) -> bool:
        """Whether it is of an order whose records are left out."""
        outcome = self.record.outcome
        feed = EXPLORE_FEED if outcome.explore else outcome.feed
        return manner(self.revision.policy, feed) in self.withheld


def manner(policy: Policy, feed: str) -> str:
    """How a feed goes about: what its records hold follows from that."""
    if feed == EXPLORE_FEED:
        return feed
    by = way_of(policy, feed).by
    return by if rules.is_weighed(policy, feed) else f"{by}, without factors"


def withheld(before: Policy, targets: Sequence[Policy], scenario: str) -> frozenset[str]:
    """The orders whose records do not hold what the others go by: they are no evidence of those.

    A shuffle does not say who is new, nor whose items are where its policy is diverse; a list without
    factors does not say what the others were multiplied with.
    """
    is_diverse = rules.diversity_of(before).is_on
    has_budget = any(each.newcomers.have_budget for each in (before, *targets))
    explored = {EXPLORE_FEED} if is_diverse or has_budget else set()
    listed = {"most, without factors"} if rules.has_factors(before.scenarios[scenario]) else set()
    return frozenset(explored | listed)


def _parts(shares: Shares, explore: float) -> list[tuple[str, float]]:
    feeds = [(feed, (1 - explore) * share) for feed, share in shares]
    return [(feed, share) for feed, share in (*feeds, (EXPLORE_FEED, explore)) if share > 0]


def _ordering(record: DecisionRecord, pool: Pool, revision: Revision, feed: str) -> Ordering:
    policy, order, pool_size = revision.policy, record.ordering, 0
    if feed == EXPLORE_FEED:
        named: tuple[OrderName, dict[str, float]] = (
            "explore",
            {name: kind.weight for name, kind in policy.kinds.items()},
        )
        pool_size = max(policy.exploration.pool_size, min(order.limit, policy.slate.max_limit))
    else:
        way = way_of(policy, feed)
        named = way.by, dict(way.weights)
    weights = {revision.kinds[name]: weight for name, weight in named[1].items()}
    # A kind that no record knows weighs nothing: otherwise nothing would be judged.
    known = [(kind, weight) for kind, weight in weights.items() if kind in pool.kinds]
    return structs.replace(
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
