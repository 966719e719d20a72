"""The rule behind Nearby: eligible items by distance, page by page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.eligibility import eligible
from nearcast_ledger.nearbycursor import NearbyCursor
from nearcast_server.asking import NearbyQuery
from nearcast_server.limits import limit_of, radius_of
from nearcast_server.paging import PAGE_LIFETIME_MS, bind, open_nearby_page
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.index.protocol import GeoIndex, Hit


@dataclass(frozen=True, slots=True)
class Listing:
    """One page, nearest first."""

    hits: Sequence[Hit]
    limit: int
    radius_m: float
    truncated: bool
    next_page_token: str


class Lister:
    """Lists what is near; the radius is exactly the one asked for, never widened."""

    def __init__(self, index: GeoIndex, tenancies: Tenancies, clock: Callable[[], float]) -> None:
        self._index = index
        self._tenancies = tenancies
        self._clock = clock

    async def nearby(self, tenant_id: int, query: NearbyQuery) -> Listing:
        """One page of the list."""
        view, now = self._tenancies.view(tenant_id), self._clock()
        policy = view.revision.policy
        limit = limit_of(query.area.limit, policy.slate.default_limit, policy.slate.max_limit)
        radius_m = radius_of(query.area.radius_m, policy.radius.default_m, policy.radius.max_m)
        after = (-1.0, "")
        if query.page_token:
            cursor = open_nearby_page(view, query.page_token, query.canonical, int(now * 1000))
            after, radius_m = (cursor.last_distance_m, cursor.last_item_id), cursor.radius_m
        found = await self._index.near(tenant_id, query.area.center, radius_m, policy.slate.max_candidates)
        may = eligible(query.area.filter, now)
        left = [h for h in found.hits if (h.distance_m, h.served.item.item_id) > after and may(h.served)]
        page = left[:limit]
        more = _next(view, query, page[-1], radius_m, now) if len(left) > limit else ""
        return Listing(page, limit, radius_m, found.truncated, more)


def _next(view: View, query: NearbyQuery, last: Hit, radius_m: float, now: float) -> str:
    return view.tokens.cursors.sign(
        NearbyCursor(
            view.tenant_id,
            bind(view, query.canonical),
            int(now * 1000) + PAGE_LIFETIME_MS,
            last.distance_m,
            last.served.item.item_id,
            radius_m,
        )
    )
