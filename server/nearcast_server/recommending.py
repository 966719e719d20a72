"""The rule behind Recommend: who is near, which feed, in what order, with which proof."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from nearcast_ledger.claims import Claims
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.pagetoken import MAX_SERVED, PageToken
from nearcast_ledger.person import Person
from nearcast_ledger.surface import surface_number
from nearcast_server.answered import Answered, Audience
from nearcast_server.asking import RecommendQuery
from nearcast_server.deciding import Decider, Decision
from nearcast_server.decisionlog import DecisionLog
from nearcast_server.decisionrecords import Noted
from nearcast_server.evidence import Beliefs
from nearcast_server.finding import ByFeed, Finder, Finding, Ranking, Search, Shortfall, Shown, Shuffled
from nearcast_server.gathering import Reach
from nearcast_server.locating import asked, market_of
from nearcast_server.paging import PAGE_LIFETIME_MS, bind
from nearcast_server.planning import plan_of
from nearcast_server.recalling import Recall, Recalled
from nearcast_server.surfaces import is_multiplied
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.errors import IndexUnavailableError


class Placed(msgspec.Struct, frozen=True, gc=False):
    """One item of a slate."""

    shown: Shown
    rank: int
    score: float
    token: str
    column: int
    pinned: bool = False


@dataclass(frozen=True, eq=False)
class Slate:
    """The answer, and what it rests on; `market` is the number of the one that was asked from.

    `claims` are what the reward token of the first item says, None for a slate without items.
    """

    view: View
    decision: Decision
    finding: Finding
    claims: Claims | None
    next_page_token: str
    now: float
    seen_unknown: bool
    search: Search
    market: int = 0

    @property
    def radius_used_m(self) -> float:
        """How far was looked."""
        return self.finding.radius_used_m

    @property
    def truncated(self) -> bool:
        """Whether there was more within reach than one answer may look at."""
        return self.finding.truncated

    @cached_property
    def items(self) -> Sequence[Placed]:
        """The items with their tokens."""
        if self.claims is None:
            return []
        finding, rank = self.finding, self.decision.rank_offset + 1
        tokens, pinned = self.view.tokens.rewards.sign_items(self.claims, finding.postings), finding.pinned
        return [
            Placed(shown, rank + column, score, token, column, shown.posting in pinned)
            for column, (shown, score, token) in enumerate(
                zip(finding.items, finding.scores, tokens, strict=True)
            )
        ]

    @property
    def token(self) -> str:
        """The token of all of them."""
        if self.claims is None:
            return ""
        return self.view.tokens.rewards.sign_slate(self.claims, self.finding.postings)

    @cached_property
    def beliefs(self) -> Beliefs:
        """What the items were scored by, in their order."""
        return self.finding.beliefs()


class Recommender:
    """Makes slates; everything it needs from outside comes by constructor."""

    def __init__(
        self,
        finder: Finder,
        tenancies: Tenancies,
        clock: Callable[[], float],
        decider: Decider,
        recall: Recall,
        log: DecisionLog | None = None,
        audience: Audience | None = None,
    ) -> None:
        self._audience = audience
        self._finder = finder
        self._tenancies = tenancies
        self._clock = clock
        self._decider = decider
        self._recall = recall
        self._log = log

    async def recommend(self, tenant_id: int, query: RecommendQuery) -> Slate:
        """One slate, or one more page of it. Raises IndexUnavailableError.

        Where the index is needed, as the replica does not believe yet what the view does, and does not
        answer, the view before decides, all of it.
        """
        view = self._tenancies.view(tenant_id)
        try:
            return await self._decided(view, query)
        except IndexUnavailableError:
            before = self._tenancies.before(tenant_id)
            if before is None:
                raise
        return await self._decided(before.in_place_of(view), query, "REPLICA_STALE")

    async def _decided(self, view: View, query: RecommendQuery, shortfall: Shortfall | None = None) -> Slate:
        now = self._clock()
        view, query = self._decider.side(view, query, now)
        market = market_of(view, query.area)
        decision = self._decider.decide(view, query, now, market)
        recalled = await self._recall.recall(view, query, now)
        log = self._log
        reason = None if log is None else log.reason(view, decision, explain=query.explain)
        search = search_of(view, query, decision, recalled, now, captured=reason is not None)
        finding = await self._finder.find(search)
        if shortfall is not None:
            finding = msgspec.structs.replace(finding, shortfall=shortfall)
        if log is not None and reason is not None:
            resumed = bool(query.page_token)
            log.note(Noted(reason, decision, search, finding, market, resumed))
        if view.shadow is not None and self._audience is not None:
            postings = finding.postings
            self._audience.note(Answered(view, query, decision, recalled, postings, market, now))
        return Slate(
            view,
            decision,
            finding,
            _claims(view, decision, query.person, finding, market),
            _next_page(view, decision, query, finding, now),
            now,
            recalled.unknown,
            search,
            market,
        )


def search_of(
    view: View,
    query: RecommendQuery,
    decision: Decision,
    recalled: Recalled,
    now: float,
    *,
    captured: bool,
) -> Search:
    """What a decision asks for."""
    policy = view.revision.policy
    reach = Reach(
        decision.radius_m,
        decision.from_m,
        policy.radius.max_m,
        policy.radius.widen_factors,
        decision.limit,
        policy.slate.max_candidates,
    )
    limit = min(decision.limit, MAX_SERVED - len(decision.served))
    wanted, factors = asked(view, query.area), None
    surface = view.surfaces.get(query.scenario or "default")
    if surface is not None:
        wanted = msgspec.structs.replace(wanted, also=surface.filter)
        if decision.choice.explore or is_multiplied(policy.feeds[decision.choice.order]):
            factors = surface.factors_beside(recalled.faded)
    return Search(
        view,
        query.area.center,
        reach,
        wanted,
        _ranking(view, decision, limit),
        limit,
        now,
        recalled.postings.union(decision.served),
        captured,
        factors,
        plan_of(view, policy.scenarios[query.scenario or "default"], decision, now),
        view.capped.at(now),
    )


def _ranking(view: View, decision: Decision, limit: int) -> Ranking:
    """The pool of a shuffle shrinks by what pages served before."""
    if not decision.choice.explore:
        return ByFeed(decision.choice.order, decision.seed, decision.choice.by_mean)
    pool_size = view.revision.policy.exploration.pool_size
    return Shuffled(max(pool_size - len(decision.served), limit), decision.seed)


def _claims(view: View, decision: Decision, person: Person, finding: Finding, market: int) -> Claims | None:
    """What the token of the first item says."""
    if not finding.postings:
        return None
    choice = decision.choice
    return Claims(
        tenant_id=view.tenant_id,
        request_id=decision.request_id,
        posting=finding.postings[0],
        position=decision.rank_offset + 1,
        feed=choice.number,
        feed_propensity=choice.propensity,
        scenario=surface_number(decision.scenario, decision.lineup.segment_number),
        market=market,
        policy_revision=view.revision.number,
        # What the bandit of feeds learns from is the policy in force alone.
        policy_epoch=0 if view.contends else choice.epoch,
        explore=choice.explore,
        subject_hash=subject_hash(view.tokens.salt, person.user_id, person.anonymous_id),
        session_hash=decision.visit.session[:8],
    )


def _next_page(view: View, decision: Decision, query: RecommendQuery, finding: Finding, now: float) -> str:
    """Empty when nothing is left to show, or when a slate has reached its greatest length."""
    postings = finding.postings
    served = (*decision.served, *postings)
    left = finding.eligible > len(postings) or not finding.exhausted
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
            radius_used_m=finding.radius_used_m,
            rank_offset=decision.rank_offset + len(postings),
            served=served,
        )
    )
