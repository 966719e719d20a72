"""The rule behind Recommend: who is near, which feed, in what order, with which proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.scoring import mean_scores, shuffle_order, top_k
from nearcast_bandit.stream import request_seed
from nearcast_catalogue.eligibility import eligible
from nearcast_config.policy import Scenario
from nearcast_ledger.claims import Claims
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.pagetoken import MAX_SERVED, PageToken
from nearcast_ledger.requestid import RequestIds
from nearcast_server.asking import Person, RecommendQuery
from nearcast_server.choosing import EXPLORE, Choice, choose_feed, eligible_feeds, explores
from nearcast_server.errors import InvalidRequestError
from nearcast_server.evidence import Beliefs
from nearcast_server.gathering import Gathered, Reach, gather
from nearcast_server.limits import limit_of, radius_of
from nearcast_server.orders import Candidates
from nearcast_server.paging import PAGE_LIFETIME_MS, bind, open_slate_page
from nearcast_server.tenancy import Tenancies, View
from nearcast_server.visiting import Visit, resolve_visit
from nearcast_store.index.protocol import GeoIndex, Hit

MARKET = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What is settled before any candidate is looked at; a page goes on with it."""

    request_id: UUID
    visit: Visit
    seed: int
    choice: Choice
    scenario: int
    limit: int
    radius_m: float
    rank_offset: int
    served: tuple[int, ...]


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


class Recommender:
    """Makes slates; everything it needs from outside comes by constructor."""

    def __init__(
        self,
        index: GeoIndex,
        tenancies: Tenancies,
        clock: Callable[[], float],
        request_ids: RequestIds,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._index = index
        self._tenancies = tenancies
        self._clock = clock
        self._request_ids = request_ids
        self._random_bytes = random_bytes

    async def recommend(self, tenant_id: int, query: RecommendQuery) -> Slate:
        """One slate, or one more page of it."""
        view = self._tenancies.view(tenant_id)
        now = self._clock()
        decision = self._decide(view, query, now)
        gathered = await self._gather(view, query, decision, now)
        candidates = Candidates.of(
            gathered.hits, view.evidence.beliefs([h.served.posting for h in gathered.hits])
        )
        order, scores = _ordered(view, decision, candidates)
        items = _placed(view, decision, query.person, candidates, order, scores)
        return Slate(
            view,
            decision,
            items,
            candidates.beliefs,
            gathered.radius_used_m,
            gathered.truncated,
            _next_page(view, decision, query, gathered, items, now),
            now,
        )

    def _decide(self, view: View, query: RecommendQuery, now: float) -> Decision:
        policy = view.revision.policy
        name = query.scenario or "default"
        scenario = policy.scenarios.get(name)
        if scenario is None:
            raise InvalidRequestError.of(
                "scenario", "SCENARIO_UNKNOWN", f"must be one of {', '.join(sorted(policy.scenarios))}"
            )
        limit = limit_of(
            query.area.limit, scenario.limit or policy.slate.default_limit, policy.slate.max_limit
        )
        radius_m = radius_of(
            query.area.radius_m, scenario.radius_m or policy.radius.default_m, policy.radius.max_m
        )
        visit = resolve_visit(
            view, query.session_id, query.session_token, int(now * 1000), self._random_bytes
        )
        request_id = self._request_ids.next()
        number = view.revision.scenarios[name]
        if query.page_token:
            page = open_slate_page(view, query.page_token, query.canonical, int(now * 1000))
            return _resumed(view, page, request_id, visit, number, limit)
        seed = request_seed(
            view.tokens.salt, view.tenant_id, visit.session, _draw_epoch(view, request_id, now)
        )
        choice = self._choose(view, scenario, visit, request_id)
        return Decision(request_id, visit, seed, choice, number, limit, radius_m, 0, ())

    def _choose(self, view: View, scenario: Scenario, visit: Visit, request_id: UUID) -> Choice:
        revision, share = view.revision, view.revision.policy.exploration.share
        feeds = eligible_feeds(revision, scenario)
        chosen = choose_feed(revision, visit.epoch, feeds, visit.session, view.tokens.salt)
        if explores(share, view.tokens.salt, view.tenant_id, request_id):
            return Choice(EXPLORE, revision.feeds[EXPLORE], share, explore=True, epoch=chosen.epoch)
        propensity = chosen.propensity * (1 - share)
        return Choice(chosen.feed, chosen.number, propensity, explore=False, epoch=chosen.epoch)

    async def _gather(self, view: View, query: RecommendQuery, decision: Decision, now: float) -> Gathered:
        policy = view.revision.policy
        reach = Reach(
            decision.radius_m,
            policy.radius.max_m,
            policy.radius.widen_factors,
            decision.limit,
            policy.slate.max_candidates,
        )
        may = eligible(query.area.filter, now)
        served = frozenset(decision.served)
        return await gather(
            self._index,
            view.tenant_id,
            query.area.center,
            reach,
            (lambda item: item.posting not in served and may(item)) if served else may,
        )


def _draw_epoch(view: View, request_id: UUID, now: float) -> bytes:
    """What a draw lasts for: the request, or an interval of the policy."""
    minutes = view.revision.policy.draws.interval_minutes
    if minutes <= 0:
        return request_id.bytes
    return int(now // (60 * minutes)).to_bytes(8, "big")


def _resumed(
    view: View, page: PageToken, request_id: UUID, visit: Visit, scenario: int, limit: int
) -> Decision:
    names = {number: name for name, number in view.revision.feeds.items()}
    feed = names.get(page.feed)
    if feed is None or (feed != EXPLORE and feed not in view.orders):
        raise InvalidRequestError.of(
            "page_token", "PAGE_TOKEN_INVALID", "its feed is no longer in the policy; start again without it"
        )
    choice = Choice(feed, page.feed, page.feed_propensity, page.explore, page.policy_epoch)
    visit = Visit(page.session, visit.epoch, visit.token)
    return Decision(
        request_id,
        visit,
        page.seed,
        choice,
        scenario,
        limit,
        page.radius_used_m,
        page.rank_offset,
        page.served,
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
) -> list[Placed]:
    subject = subject_hash(view.tokens.salt, person.user_id, person.anonymous_id)
    sign, choice = view.tokens.rewards.sign, decision.choice
    placed = []
    for offset, column in enumerate(order.tolist(), start=1):
        hit, rank = candidates.hits[column], decision.rank_offset + offset
        claims = Claims(
            tenant_id=view.tenant_id,
            request_id=decision.request_id,
            posting=hit.served.posting,
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
        placed.append(Placed(hit, rank, float(scores[column]), sign(claims), column))
    return placed


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
    if len(items) < decision.limit or len(served) >= MAX_SERVED or len(gathered.hits) <= len(items):
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
