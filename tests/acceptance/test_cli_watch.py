"""`nearcast stats --watch`, as a user runs it: it tells what is counted, over a restart of the gateway."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from nearcast.v1 import stats_pb2
from nearcast_cli.following import lines_of
from tests.acceptance.running import COMMAND, environment, nearcast
from tests.audience import gather_audience
from tests.gateways import Gateway, Tenant, make_config, running_gateway, running_keeper

SOON_S = 60.0


@asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env=environment(), stdout=asyncio.subprocess.PIPE, stderr=sys.stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def heard(process: asyncio.subprocess.Process, **wanted: int) -> dict[str, Any]:
    """The message that says so of the bakery."""
    assert process.stdout
    async with asyncio.timeout(SOON_S):
        while line := await process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            for item in message["items"]:
                counts = {kind["kind"]: int(kind["count"]) for kind in item["kinds"]}
                if item["itemId"] == "bakery" and wanted.items() <= counts.items():
                    return message
    raise AssertionError("it ended")


def where(gateway: Gateway, tenant: Tenant) -> tuple[str, ...]:
    return ("--address", gateway.address, "--api-key", tenant.keys["backend"])


async def test_it_tells_what_is_counted_over_a_restart(database: str, redis_url: str) -> None:
    config = make_config(database, redis_url)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running_keeper(config))
        async with running_gateway(config) as gateway:
            tenant = await gateway.new_tenant("shop")
            audience = await gather_audience(gateway, tenant, "bakery")
            port = gateway.addresses.grpc_port
            started = command("stats", "bakery", "--watch", "--json", *where(gateway, tenant))
            process = await stack.enter_async_context(started)
            await heard(process, impression=0)
            await audience.act("bakery", people=3)
            await heard(process, impression=3)
        same = msgspec.structs.replace(
            config, gateway=msgspec.structs.replace(config.gateway, grpc_port=port)
        )
        async with running_gateway(same) as gateway:
            again = await gather_audience(gateway, tenant, "bakery")
            await again.act("bakery", kind="view", people=2)
            message = await heard(process, impression=5, view=2)
            process.send_signal(2)
            assert await process.wait() == 130
            token = message["resumeToken"]
            await again.act("bakery")
            ids = ("stats", "bakery", "--watch", "--json", "--resume", token)
            async with command(*ids, *where(gateway, tenant)) as resumed:
                await heard(resumed, impression=6)


async def test_for_people_each_change_is_a_line() -> None:
    message = stats_pb2.WatchStatsResponse(
        items=[
            stats_pb2.ItemStats(
                item_id="bakery",
                title="Bakery",
                kinds=[
                    stats_pb2.KindStats(kind="impression", count=40),
                    stats_pb2.KindStats(kind="view", count=4, rate=0.105),
                ],
            )
        ],
        feeds=[stats_pb2.FeedStats(feed="newest", probability=0.25)],
        policy_epoch=7,
    )
    item, feeds = lines_of(message)
    assert item.endswith("Bakery (bakery): 40 impression, 4 view 10.5%")
    assert feeds.endswith("feeds of epoch 7: newest 25.0%")
    assert list(lines_of(stats_pb2.WatchStatsResponse(resume_token="x"))) == []


def test_what_cannot_be_watched_is_told_at_once() -> None:
    away = nearcast("stats", "--watch", "--address", "127.0.0.1:1", "--api-key", "nc_b", "--json")
    assert away.returncode == 1
    assert json.loads(away.stderr)["reason"] == "NO_SERVER"
    confused = nearcast("stats", "--resume", "x", "--address", "127.0.0.1:1", "--api-key", "nc_b")
    assert confused.returncode == 2
    assert "--watch" in confused.stderr
