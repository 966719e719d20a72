"""Watching statistics for as long as somebody reads: over restarts of the gateway, with nothing missed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from nearcast.v1.stats_pb2 import FeedStats, ItemStats, WatchStatsRequest, WatchStatsResponse
from nearcast_cli.calling import CallFailedError, Gateway

COME_BACK_S = 1.0
IMPRESSION = "impression"


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def follow(
    gateway: Gateway, item_ids: Sequence[str], resume_token: str, pause: Callable[[float], None] = _wait
) -> Iterator[WatchStatsResponse]:
    """Every message, without end. CallFailedError when it is refused, or nothing answers at first."""
    token, was_heard = resume_token, False
    while True:
        request = WatchStatsRequest(item_ids=item_ids, snapshot=bool(item_ids), resume_token=token)
        try:
            for message in gateway.stream(gateway.stats.WatchStats, request):
                token, was_heard = message.resume_token, True
                yield message
        except CallFailedError as error:
            if error.code.name != "UNAVAILABLE" or not was_heard:
                raise
            pause(error.retry_after_s or COME_BACK_S)


def lines_of(message: WatchStatsResponse) -> Iterator[str]:
    """For people: a line for each item, one for the feeds, none for a sign of life."""
    at = datetime.fromtimestamp(message.read_at.ToNanoseconds() / 1e9).strftime("%H:%M:%S")  # noqa: DTZ006 - for people
    for item in message.items:
        yield f"{at}  {_named(item)}: {', '.join(_figures(item))}"
    if message.feeds:
        shares = ", ".join(_share(feed) for feed in message.feeds)
        yield f"{at}  feeds of epoch {message.policy_epoch}: {shares}"


def _named(item: ItemStats) -> str:
    return f"{item.title} ({item.item_id})" if item.title else item.item_id


def _figures(item: ItemStats) -> Iterator[str]:
    for kind in item.kinds:
        yield (
            f"{kind.count} {kind.kind}"
            if kind.kind == IMPRESSION
            else f"{kind.count} {kind.kind} {kind.rate:.1%}"
        )


def _share(feed: FeedStats) -> str:
    return f"{feed.feed} {feed.probability:.1%}"
