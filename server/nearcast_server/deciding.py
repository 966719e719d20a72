"""What is settled before any candidate is looked at: how many, how far, which visit, feed and seed."""

from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.stream import request_seed
from nearcast_config.policy import EXPLORE_FEED, Scenario
from nearcast_ledger.pagetoken import PageToken
from nearcast_ledger.requestid import RequestIds
from nearcast_server.asking import RecommendQuery
from nearcast_server.choosing import Choice, Lineup, choose_feed, eligible_feeds, explores
from nearcast_server.errors import InvalidRequestError
from nearcast_server.limits import limit_of, radius_of
from nearcast_server.paging import open_slate_page
from nearcast_server.tenancy import View
from nearcast_server.visiting import Visit, resolve_visit, sign_visit

# Of an interval so short that the number of it would not fit.
_LAST_INTERVAL = 2**63 - 1
_MOST_LINEUPS = 1000


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


class Decider:
    """Makes decisions, or takes up the one that a page goes on with."""

    def __init__(self, request_ids: RequestIds, random_bytes: Callable[[int], bytes]) -> None:
        self._request_ids = request_ids
        self._random_bytes = random_bytes
        self._lineups: dict[tuple[int, tuple[str, ...]], Lineup] = {}

    def decide(self, view: View, query: RecommendQuery, now: float) -> Decision:
        """Everything that follows from the query and the tenant alone."""
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
        if query.page_token:
            page = open_slate_page(view, query.page_token, query.canonical, int(now * 1000))
            visit, choice = _resumed(view, page, int(now * 1000))
            seed, from_m, ranked, served = page.seed, page.radius_used_m, page.rank_offset, page.served
            request_id = self._request_ids.next()
        else:
            request_id = self._request_ids.next()
            visit, choice = self._begun(view, scenario, query, request_id, int(now * 1000))
            seed = request_seed(
                view.tokens.salt, view.tenant_id, visit.session, _draw_epoch(view, request_id, now)
            )
            from_m, ranked, served = radius_m, 0, ()
        number = view.revision.scenarios[name]
        return Decision(request_id, visit, seed, choice, number, limit, radius_m, from_m, ranked, served)

    def _begun(
        self, view: View, scenario: Scenario, query: RecommendQuery, request_id: UUID, now_ms: int
    ) -> tuple[Visit, Choice]:
        revision, share = view.revision, view.revision.policy.exploration.share
        lineup = self._lineup(view, scenario)
        visit = resolve_visit(view, query.session_id, query.session_token, lineup, now_ms, self._random_bytes)
        chosen = choose_feed(lineup, visit.epoch, visit.session, view.tokens.salt)
        if explores(share, view.tokens.salt, view.tenant_id, request_id):
            return visit, Choice(
                EXPLORE_FEED, revision.feeds[EXPLORE_FEED], share, explore=True, epoch=chosen.epoch
            )
        propensity = chosen.propensity * (1 - share)
        return visit, Choice(chosen.feed, chosen.number, propensity, explore=False, epoch=chosen.epoch)

    def _lineup(self, view: View, scenario: Scenario) -> Lineup:
        key = (view.tenant_id, scenario.feeds)
        known = self._lineups.get(key)
        if known is not None and known.revision is view.revision:
            return known
        if len(self._lineups) >= _MOST_LINEUPS:
            self._lineups.clear()
        lineup = self._lineups[key] = Lineup(view.revision, eligible_feeds(view.revision, scenario))
        return lineup


def _resumed(view: View, page: PageToken, now_ms: int) -> tuple[Visit, Choice]:
    """The page's own visit and feed, whatever else the call says."""
    names = {number: name for name, number in view.revision.feeds.items()}
    feed = names.get(page.feed)
    if feed is None or (feed != EXPLORE_FEED and feed not in view.orders):
        raise InvalidRequestError.of(
            "page_token", "PAGE_TOKEN_INVALID", "its feed is no longer in the policy; start again without it"
        )
    token = sign_visit(view, page.session, page.policy_epoch, now_ms)
    visit = Visit(page.session, view.epochs.get(page.policy_epoch), token)
    return visit, Choice(feed, page.feed, page.feed_propensity, page.explore, page.policy_epoch)


def _draw_epoch(view: View, request_id: UUID, now: float) -> bytes:
    """What a draw lasts for: the request, or an interval of the policy."""
    minutes = view.revision.policy.draws.interval_minutes
    if minutes <= 0:
        return request_id.bytes
    return int(min(now // (60 * minutes), _LAST_INTERVAL)).to_bytes(8, "big")
