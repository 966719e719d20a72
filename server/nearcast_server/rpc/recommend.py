"""RecommendService on the wire."""

from collections.abc import Callable, Sequence

from google.protobuf.duration_pb2 import Duration

from nearcast.v1 import item_pb2, recommend_pb2
from nearcast_bandit.factors import Subject
from nearcast_server.appraising import Appraiser
from nearcast_server.degrading import degraded, shortfalls
from nearcast_server.errors import ForbiddenError
from nearcast_server.listing import Lister, Listing
from nearcast_server.recommending import Placed, Recommender, Slate
from nearcast_server.rpc.answers import NearbyItems, RecommendedItems
from nearcast_server.rpc.explanations import explain, explained_items
from nearcast_server.rpc.frames import SlateFrame
from nearcast_server.rpc.items import Mask, painted, to_mask
from nearcast_server.rpc.leads import Leads
from nearcast_server.rpc.machineslates import MachineSlates
from nearcast_server.rpc.queries import to_asked_about, to_nearby, to_recommend
from nearcast_server.serving import ServedTally
from nearcast_store.tenants.protocol import Caller
from nearcast_telemetry.answermetrics import SERVER_DEGRADED, SERVER_RECOMMEND_CANDIDATES, SERVER_SERVED
from nearcast_telemetry.budgetmetrics import SERVER_PLACES
from nearcast_telemetry.metrics import Metrics


class RecommendService:
    """What is worth showing near a point."""

    def __init__(
        self,
        recommender: Recommender,
        lister: Lister,
        clock: Callable[[], float],
        metrics: Metrics,
        served: ServedTally,
        appraiser: Appraiser,
        machine: MachineSlates | None = None,
    ) -> None:
        self._recommender = recommender
        self._lister = lister
        self._clock = clock
        self._metrics = metrics
        self._served = served
        self._appraiser = appraiser
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
        asked_about = _asked_about(request, caller) if request.explain_item_ids else ()
        slate = await self._recommender.recommend(caller.tenant_id, query)
        reasons = (
            *degraded(slate.view, self._clock(), seen_unknown=slate.seen_unknown),
            *shortfalls(slate.finding),
        )
        self._observe(slate, reasons)
        # Fields of a message may come in any order.
        answer = self._frame.of(slate, reasons) + self._items(slate, mask, explain=query.explain)
        if not asked_about:
            return answer
        appraised = await self._appraiser.appraise(slate, asked_about)
        return answer + explained_items(slate, appraised).SerializeToString()

    def _items(self, slate: Slate, mask: Mask, *, explain: bool) -> bytes:
        """By machine code where that can be; otherwise one after the other."""
        if explain:
            explained = [_explained(placed, slate, mask) for placed in slate.items]
            capped = slate.finding.capped
            return recommend_pb2.RecommendResponse(items=explained, capped_count=capped).SerializeToString()
        whole = self._machine.items(slate) if self._machine is not None and mask is None else None
        if whole is not None:
            return whole
        leads = self._slate_leads.of(slate.finding.items, mask)
        if slate.finding.pinned:
            pinned = self._slates.pinned
            leads = [
                lead + pinned if one.pinned else lead for lead, one in zip(leads, slate.items, strict=True)
            ]
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
        if slate.finding.new is not None:
            self._count_places(slate.finding.postings, slate.finding.new)
        for reason in reasons:
            self._metrics.add(SERVER_DEGRADED, 1, reason)

    def _count_places(self, postings: Sequence[int], new: frozenset[int]) -> None:
        fresh = len(new.intersection(postings))
        self._metrics.add(SERVER_PLACES, fresh, "new")
        self._metrics.add(SERVER_PLACES, len(postings) - fresh, "known")


def _asked_about(request: recommend_pb2.RecommendRequest, caller: Caller) -> tuple[str, ...]:
    """Nothing for the key of an app, which anybody can read."""
    field = "explain_item_ids"
    if caller.role == "client":
        raise ForbiddenError(
            "INSUFFICIENT_SCOPE",
            f"{field} needs a key with the role backend or operator; this one is for apps",
            metadata={"field": field},
        )
    return to_asked_about(field, request.explain_item_ids)


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
        pinned=placed.pinned,
    )
    market, subject = placed.shown.market, _subject(placed)
    explain(message.explanation, slate, slate.beliefs, placed.column, market, subject)
    return message


def _subject(placed: Placed) -> Subject:
    """Whole, whatever the caller wants to see of it."""
    shown = placed.shown
    item = item_pb2.Item.FromString(painted(shown.display, None))
    return Subject(
        shown.posting, item.category, frozenset(tag.name for tag in item.tags), item.owner, shown.distance_m
    )
