"""RecommendService on the wire."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration

from nearcast.v1 import item_pb2, recommend_pb2
from nearcast_server.degrading import degraded, shortfalls
from nearcast_server.explaining import drawn
from nearcast_server.listing import Lister, Listing
from nearcast_server.recommending import Placed, Recommender, Slate
from nearcast_server.rpc.answers import NearbyItems, RecommendedItems
from nearcast_server.rpc.frames import SlateFrame
from nearcast_server.rpc.items import Mask, painted, to_mask
from nearcast_server.rpc.leads import Leads
from nearcast_server.rpc.machineslates import MachineSlates
from nearcast_server.rpc.queries import to_nearby, to_recommend
from nearcast_server.serving import ServedTally
from nearcast_store.tenants.protocol import Caller
from nearcast_telemetry.metrics import (
    SERVER_DEGRADED,
    SERVER_RECOMMEND_CANDIDATES,
    SERVER_SERVED,
    Metrics,
)


class RecommendService:
    """What is worth showing near a point."""

    def __init__(
        self,
        recommender: Recommender,
        lister: Lister,
        clock: Callable[[], float],
        metrics: Metrics,
        served: ServedTally,
        machine: MachineSlates | None = None,
    ) -> None:
        self._recommender = recommender
        self._lister = lister
        self._clock = clock
        self._metrics = metrics
        self._served = served
        self._machine = machine
        self._frame, self._slates, self._lists = SlateFrame(), RecommendedItems(), NearbyItems()
        self._slate_leads, self._list_leads = Leads(self._slates.lead), Leads(self._lists.lead)

    async def Nearby(self, caller: Caller, request: recommend_pb2.NearbyRequest) -> bytes:
        """The eligible items near a point, nearest first."""
        query, mask = to_nearby(request), to_mask(request.read_mask)
        listing = await self._lister.nearby(caller.tenant_id, query)
        for reason in shortfalls(listing.finding):
            self._metrics.add(SERVER_DEGRADED, 1, reason)
        leads = self._list_leads.of(listing.items, mask)
        return _around(listing).SerializeToString() + self._lists.joined(
            (lead, shown.distance_m, shown.place) for lead, shown in zip(leads, listing.items, strict=True)
        )

    async def Recommend(self, caller: Caller, request: recommend_pb2.RecommendRequest) -> bytes:
        """The items most worth showing, in order."""
        query, mask = to_recommend(request), to_mask(request.read_mask)
        slate = await self._recommender.recommend(caller.tenant_id, query)
        reasons = (
            *degraded(slate.view, self._clock(), seen_unknown=slate.seen_unknown),
            *shortfalls(slate.finding),
        )
        self._observe(slate, reasons)
        # Fields of a message may come in any order.
        return self._frame.of(slate, reasons) + self._items(slate, mask, explain=query.explain)

    def _items(self, slate: Slate, mask: Mask, *, explain: bool) -> bytes:
        """By machine code where that can be; otherwise one after the other."""
        if explain:
            explained = [_explained(placed, slate, mask) for placed in slate.items]
            return recommend_pb2.RecommendResponse(items=explained).SerializeToString()
        whole = self._machine.items(slate) if self._machine is not None and mask is None else None
        if whole is not None:
            return whole
        leads = self._slate_leads.of(slate.finding.items, mask)
        return self._slates.joined(
            [
                (lead, one.rank, one.shown.distance_m, one.shown.place, one.score, one.token)
                for lead, one in zip(leads, slate.items, strict=True)
            ]
        )

    def _observe(self, slate: Slate, reasons: tuple[str, ...]) -> None:
        self._metrics.observe(SERVER_RECOMMEND_CANDIDATES, slate.finding.eligible)
        self._metrics.add(SERVER_SERVED, len(slate.finding.postings))
        self._served.note(slate)
        for reason in reasons:
            self._metrics.add(SERVER_DEGRADED, 1, reason)


def _around(listing: Listing) -> recommend_pb2.NearbyResponse:
    """All but the items."""
    return recommend_pb2.NearbyResponse(
        next_page_token=listing.next_page_token,
        limit_applied=listing.limit,
        radius_used_m=listing.radius_m,
        truncated=listing.finding.truncated,
        market=listing.market,
        degraded_reasons=[f"DEGRADED_REASON_{reason}" for reason in shortfalls(listing.finding)],
        candidates_age=_duration(listing.finding.age_s),
    )


def _duration(seconds: float) -> Duration | None:
    """Nothing for none, which is what the wire says of zero."""
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)) if seconds else None


def _explained(placed: Placed, slate: Slate, mask: Mask) -> recommend_pb2.RecommendedItem:
    message = recommend_pb2.RecommendedItem(
        item_id=placed.shown.item_id,
        rank=placed.rank,
        distance_m=placed.shown.distance_m,
        location_index=placed.shown.place,
        score=placed.score,
        reward_token=placed.token,
        item=item_pb2.Item.FromString(painted(placed.shown.display, mask)),
    )
    _explain(message.explanation, placed, slate)
    return message


def _explain(message: recommend_pb2.ItemExplanation, placed: Placed, slate: Slate) -> None:
    message.posting = placed.shown.posting
    message.market = slate.view.atlas.id_of(placed.shown.market)
    beliefs, column = slate.beliefs, placed.column
    draws = drawn(slate, placed)
    for row, kind in enumerate(beliefs.kinds):
        message.kinds.add(
            kind=kind,
            weight=beliefs.weights[row],
            exposure=beliefs.exposures[row, column],
            success=beliefs.successes[row, column],
            prior_mean=beliefs.priors[row].mean,
            prior_strength=beliefs.priors[row].strength,
            posterior_a=beliefs.a[row, column],
            posterior_b=beliefs.b[row, column],
            draw=draws[row],
        )
