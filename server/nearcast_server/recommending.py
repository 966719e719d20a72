"""The rule behind Recommend: who is near, which feed, in what order, with which proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k
from nearcast_catalogue.eligibility import eligible
from nearcast_ledger.claims import Claims
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.pagetoken import MAX_SERVED, PageToken
from nearcast_ledger.person import Person
from nearcast_server.asking import RecommendQuery
from nearcast_server.deciding import Decider, Decision
from nearcast_server.evidence import Beliefs
from nearcast_server.gathering import Gathered, Reach, gather
from nearcast_server.orders import Candidates
from nearcast_server.paging import PAGE_LIFETIME_MS, bind
from nearcast_server.recalling import Recall, Recalled
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.index.protocol import GeoIndex, Hit

MARKET = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """One item of a slate."""

    hit: Hit
    rank: int
    score: float
    token: str
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Slate:
    """The answer, and what it rests on."""

    view: View
    decision: Decision
    items: Sequence[Placed]
    beliefs: Beliefs
    radius_used_m: float
    truncated: bool
    next_page_token: str
    now: float
    token: str
    seen_unknown: bool


class Recommender:
    """Makes slates; everything it needs from outside comes by constructor."""

    def __init__(
        self,
        index: GeoIndex,
        tenancies: Tenancies,
        clock: Callable[[], float],
        decider: Decider,
        recall: Recall,
    ) -> None:
        self._index = index
        self._tenancies = tenancies
        self._clock = clock
        self._decider = decider
        self._recall = recall

    async def recommend(self, tenant_id: int, query: RecommendQuery) -> Slate:
        """One slate, or one more page of it."""
        view = self._tenancies.view(tenant_id)
        now = self._clock()
        decision = self._decider.decide(view, query, now)
        recalled = await self._recall.recall(view, query, now)
        gathered = await self._gather(view, query, decision, recalled, now)
        candidates = Candidates.of(
            gathered.hits, view.evidence.beliefs([h.served.posting for h in gathered.hits])
        )
        order, scores = _ordered(view, decision, candidates)
        items, token = _placed(view, decision, query.person, candidates, order, scores)
        return Slate(
            view,
            decision,
            items,
            candidates.beliefs,
            gathered.radius_used_m,
            gathered.truncated,
            _next_page(view, decision, query, gathered, items, now),
            now,
            token,
            recalled.unknown,
        )

    async def _gather(
        self, view: View, query: RecommendQuery, decision: Decision, recalled: Recalled, now: float
    ) -> Gathered:
        policy = view.revision.policy
        reach = Reach(
            decision.radius_m,
            decision.from_m,
            policy.radius.max_m,
            policy.radius.widen_factors,
            decision.limit,
            policy.slate.max_candidates,
        )
        may = eligible(query.area.filter, now)
        left_out = recalled.postings.union(decision.served)
        return await gather(
            self._index,
            view.tenant_id,
            query.area.center,
            reach,
            (lambda item: item.posting not in left_out and may(item)) if left_out else may,
        )


def _ordered(view: View, decision: Decision, candidates: Candidates) -> tuple[Integers, Floats]:
    """Indices of the slate's items, best first, and every candidate's score."""
    if not candidates.hits:
        return np.empty(0, np.int64), np.empty(0)
    limit = min(decision.limit, MAX_SERVED - len(decision.served))
    if decision.choice.explore:
        return _shuffled(view, decision, candidates, limit)
    scores = view.orders[decision.choice.feed].scores(candidates, decision.seed)
    return top_k(scores, candidates.postings, limit), scores


def _shuffled(view: View, decision: Decision, candidates: Candidates, limit: int) -> tuple[Integers, Floats]:
    """A uniform shuffle of the best by posterior mean; the pool shrinks by what pages served before."""
    beliefs, pool_size = candidates.beliefs, view.revision.policy.exploration.pool_size
    means = mean_scores(beliefs.weights, beliefs.a, beliefs.b)
    pool = top_k(means, candidates.postings, max(pool_size - len(decision.served), limit))
    return pool[shuffle_order(decision.seed, candidates.postings[pool])][:limit], means


def _placed(
    view: View, decision: Decision, person: Person, candidates: Candidates, order: Integers, scores: Floats
) -> tuple[list[Placed], str]:
    """The items with their tokens, and the token of all of them."""
    subject = subject_hash(view.tokens.salt, person.user_id, person.anonymous_id)
    rewards, placed, first = view.tokens.rewards, [], None
    for rank, column in enumerate(order.tolist(), start=decision.rank_offset + 1):
        hit = candidates.hits[column]
        claims = _claims(view, decision, subject, hit.served.posting, rank)
        first = first or claims
        placed.append(Placed(hit, rank, float(scores[column]), rewards.sign(claims), column))
    if first is None:
        return [], ""
    return placed, rewards.sign_slate(first, [one.hit.served.posting for one in placed])


def _claims(view: View, decision: Decision, subject: bytes, posting: int, rank: int) -> Claims:
    choice = decision.choice
    return Claims(
        tenant_id=view.tenant_id,
        request_id=decision.request_id,
        posting=posting,
        position=rank,
        feed=choice.number,
        feed_propensity=choice.propensity,
        scenario=decision.scenario,
        market=MARKET,
        policy_revision=view.revision.number,
        policy_epoch=choice.epoch,
        explore=choice.explore,
        subject_hash=subject,
        session_hash=decision.visit.session[:8],
    )


def _next_page(
    view: View,
    decision: Decision,
    query: RecommendQuery,
    gathered: Gathered,
    items: Sequence[Placed],
    now: float,
) -> str:
    """Empty when nothing is left to show, or when a slate has reached its greatest length."""
    served = decision.served + tuple(item.hit.served.posting for item in items)
    left = len(gathered.hits) > len(items) or not gathered.exhausted
    if not left or len(served) >= MAX_SERVED:
        return ""
    choice = decision.choice
    return view.tokens.pages.sign(
        PageToken(
            tenant_id=view.tenant_id,
            query_hash=bind(view, query.canonical),
            expires_ms=int(now * 1000) + PAGE_LIFETIME_MS,
            seed=decision.seed,
            feed=choice.number,
            feed_propensity=choice.propensity,
            explore=choice.explore,
            policy_revision=view.revision.number,
            policy_epoch=choice.epoch,
            session=decision.visit.session,
            radius_used_m=gathered.radius_used_m,
            rank_offset=decision.rank_offset + len(items),
            served=served,
        )
    )
