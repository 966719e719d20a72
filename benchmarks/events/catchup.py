"""Catching up after the keeper stood still while events came: `python -m benchmarks.events.catchup`."""

import asyncio
import signal
from contextlib import AsyncExitStack
from time import perf_counter

import asyncpg
import click
from msgspec import Struct
from redis.asyncio import Redis

from benchmarks.events.house import House, accounted, open_house, put_items
from benchmarks.events.load import sender
from benchmarks.events.report import finish, print_table, progress
from benchmarks.goals import at_least
from nearcast_store import redis_keys
from nearcast_store.redis_client import open_client

ITEMS = 2_000
RATE_PER_S = 5_000.0
BATCH = 100
SHARDS = 4
GOAL = 3.0
# What is folded within a second of its coming is no backlog.
CAUGHT_UP_S = 1.0
LOOK_EVERY_S = 0.2
UNMEASURED = ("several keepers", "a network between the processes", "a log larger than memory")


class Caught(Struct, frozen=True):
    """`missed` events had come when the keeper went on; until nothing waited it folded at `folded_per_s`."""

    pause_s: float
    missed: int
    took_s: float
    came_per_s: float
    folded_per_s: float

    @property
    def ratio(self) -> float:
        """To the rate at which events came all the while."""
        return self.folded_per_s / self.came_per_s


class Flow:
    """What has come and what was folded since the beginning."""

    def __init__(self, house: House, redis: Redis, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._house = house
        self._redis = redis
        self._connection = connection

    async def came(self) -> int:
        """Every entry of the log is a batch, and none is forgotten within a day."""
        keys = [redis_keys.log(self._house.tenant_id, shard) for shard in range(SHARDS)]
        return BATCH * sum([await self._redis.xlen(key) for key in keys])

    async def folded(self) -> int:
        return await accounted(self._connection, self._house.tenant_id)

    async def caught_up(self, rate_per_s: float) -> None:
        """Return once next to nothing waits."""
        waiting = rate_per_s
        while waiting >= CAUGHT_UP_S * rate_per_s:
            await asyncio.sleep(LOOK_EVERY_S)
            waiting = await self.came() - await self.folded()


async def _measure(pause_s: float, rate_per_s: float) -> Caught:
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house())
        gateway = await house.start("gateway", "serve", NEARCAST_LOG__SHARDS=str(SHARDS))
        keeper = await house.start("keeper", "keeper", NEARCAST_LOG__SHARDS=str(SHARDS))
        await put_items(house, gateway, ITEMS)
        redis = open_client(house.endpoints.redis_url)
        stack.push_async_callback(redis.aclose)
        connection = await asyncpg.connect(house.endpoints.postgres_dsn)
        stack.push_async_callback(connection.close)
        flow = Flow(house, redis, connection)
        load = await stack.enter_async_context(
            sender(house, gateway, batch=BATCH, seconds=86_400.0, rate_per_s=rate_per_s)
        )
        load.go()
        await load.hears("warm")
        keeper.send(signal.SIGSTOP)
        progress(f"the keeper stands still for {pause_s:.0f} s")
        await asyncio.sleep(pause_s)
        began, came, folded = perf_counter(), await flow.came(), await flow.folded()
        keeper.send(signal.SIGCONT)
        await flow.caught_up(rate_per_s)
        took_s = perf_counter() - began
        came_per_s, folded_per_s = (
            (await flow.came() - came) / took_s,
            (await flow.folded() - folded) / took_s,
        )
        load.end()
        await load.sent()
    return Caught(pause_s, came - folded, took_s, came_per_s, folded_per_s)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--pause-seconds", default=600.0, show_default=True, help="How long the keeper stands still.")
@click.option("--rate", default=RATE_PER_S, show_default=True, help="Events a second, all the while.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(pause_seconds: float, rate: float, as_json: bool) -> None:
    """Freeze the keeper, go on sending, wake it, and see how fast it folds until nothing waits."""
    caught = asyncio.run(_measure(pause_seconds, rate))
    if not as_json:
        head = (
            "pause s",
            "events missed",
            "caught up in s",
            "folded/s",
            "came/s",
            f"ratio (goal {GOAL:.0f})",
        )
        row = (
            caught.pause_s,
            caught.missed,
            caught.took_s,
            caught.folded_per_s,
            caught.came_per_s,
            caught.ratio,
        )
        print_table("Catching up", head, [row])
    judged = at_least("events folded while catching up", "events that come meanwhile", caught.ratio, GOAL)
    data = f"{ITEMS:,} items, {rate:,.0f} events/s, a pause of {pause_seconds:,.0f} s"
    finish(
        as_json,
        {"rows": [judged], "data": data, "caught": caught, "ratio": caught.ratio, "goal": GOAL},
        UNMEASURED,
    )


if __name__ == "__main__":
    command()
