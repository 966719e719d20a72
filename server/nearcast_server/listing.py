"""The rule behind Nearby: eligible items by distance, page by page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_ledger.nearbycursor import NearbyCursor
from nearcast_server.asking import NearbyQuery
from nearcast_server.finding import Finder, Finding, Listed, Search, Shown
from nearcast_server.gathering import Reach
from nearcast_server.limits import limit_of, radius_of
from nearcast_server.locating import asked, market_of
from nearcast_server.paging import PAGE_LIFETIME_MS, bind, open_nearby_page
from nearcast_server.tenancy import Tenancies, View


@dataclass(frozen=True, slots=True)
class Listing:
    """One page, nearest first; `market` is the id of the one that was asked from."""

    view: View
    finding: Finding
    limit: int
    radius_m: float
    next_page_token: str
    now: float
    market: str = ""

    @property
    def items(self) -> Sequence[Shown]:
        """The page."""
        return self.finding.items


class Lister:
    """Lists what is near; the radius is exactly the one asked for, never widened."""

    def __init__(self, finder: Finder, tenancies: Tenancies, clock: Callable[[], float]) -> None:
        self._finder = finder
        self._tenancies = tenancies
        self._clock = clock

    async def nearby(self, tenant_id: int, query: NearbyQuery) -> Listing:
        """One page of the list."""
        view, now = self._tenancies.view(tenant_id), self._clock()
        policy = view.revision.policy
        limit = limit_of(query.area.limit, policy.slate.default_limit, policy.slate.max_limit)
        radius_m = radius_of(query.area.radius_m, policy.radius.default_m, policy.radius.max_m)
        wanted, after = asked(view, query.area), (-1.0, "")
        if query.page_token:
            cursor = open_nearby_page(view, query.page_token, query.canonical, int(now * 1000))
            after, radius_m = (cursor.last_distance_m, cursor.last_item_id), cursor.radius_m
        reach = Reach(radius_m, radius_m, radius_m, (), 0, policy.slate.max_candidates)
        search = Search(view, query.area.center, reach, wanted, Listed(after), limit, now)
        finding = await self._finder.find(search)
        more = ""
        if finding.eligible > limit:
            more = _next(view, query, finding.items[-1], radius_m, now)
        market = view.atlas.id_of(market_of(view, query.area))
        return Listing(view, finding, limit, radius_m, more, now, market)


def _next(view: View, query: NearbyQuery, last: Shown, radius_m: float, now: float) -> str:
    return view.tokens.cursors.sign(
        NearbyCursor(
            view.tenant_id,
            bind(view, query.canonical),
            int(now * 1000) + PAGE_LIFETIME_MS,
            last.distance_m,
            last.item_id,
            radius_m,
        )
    )
