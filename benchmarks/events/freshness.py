"""From an event that was accepted to what every gateway believes: `python -m benchmarks.events.freshness`."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import click
import grpc

from benchmarks.events.house import House, Process, open_house, postings_of, put_items, reward_tokens
from benchmarks.events.job import Sent
from benchmarks.events.load import sender
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.slates import claims_of, event_of
from benchmarks.goals import at_most
from nearcast.v1 import event_pb2, event_pb2_grpc, stats_pb2, stats_pb2_grpc
from nearcast_ledger.claims import UNKNOWN_HASH
from nearcast_ledger.requestid import RequestIds
from nearcast_ledger.rewardtoken import RewardTokens

ITEMS = 2_000
GATEWAYS = 2
BETWEEN_S = 0.25
PATIENCE_S = 30.0
RATE_PER_S = 5_000.0
GOAL_S = 2.0
UNMEASURED = ("a network between the processes", "gateways on several machines")


class Watcher:
    """Follows one item at one gateway, which tells what changed once it has published it."""

    def __init__(self, house: House, channel: grpc.aio.Channel, item_id: str) -> None:
        request = stats_pb2.WatchStatsRequest(item_ids=[item_id], snapshot=True)
        stub = stats_pb2_grpc.StatsServiceStub(channel)
        self._call: Any = stub.WatchStats(request, metadata=house.metadata)
        self._shown = 0

    async def sees(self, impressions: int) -> float:
        """When it told of so many impressions."""
        async with asyncio.timeout(PATIENCE_S):
            while self._shown < impressions:
                told = await self._call.read()
                for item in told.items:
                    self._shown = next(kind.count for kind in item.kinds if kind.kind == "impression")
        return time.perf_counter()

    def close(self) -> None:
        self._call.cancel()


class Probe:
    """An item that only we are shown: the load spares it."""

    def __init__(self, house: House, tokens: RewardTokens, posting: int, channel: grpc.aio.Channel) -> None:
        self._house = house
        self._tokens = tokens
        self._posting = posting
        self._stub: Any = event_pb2_grpc.EventServiceStub(channel)
        self._ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)

    async def show(self) -> None:
        """One more impression, acknowledged."""
        claims = claims_of(self._house.tenant_id, self._ids.next(), self._posting, 1, 1, UNKNOWN_HASH)
        event = event_pb2.Event.FromString(event_of("impression", self._tokens.sign(claims)))
        request = event_pb2.RecordEventsRequest(events=[event])
        await self._stub.RecordEvents(request, metadata=self._house.metadata)


async def _delays(house: House, gateways: Sequence[Process], seconds: float) -> list[list[float]]:
    """Seconds from each event's ack until each gateway knew."""
    tokens, postings = await reward_tokens(house), await postings_of(house)
    item_id, posting = max(postings.items(), key=lambda item: item[1])
    delays: list[list[float]] = [[] for _ in gateways]
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(house.address(gateway)))
            for gateway in gateways
        ]
        watchers = [Watcher(house, channel, item_id) for channel in channels]
        for watcher in watchers:
            stack.callback(watcher.close)
        probe = Probe(house, tokens, posting, channels[0])
        for number in range(1, int(seconds / BETWEEN_S) + 1):
            await probe.show()
            accepted = time.perf_counter()
            for each, at in zip(
                delays, await asyncio.gather(*(w.sees(number) for w in watchers)), strict=True
            ):
                each.append(at - accepted)
            await asyncio.sleep(secrets.randbelow(int(BETWEEN_S * 2_000)) / 1_000)
    return delays


async def _measure(seconds: float, rate_per_s: float) -> tuple[list[list[float]], Sent]:
    async with open_house() as house:
        gateways = [await house.start("gateway", "serve") for _ in range(GATEWAYS)]
        await house.start("keeper", "keeper")
        await put_items(house, gateways[0], ITEMS)
        progress(f"{rate_per_s:,.0f} events/s for {seconds:.0f} s")
        async with sender(
            house, *gateways, batch=100, seconds=seconds + PATIENCE_S, rate_per_s=rate_per_s, spared=1
        ) as load:
            load.go()
            await load.hears("warm")
            delays = await _delays(house, gateways, seconds)
            load.end()
            return delays, await load.sent()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=60.0, show_default=True, help="Of probes.")
@click.option("--rate", default=RATE_PER_S, show_default=True, help="Events a second meanwhile.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(seconds: float, rate: float, as_json: bool) -> None:
    """How long after its ack an event has changed what each of two gateways believes, under load."""
    delays, sent = asyncio.run(_measure(seconds, rate))
    rows = []
    for number, each in enumerate(delays, 1):
        ordered = sorted(each)
        middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        rows.append((f"gateway {number}", len(ordered), middle, late, ordered[-1], late / GOAL_S))
    if not as_json:
        head = ("", "events", "p50 s", "p99 s", "longest s", f"p99 / {GOAL_S:.0f} s")
        print_table(f"From accepted to believed, at {rate:,.0f} events/s", head, rows)
        print(f"\nAcks of the load: p50 {sent.ack_p50_ms:.1f} ms, p99 {sent.ack_p99_ms:.1f} ms.")
    latest = max(row[-1] for row in rows)
    judged = at_most("p99 from an event's ack to a changed posterior", f"{GOAL_S:g} s", latest, 1.0)
    data = f"{ITEMS:,} items, {GATEWAYS} gateways, {rate:,.0f} events/s meanwhile"
    finish(
        as_json,
        {"rows": [judged], "data": data, "delays_s": delays, "load": sent, "goal_s": GOAL_S},
        UNMEASURED,
    )


if __name__ == "__main__":
    command()
