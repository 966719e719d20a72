"""StatsService on the wire."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

from nearcast.v1 import stats_pb2
from nearcast_server.feedreports import FeedReport
from nearcast_server.reporting import ItemReport, KindReport, Reporter, check_ids
from nearcast_server.rpc.eventstream import ENDS
from nearcast_server.rpc.items import to_stamp
from nearcast_server.rpc.openstream import Stream
from nearcast_server.rpc.origins import to_origin
from nearcast_server.standings import FeedStanding
from nearcast_server.watching import StatsWatch, Update, Watcher, Wish
from nearcast_store.tenants.protocol import Caller


class StatsService:
    """What has been learned."""

    def __init__(self, reporter: Reporter, watch: StatsWatch, heartbeat_s: float) -> None:
        self._reporter = reporter
        self._watch = watch
        self._heartbeat_s = heartbeat_s

    async def GetStats(
        self, caller: Caller, request: stats_pb2.GetStatsRequest
    ) -> stats_pb2.GetStatsResponse:
        """Counts and posteriors of items, and of feeds."""
        check_ids(request.item_ids)
        report = await self._reporter.report(
            caller.tenant_id,
            list(request.item_ids),
            request.page_size,
            positions=request.positions,
            market=request.market,
            segment=request.segment,
        )
        return stats_pb2.GetStatsResponse(
            items=_items(report.items),
            feeds=_feeds(report.feeds),
            standing=_standing(report.standing),
            policy_revision=report.revision,
            policy_epoch=report.epoch,
            read_at=to_stamp(report.read_at),
            totals=[stats_pb2.KindCount(kind=total.kind, count=total.count) for total in report.totals],
        )

    async def WatchStats(self, caller: Caller, stream: Stream) -> None:
        """What changes, until the stream ends."""
        request = await stream.receive()
        if not isinstance(request, stats_pb2.WatchStatsRequest):
            return
        check_ids(request.item_ids)
        ids = tuple(request.item_ids)
        wish = Wish(caller.tenant_id, ids, request.snapshot, request.resume_token)
        with self._watch.follow(wish) as watcher:
            await watcher.begin()
            await self._follow(watcher, stream)
            if stream.ended is not None:
                last = _message(await watcher.sign_of_life())
                last.ending = ENDS[stream.ended]
                await stream.send(last)

    async def _follow(self, watcher: Watcher, stream: Stream) -> None:
        clock = asyncio.get_running_loop().time
        silent_since, checked_at = float("-inf"), clock()
        while stream.ended is None:
            if await _tell(watcher, stream):
                silent_since = clock()
            elif clock() - silent_since >= self._heartbeat_s:
                await stream.send(_message(await watcher.sign_of_life()))
                silent_since = clock()
            if clock() - checked_at >= self._heartbeat_s:
                await stream.recheck()
                checked_at = clock()
            if stream.ended is None:
                due_at = min(silent_since, checked_at) + self._heartbeat_s
                await stream.rest(watcher.watch.woken, due_at - clock())


async def _tell(watcher: Watcher, stream: Stream) -> bool:
    """Send what there is to tell, unless the stream has to end before; whether that was anything."""
    told = False
    async with aclosing(watcher.updates()) as updates:
        async for update in updates:
            await stream.send(_message(update))
            told = True
            await stream.rest(watcher.watch.woken, 0.0)
            if stream.ended is not None:
                break
    return told


def _message(update: Update) -> stats_pb2.WatchStatsResponse:
    revision, epoch = update.mark
    return stats_pb2.WatchStatsResponse(
        items=_items(update.items),
        feeds=_feeds(update.feeds),
        standing=_standing(update.standing) if update.standing else None,
        policy_revision=revision,
        policy_epoch=epoch,
        read_at=to_stamp(update.read_at),
        resume_token=update.resume_token,
        settled=update.settled,
    )


def _feeds(feeds: Iterable[FeedReport]) -> list[stats_pb2.FeedStats]:
    return [
        stats_pb2.FeedStats(
            feed=feed.feed,
            trials=feed.trials,
            rewards=feed.rewards,
            probability=feed.probability,
            posterior_a=feed.a,
            posterior_b=feed.b,
            best_probability=feed.best,
        )
        for feed in feeds
    ]


def _standing(standing: FeedStanding) -> stats_pb2.FeedStanding:
    return stats_pb2.FeedStanding(
        leader=standing.leader,
        value_remaining=standing.value_remaining,
        days=standing.days,
        advice=f"STOP_ADVICE_{standing.advice.name}",
    )


def _items(items: Iterable[ItemReport]) -> list[stats_pb2.ItemStats]:
    return [_item(item) for item in items]


def _item(item: ItemReport) -> stats_pb2.ItemStats:
    return stats_pb2.ItemStats(
        item_id=item.item_id,
        posting=item.posting,
        title=item.title,
        served=item.served,
        positions=[
            stats_pb2.PositionStats(first=each.first, last=each.last, served=each.served)
            for each in item.positions
        ],
        kinds=[_kind(kind) for kind in item.kinds],
    )


def _kind(kind: KindReport) -> stats_pb2.KindStats:
    message = stats_pb2.KindStats(
        kind=kind.kind,
        count=kind.count,
        exposure=kind.exposure,
        success=kind.success,
        posterior_a=kind.a,
        posterior_b=kind.b,
        rate=kind.rate,
    )
    if kind.prior is not None:
        message.prior_mean, message.prior_strength = kind.prior.prior.mean, kind.prior.prior.strength
        message.prior_origin.CopyFrom(to_origin(kind.prior, kind.fit))
    return message
