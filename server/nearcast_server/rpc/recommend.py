"""RecommendService on the wire."""

from collections.abc import Callable

from google.protobuf.duration_pb2 import Duration

from nearcast.v1 import recommend_pb2
from nearcast_server.degrading import degraded
from nearcast_server.explaining import drawn
from nearcast_server.listing import Lister
from nearcast_server.recommending import Placed, Recommender, Slate
from nearcast_server.rpc.items import Paint, painter
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
    ) -> None:
        self._recommender = recommender
        self._lister = lister
        self._clock = clock
        self._metrics = metrics
        self._served = served

    async def Nearby(
        self, caller: Caller, request: recommend_pb2.NearbyRequest
    ) -> recommend_pb2.NearbyResponse:
        """The eligible items near a point, nearest first."""
        query, paint = to_nearby(request), painter(request.read_mask)
        listing = await self._lister.nearby(caller.tenant_id, query)
        return recommend_pb2.NearbyResponse(
            items=[
                recommend_pb2.NearbyItem(
                    item_id=hit.served.item.item_id,
                    distance_m=hit.distance_m,
                    location_index=hit.place,
                    item=paint(hit.served),
                )
                for hit in listing.hits
            ],
            next_page_token=listing.next_page_token,
            limit_applied=listing.limit,
            radius_used_m=listing.radius_m,
            truncated=listing.truncated,
        )

    async def Recommend(
        self, caller: Caller, request: recommend_pb2.RecommendRequest
    ) -> recommend_pb2.RecommendResponse:
        """The items most worth showing, in order."""
        query, paint = to_recommend(request), painter(request.read_mask)
        slate = await self._recommender.recommend(caller.tenant_id, query)
        answer = self._answer(slate, paint)
        if query.explain:
            for message, placed in zip(answer.items, slate.items, strict=True):
                _explain(message.explanation, placed, slate)
        return answer

    def _answer(self, slate: Slate, paint: Paint) -> recommend_pb2.RecommendResponse:
        view, decision = slate.view, slate.decision
        reasons = degraded(view, self._clock(), seen_unknown=slate.seen_unknown)
        self._observe(slate, reasons)
        age_s = max(slate.now - view.stats_at, 0.0)
        return recommend_pb2.RecommendResponse(
            request_id=str(decision.request_id),
            feed=decision.choice.feed,
            feed_propensity=decision.choice.propensity,
            items=[
                recommend_pb2.RecommendedItem(
                    item_id=placed.hit.served.item.item_id,
                    rank=placed.rank,
                    distance_m=placed.hit.distance_m,
                    location_index=placed.hit.place,
                    score=placed.score,
                    reward_token=placed.token,
                    item=paint(placed.hit.served),
                )
                for placed in slate.items
            ],
            radius_used_m=slate.radius_used_m,
            session_token=decision.visit.token,
            next_page_token=slate.next_page_token,
            policy_revision=view.revision.number,
            policy_epoch=decision.choice.epoch,
            stats_age=Duration(seconds=int(age_s), nanos=int(age_s % 1 * 1e9)),
            degraded_reasons=[f"DEGRADED_REASON_{reason}" for reason in reasons],
            limit_applied=decision.limit,
            truncated=slate.truncated,
            slate_token=slate.token,
        )

    def _observe(self, slate: Slate, reasons: tuple[str, ...]) -> None:
        self._metrics.observe(SERVER_RECOMMEND_CANDIDATES, slate.beliefs.postings.size)
        self._metrics.add(SERVER_SERVED, len(slate.items))
        self._served.note(slate)
        for reason in reasons:
            self._metrics.add(SERVER_DEGRADED, 1, reason)


def _explain(message: recommend_pb2.ItemExplanation, placed: Placed, slate: Slate) -> None:
    message.posting = placed.hit.served.posting
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
