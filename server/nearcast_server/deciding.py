"""What is settled before any candidate is looked at: how many, how far, which visit, feed and seed."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.stream import request_seed
from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_config.policy import EXPLORE_FEED, Scenario
from nearcast_ledger.pagetoken import PageToken
from nearcast_server.asking import RecommendQuery
from nearcast_server.choosing import Choice, Lineup, choose_feed, eligible_feeds, explores
from nearcast_server.contending import take_side
from nearcast_server.errors import InvalidRequestError
from nearcast_server.limits import limit_of, radius_of
from nearcast_server.paging import open_slate_page
from nearcast_server.steadying import frozen_choice, held_out, holdout_choice, is_frozen
from nearcast_server.tenancy import View
from nearcast_server.visiting import Visit, resolve_visit, sign_visit

# Of an interval so short that the number of it would not fit.
_LAST_INTERVAL = 2**63 - 1
_MOST_LINEUPS = 1000
_Key = tuple[int, int, tuple[str, ...], int, bool, str]


class Decision(Struct, frozen=True):
    """What is settled before any candidate is looked at; a page goes on with it."""

    request_id: UUID
    visit: Visit
    seed: int
    choice: Choice
    scenario: int
    limit: int
    radius_m: float
    from_m: float
    rank_offset: int
    served: tuple[int, ...]
    lineup: Lineup

    @property
    def segment(self) -> str:
        """Of the people whom it is for, "" for none."""
        return self.lineup.segment


class Names(Protocol):
    """Names decisions."""

    def next(self) -> UUID:
        """The id of one more."""
        ...


class Decider:
    """Makes decisions, or takes up the one that a page goes on with."""

    def __init__(self, request_ids: Names, random_bytes: Callable[[int], bytes]) -> None:
        self._request_ids = request_ids
        self._random_bytes = random_bytes
        self._lineups: dict[_Key, Lineup] = {}

    def side(self, view: View, query: RecommendQuery, now: float) -> tuple[View, RecommendQuery]:
        """What a request is decided under: the policy in force, or what is tried on its session."""
        if view.contender is None:
            return view, query
        return take_side(view, view.contender, query, int(now * 1000), self._random_bytes)

    def decide(self, view: View, query: RecommendQuery, now: float, market: int = 0) -> Decision:
        """Everything that follows from the query, its market's number and the tenant alone."""
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
        lineup = self._lineup(view, scenario, market, query)
        if query.page_token:
            page = open_slate_page(view, query.page_token, query.canonical, int(now * 1000))
            visit, choice = _resumed(view, page, int(now * 1000), lineup, market)
            seed, from_m, ranked, served = page.seed, page.radius_used_m, page.rank_offset, page.served
            request_id = self._request_ids.next()
        else:
            request_id = self._request_ids.next()
            visit, choice = self._begun(view, lineup, query, request_id, int(now * 1000), market)
            seed = request_seed(
                view.tokens.salt, view.tenant_id, visit.session, _draw_epoch(view, request_id, now)
            )
            from_m, ranked, served = radius_m, 0, ()
        number = view.revision.scenarios[name]
        return Decision(
            request_id,
            visit,
            seed,
            choice,
            number,
            limit,
            radius_m,
            from_m,
            ranked,
            served,
            lineup,
        )

    def _begun(
        self,
        view: View,
        lineup: Lineup,
        query: RecommendQuery,
        request_id: UUID,
        now_ms: int,
        market: int,
    ) -> tuple[Visit, Choice]:
        revision, market_id = view.revision, view.atlas.id_of(market)
        share, held = revision.policy.exploration.share, revision.policy.master.holdout_share
        visit = resolve_visit(view, query.session_id, query.session_token, lineup, now_ms, self._random_bytes)
        if is_frozen(revision.policy, market_id):
            return visit, frozen_choice(revision, lineup.feeds(visit.epoch), _number(visit))
        if held_out(revision, query.person, visit.session):
            return visit, holdout_choice(revision, lineup.feeds(visit.epoch), _number(visit))
        chosen = choose_feed(lineup, visit.epoch, visit.session, view.tokens.salt)
        if explores(share, view.tokens.salt, view.tenant_id, request_id):
            return visit, Choice(
                EXPLORE_FEED,
                revision.feeds[EXPLORE_FEED],
                share * (1 - held),
                explore=True,
                epoch=chosen.epoch,
            )
        propensity = chosen.propensity * (1 - share) * (1 - held)
        return visit, Choice(chosen.feed, chosen.number, propensity, explore=False, epoch=chosen.epoch)

    def _lineup(self, view: View, scenario: Scenario, market: int, query: RecommendQuery) -> Lineup:
        """A segment that the policy does not name is none."""
        revision, person = view.revision, query.person
        is_known = bool(person.user_id or person.anonymous_id)
        segment = query.segment if query.segment and query.segment in revision.segments else ""
        key = (view.tenant_id, revision.number, scenario.feeds, market, is_known, segment)
        known = self._lineups.get(key)
        if known is not None and known.revision is revision:
            return known
        if len(self._lineups) >= _MOST_LINEUPS:
            self._lineups.clear()
        feeds = eligible_feeds(revision, scenario, view.atlas.id_of(market), is_known=is_known)
        lineup = self._lineups[key] = Lineup(revision, feeds, market, segment)
        return lineup


def _resumed(view: View, page: PageToken, now_ms: int, lineup: Lineup, market: int) -> tuple[Visit, Choice]:
    """The page's own visit and feed, whatever else the call says; what is frozen meanwhile is so at once."""
    names = {number: name for name, number in view.revision.feeds.items()}
    feed = names.get(page.feed)
    if feed is None or (feed not in {EXPLORE_FEED, HOLDOUT_FEED} and feed not in view.orders):
        raise InvalidRequestError.of(
            "page_token", "PAGE_TOKEN_INVALID", "its feed is no longer in the policy; start again without it"
        )
    token = sign_visit(view, page.session, page.policy_epoch, now_ms)
    visit = Visit(page.session, view.epochs.get(page.policy_epoch), token)
    market_id = view.atlas.id_of(market)
    feeds = lineup.feeds(visit.epoch)
    if is_frozen(view.revision.policy, market_id):
        return visit, frozen_choice(view.revision, feeds, page.policy_epoch)
    if feed == HOLDOUT_FEED and not page.explore and feed not in view.orders:
        return visit, holdout_choice(view.revision, feeds, page.policy_epoch)
    return visit, Choice(feed, page.feed, page.feed_propensity, page.explore, page.policy_epoch)


def _number(visit: Visit) -> int:
    return visit.epoch.number if visit.epoch else 0


def _draw_epoch(view: View, request_id: UUID, now: float) -> bytes:
    """What a draw lasts for: the request, or an interval of the policy."""
    minutes = view.revision.policy.draws.interval_minutes
    if minutes <= 0:
        return request_id.bytes
    return int(min(now // (60 * minutes), _LAST_INTERVAL)).to_bytes(8, "big")
