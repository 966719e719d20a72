"""StatsService on the wire."""

from nearcast.v1 import stats_pb2
from nearcast_server.errors import InvalidRequestError
from nearcast_server.reporting import MOST_ITEMS, ItemReport, Reporter
from nearcast_server.rpc.items import to_stamp
from nearcast_store.tenants.protocol import Caller


class StatsService:
    """What has been learned."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    async def GetStats(
        self, caller: Caller, request: stats_pb2.GetStatsRequest
    ) -> stats_pb2.GetStatsResponse:
        """Counts and posteriors of items, and of feeds."""
        if len(request.item_ids) > MOST_ITEMS:
            raise InvalidRequestError.of(
                "item_ids",
                "LIST_TOO_LONG",
                f"must hold at most {MOST_ITEMS} entries, got {len(request.item_ids)}",
            )
        report = await self._reporter.report(caller.tenant_id, list(request.item_ids), request.page_size)
        return stats_pb2.GetStatsResponse(
            items=[_item(item) for item in report.items],
            feeds=[
                stats_pb2.FeedStats(
                    feed=feed.feed,
                    trials=feed.trials,
                    rewards=feed.rewards,
                    probability=feed.probability,
                    posterior_a=feed.a,
                    posterior_b=feed.b,
                )
                for feed in report.feeds
            ],
            policy_revision=report.revision,
            policy_epoch=report.epoch,
            read_at=to_stamp(report.read_at),
            totals=[stats_pb2.KindCount(kind=total.kind, count=total.count) for total in report.totals],
        )


def _item(item: ItemReport) -> stats_pb2.ItemStats:
    return stats_pb2.ItemStats(
        item_id=item.item_id,
        posting=item.posting,
        title=item.title,
        kinds=[
            stats_pb2.KindStats(
                kind=kind.kind,
                count=kind.count,
                exposure=kind.exposure,
                success=kind.success,
                posterior_a=kind.a,
                posterior_b=kind.b,
                rate=kind.rate,
            )
            for kind in item.kinds
        ],
    )
