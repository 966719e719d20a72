"""A long run: does memory stay, and do the counts? `python -m benchmarks.events.soak`."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack

import asyncpg
import click
from msgspec import Struct

from benchmarks.events.house import ROOT, House, Process, accounted, open_house, put_items
from benchmarks.events.load import sender
from benchmarks.events.memory import Sampler
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.watching import (
    GOAL_PERCENT,
    HEAD,
    WARM_UP,
    Judged,
    goals,
    judged,
    rows,
    wait_for_a_whole_hour,
    watch,
)
from nearcast_config.process import Keeper
from nearcast_store.redis_client import open_client

# So few that every place an item can be shown at is soon counted, and everyone has soon seen every item: what
# grows then has no reason to. A new hour begins new counts, so none begins while memory is judged.
ITEMS = 100
PEOPLE = 200
RATE_PER_S = 2_000.0
LOOK_EVERY_S = 0.1
GATEWAY_FROZEN_S = 2.0
DRAINED_WITHIN_S = 60.0
UNMEASURED = (
    "memory by its owner within a process",
    "what an hour's new counts take, and a day's new partitions",
    "files that are mapped, Postgres's shared buffers and the event log: they grow to a limit that is set",
)


class Soaked(Struct, frozen=True):
    """What a run found."""

    memory: Judged
    folded: int
    verified: bool
    verdict: str


async def _measure(minutes: float, rate_per_s: float) -> Soaked:
    await wait_for_a_whole_hour(minutes * 60)
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house())
        gateway = await house.start("gateway", "serve")
        keeper = await house.start("keeper", "keeper")
        await put_items(house, gateway, ITEMS)
        redis = open_client(house.endpoints.redis_url)
        stack.push_async_callback(redis.aclose)
        connection = await asyncpg.connect(house.endpoints.postgres_dsn)
        stack.push_async_callback(connection.close)
        load = await stack.enter_async_context(
            sender(house, gateway, batch=100, seconds=86_400.0, rate_per_s=rate_per_s, people=PEOPLE)
        )
        load.go()
        await load.hears("warm")
        sampler = Sampler(house, redis, connection)
        begun = await sampler.take()
        await _freeze(keeper, 2 * Keeper().batch_events / rate_per_s)
        await _freeze(gateway, GATEWAY_FROZEN_S)
        samples = [begun, *await watch(sampler, minutes * 60)]
        load.end()
        sent = (await load.sent()).all_events
        progress("verifying")
        folded = 0
        async with asyncio.timeout(DRAINED_WITHIN_S):
            while folded < sent:
                await asyncio.sleep(LOOK_EVERY_S)
                folded = await accounted(connection, house.tenant_id)
        verified = await asyncio.to_thread(_verify, house)
    return Soaked(judged(samples), folded, verified.returncode == 0, verified.stdout)


async def _freeze(process: Process, seconds: float) -> None:
    """So that it catches up, with as much in hand as it ever has; a busy machine does the same one day."""
    process.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        process.send(signal.SIGCONT)


def _verify(house: House) -> "subprocess.CompletedProcess[str]":
    argv = (sys.executable, "-m", "nearcast_cli", "verify-stats", "--tenant", "bench", "--json")
    environment = {**os.environ, "NEARCAST_POSTGRES__DSN": house.endpoints.postgres_dsn}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=20.0, show_default=True, help="How long.")
@click.option("--rate", default=RATE_PER_S, show_default=True, help="Events a second.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(minutes: float, rate: float, as_json: bool) -> None:
    """Send events at a steady rate, watch the memory of every process, and verify the counts in the end."""
    soaked = asyncio.run(_measure(minutes, rate))
    if not as_json:
        title = f"Own memory over {minutes:g} minutes at {rate:,.0f} events/s, judged from {WARM_UP:.0%} on"
        print_table(title, HEAD, rows(soaked.memory))
        samples = soaked.memory.samples
        first, warm, last = (samples[int((len(samples) - 1) * at)] for at in (0, WARM_UP, 1))
        print(f"\nCounts known: {first.counts:,}, {warm.counts:,}, {last.counts:,}.")
        print(f"The event log: {first.redis_log_kib / 1024:.1f} MiB, {last.redis_log_kib / 1024:.1f} MiB.")
        found = "no difference" if soaked.verified else f"differences:\n{soaked.verdict}"
        print(f"verify-stats of {soaked.folded:,} events: {found}.")
    data = f"{ITEMS:,} items, {PEOPLE:,} people, {rate:,.0f} events/s for {minutes:g} minutes"
    figures = {"rows": goals(soaked.memory), "data": data, "soaked": soaked, "goal_percent": GOAL_PERCENT}
    finish(as_json, figures, UNMEASURED)
    sys.exit(0 if soaked.verified else 1)


if __name__ == "__main__":
    command()
