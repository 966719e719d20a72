"""A long run: does memory stay, and do the counts? `python -m benchmarks.events.soak`."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import asyncpg
import click
from msgspec import Struct

from benchmarks.events.house import ROOT, House, Process, accounted, open_house, put_items
from benchmarks.events.load import sender
from benchmarks.events.memory import REDIS, Growth, Sample, Sampler, growth
from benchmarks.events.report import finish, print_table, progress
from nearcast_config.process import Keeper
from nearcast_store.redis_client import open_client

# So few that every place an item can be shown at is soon counted, and everyone has soon seen every item: what
# grows then has no reason to. A new hour begins new counts, so none begins while memory is judged.
ITEMS = 100
PEOPLE = 200
RATE_PER_S = 2_000.0
SAMPLE_EVERY_S = 5.0
LOOK_EVERY_S = 0.1
# Of the run, before memory is judged.
WARM_UP = 0.4
HOUR_S = 3_600.0
STARTS_WITHIN_S = 30.0
GATEWAY_FROZEN_S = 2.0
GOAL_PERCENT = 1.0
DRAINED_WITHIN_S = 60.0
# One percent of less than this is a few pages.
SMALLEST_KIB = 4_096.0
UNMEASURED = (
    "memory by its owner within a process",
    "what an hour's new counts take, and a day's new partitions",
    "files that are mapped, Postgres's shared buffers and the event log: they grow to a limit that is set",
)


class Soaked(Struct, frozen=True):
    """What a run found; memory is judged after the warm-up, and again in the second half of that."""

    samples: Sequence[Sample]
    judged: dict[str, Growth]
    at_last: dict[str, Growth]
    folded: int
    verified: bool
    verdict: str


async def _measure(minutes: float, rate_per_s: float) -> Soaked:
    if pause_s := _pause_s(minutes * 60, time.time()):
        progress(f"waiting {pause_s:.0f} s, so that no hour begins while memory is judged")
        await asyncio.sleep(pause_s)
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
        samples = [begun, *await _watch(sampler, minutes * 60)]
        load.end()
        sent = (await load.sent()).all_events
        progress("verifying")
        folded = 0
        async with asyncio.timeout(DRAINED_WITHIN_S):
            while folded < sent:
                await asyncio.sleep(LOOK_EVERY_S)
                folded = await accounted(connection, house.tenant_id)
        verified = await asyncio.to_thread(_verify, house)
    judged = samples[int(len(samples) * WARM_UP) :]
    at_last = growth(judged[len(judged) // 2 :])
    return Soaked(samples, growth(judged), at_last, folded, verified.returncode == 0, verified.stdout)


def _pause_s(whole_s: float, now_s: float) -> float:
    """How long to wait for the hour to turn, when it would while memory is judged."""
    turns_in_s = HOUR_S - now_s % HOUR_S
    judged_from_s, judged_s = whole_s * WARM_UP, whole_s * (1 - WARM_UP)
    if judged_s < HOUR_S and judged_from_s < turns_in_s < whole_s + STARTS_WITHIN_S:
        return turns_in_s
    return 0.0


async def _freeze(process: Process, seconds: float) -> None:
    """So that it catches up, with as much in hand as it ever has; a busy machine does the same one day."""
    process.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        process.send(signal.SIGCONT)


async def _watch(sampler: Sampler, seconds: float) -> list[Sample]:
    samples = [await sampler.take()]
    while samples[-1].at_s < seconds:
        await asyncio.sleep(SAMPLE_EVERY_S)
        samples.append(await sampler.take())
    return samples


def _verify(house: House) -> "subprocess.CompletedProcess[str]":
    argv = (sys.executable, "-m", "nearcast_cli", "verify-stats", "--tenant", "bench", "--json")
    environment = {**os.environ, "NEARCAST_POSTGRES__DSN": house.endpoints.postgres_dsn}
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _rows(soaked: Soaked) -> list[tuple[object, ...]]:
    begun = soaked.samples[0].kib
    return [
        (
            name,
            begun[name] / 1024 if name in begun else "",
            held.first_kib / 1024,
            held.last_kib / 1024,
            f"{held.trend_kib:+.0f}",
            f"{held.percent:+.2f}",
            f"{soaked.at_last[name].percent:+.2f}",
        )
        for name, held in soaked.judged.items()
        if held.last_kib >= SMALLEST_KIB or name == REDIS
    ]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=20.0, show_default=True, help="How long.")
@click.option("--rate", default=RATE_PER_S, show_default=True, help="Events a second.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(minutes: float, rate: float, as_json: bool) -> None:
    """Send events at a steady rate, watch the memory of every process, and verify the counts in the end."""
    soaked = asyncio.run(_measure(minutes, rate))
    if not as_json:
        head = (
            "",
            "MiB at start",
            "warm",
            "last",
            "KiB per 10 min",
            f"% (goal {GOAL_PERCENT:g})",
            "% at last",
        )
        print_table(
            f"Own memory over {minutes:g} minutes at {rate:,.0f} events/s, judged from {WARM_UP:.0%} on",
            head,
            _rows(soaked),
        )
        first, warm, last = (soaked.samples[int((len(soaked.samples) - 1) * at)] for at in (0, WARM_UP, 1))
        print(f"\nCounts known: {first.counts:,}, {warm.counts:,}, {last.counts:,}.")
        print(f"The event log: {first.redis_log_kib / 1024:.1f} MiB, {last.redis_log_kib / 1024:.1f} MiB.")
        found = "no difference" if soaked.verified else f"differences:\n{soaked.verdict}"
        print(f"verify-stats of {soaked.folded:,} events: {found}.")
    finish(as_json, {"soaked": soaked, "goal_percent": GOAL_PERCENT}, UNMEASURED)
    sys.exit(0 if soaked.verified else 1)


if __name__ == "__main__":
    command()
