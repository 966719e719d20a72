"""From what a request held when it was answered to the record of its decision."""

from dataclasses import replace

import numpy as np
from msgspec import Struct

from nearcast_bandit.arrays import Integers
from nearcast_bandit.factors import Factors
from nearcast_bandit.master import session_unit
from nearcast_bandit.record import (
    Beginning,
    Beginnings,
    Circumstances,
    DecisionRecord,
    FeedChoice,
    Gap,
    Ordering,
    OrderName,
    Outcome,
    Pool,
    Reason,
)
from nearcast_config.orders.ways import way_of
from nearcast_server.capturing import MOST_CAPTURED
from nearcast_server.choosing import explore_unit
from nearcast_server.deciding import Decision
from nearcast_server.finding import ByFeed, Finding, Listed, Search, Shuffled
from nearcast_server.priors import Priors
from nearcast_server.tenancy import View


class Noted(Struct, frozen=True, eq=False):
    """A decision with what it came from; `resumed` on a page that goes on with a slate."""

    reason: Reason
    decision: Decision
    search: Search
    finding: Finding
    market: int
    resumed: bool

    @property
    def view(self) -> View:
        """What was known of the tenant."""
        return self.search.view


def record_of(noted: Noted, build: str) -> DecisionRecord:
    """Without the person, the place and the secrets."""
    decision, finding = noted.decision, noted.finding
    choice, ordering = decision.choice, _ordering(noted.search)
    pool, beginnings = None, None
    if finding.pool is not None:
        needed = _needed(finding.pool, ordering.order)
        needed = replace(needed, lines=None if finding.begun is None else finding.begun())
        pool, beginnings = begun(needed, noted.view.evidence.priors, noted.search.factors)
    return DecisionRecord(
        _circumstances(noted, build),
        _feed_choice(noted),
        ordering,
        decision.served,
        Outcome(
            choice.feed, choice.propensity, choice.explore, tuple(finding.postings), tuple(finding.scores)
        ),
        pool,
        None if finding.arrangement is None else finding.arrangement.layout,
        beginnings,
    )


def begun(pool: Pool, priors: Priors, factors: Factors | None) -> tuple[Pool, Beginnings]:
    """With what a reader wants to know beside: the priors of these candidates alone, and who faded."""
    lines = np.zeros(1, np.int64)
    which: Integers | None = None
    if pool.lines is not None and pool.lines.size:
        lines, which = np.unique(pool.lines, return_inverse=True)
    told = tuple(tuple(map(Beginning.of, priors.lines[line])) for line in lines.tolist())
    faded = None
    if pool.factors is not None and factors is not None and factors.faded:
        faded = np.isin(pool.postings, list(factors.faded))
    differ = which is not None and lines.size > 1
    return replace(pool, lines=which if differ else None, faded=faded), Beginnings(priors.fit, told)


def _needed(pool: Pool, order: OrderName) -> Pool:
    """Only what the order goes by."""
    distances_m = pool.distances_m if order == "nearest" else None
    return replace(pool, distances_m=distances_m, born_at=pool.born_at if order == "newest" else None)


def _circumstances(noted: Noted, build: str) -> Circumstances:
    view, decision, finding = noted.view, noted.decision, noted.finding
    gap: Gap = ""
    if finding.pool is None:
        gap = "cut" if finding.eligible > MOST_CAPTURED else "changed"
    return Circumstances(
        request_id=decision.request_id,
        tenant_id=view.tenant_id,
        decided_at=noted.search.now,
        build=build,
        reason=noted.reason,
        policy_revision=view.revision.number,
        policy_epoch=decision.choice.epoch,
        scenario=_scenario(noted),
        segment=decision.segment,
        market=noted.market,
        radius_used_m=finding.radius_used_m,
        truncated=finding.truncated,
        eligible=finding.eligible,
        gap=gap,
        capped=finding.capped,
    )


def _scenario(noted: Noted) -> str:
    """By its number, which belongs to it for ever."""
    scenarios = noted.view.revision.scenarios
    return next(name for name, number in scenarios.items() if number == noted.decision.scenario)


def _feed_choice(noted: Noted) -> FeedChoice:
    """As it was picked: the same functions of the same epoch."""
    view, decision, made = noted.view, noted.decision, noted.decision.choice
    if noted.resumed:
        return FeedChoice((), 0.0, 0.0, 0.0, resumed=True)
    policy, salt, session = view.revision.policy, view.tokens.salt, decision.visit.session
    number, shares = decision.lineup.shares(decision.visit.epoch)
    master = policy.master
    return FeedChoice(
        tuple((share.feed, share.probability) for share in shares),
        session_unit(salt, session, number),
        policy.exploration.share,
        explore_unit(salt, view.tenant_id, decision.request_id),
        resumed=False,
        frozen=made.frozen,
        default_feed=made.ordered_by,
        held_out=made.by_mean and not made.frozen,
        holdout_share=master.holdout_share,
        holdout_salt=master.holdout_salt if master.holdout_share else "",
    )


def _ordering(search: Search) -> Ordering:
    ranking, evidence, revision = search.ranking, search.view.evidence, search.view.revision
    policy, pool_size, seed = revision.policy, 0, 0
    order: OrderName = "explore"
    match ranking:
        case Shuffled():
            pool_size, seed = ranking.pool, ranking.seed
            kinds = list(zip(evidence.numbers, evidence.weights, strict=True))
        case ByFeed():
            way, seed = way_of(policy, ranking.feed, by_mean=ranking.by_mean), ranking.seed
            order, kinds = way.by, [(revision.kinds[kind], weight) for kind, weight in way.weights]
        case Listed():
            raise ValueError("a list by distance is no decision")
    plan = search.plan
    return Ordering(
        order,
        tuple(kind for kind, _ in kinds),
        tuple(weight for _, weight in kinds),
        policy.exploration.sharpness,
        pool_size,
        seed,
        search.limit,
        None if plan is None else plan.budget,
        1 if plan is None else plan.first_slot,
    )
