"""What a second worker costs: `python -m benchmarks.workers`."""

import asyncio
import sys
from statistics import median
from typing import Any

import click
import grpc
import msgspec

from benchmarks.events.house import ROOT, House, Process, open_house, put_items
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.usage import cpu_s, family
from benchmarks.goals import at_least
from benchmarks.workers.load import QUESTION, Answered, Job
from nearcast.v1 import recommend_pb2_grpc

ITEMS = 2_000
CONNECTIONS, UNDER_WAY = 16, 2
WARM_S = 2.0
GOAL = 0.9
PATIENCE_S = 60.0
UNMEASURED = (
    "what several workers answer in a second on cores of their own: the sender and the servers share these",
    "more than two workers",
    "people with a history, and events",
)


class Run(msgspec.Struct, frozen=True):
    """One measurement of a gateway with so many workers; processor time is of all its processes."""

    workers: int
    calls_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    calls_per_cpu_s: float
    smaller_share: float


async def _filled(house: House, gateway: Process) -> None:
    """Items, carried to the index by a keeper that then ends."""
    await put_items(house, gateway, ITEMS)
    keeper = await house.start("keeper", "keeper")
    async with (
        grpc.aio.insecure_channel(house.address(gateway)) as channel,
        asyncio.timeout(PATIENCE_S),
    ):
        stub = recommend_pb2_grpc.RecommendServiceStub(channel)
        found = 0
        while found < QUESTION.limit:
            found = len((await stub.Recommend(QUESTION, metadata=house.metadata)).items)
            await asyncio.sleep(0.1)
    await asyncio.sleep(WARM_S)
    house.stop(keeper)


async def _measure(house: House, gateway: Process, workers: int, seconds: float) -> Run:
    job = Job(house.address(gateway), house.key, CONNECTIONS, UNDER_WAY, WARM_S, seconds)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.workers.load", msgspec.json.encode(job).decode()),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout
    pid = gateway.child.pid
    try:
        await _hears(process.stdout, "begun")
        before = {each: cpu_s(each) for each in family(pid)}
        await _hears(process.stdout, "done")
        used = {each: cpu_s(each) - began for each, began in before.items()}
        answered = msgspec.convert((await _hears(process.stdout, "answered"))["answered"], Answered)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    own = [used[each] for each in used if each != pid] if workers > 1 else [used[pid]]
    return Run(
        workers,
        answered.calls / answered.seconds,
        answered.p50_ms,
        answered.p99_ms,
        1e6 * used[pid] / answered.calls,
        answered.calls / used[pid],
        min(own) / sum(own),
    )


async def _hears(lines: asyncio.StreamReader, event: str) -> dict[str, Any]:
    while line := await lines.readline():
        said: dict[str, Any] = msgspec.json.decode(line)
        if said["event"] == event:
            return said
    raise RuntimeError(f"the load ended before it was {event}")


async def _all(seconds: float, rounds: int) -> list[tuple[Run, Run]]:
    """In turns, so that a busy machine is busy for both."""
    pairs = []
    async with open_house() as house:
        one = await house.start("gateway", "serve")
        await _filled(house, one)
        two = await house.start("workers", "serve", "--workers", "2")
        for _ in range(rounds):
            alone = await _measure(house, one, 1, seconds)
            both = await _measure(house, two, 2, seconds)
            pairs.append((alone, both))
            progress(f"{alone.calls_per_s:,.0f} and {both.calls_per_s:,.0f} calls/s")
    return pairs


def _row(run: Run) -> list[object]:
    return [
        run.workers,
        run.calls_per_s,
        run.p50_ms,
        run.p99_ms,
        run.cpu_us,
        run.calls_per_cpu_s,
        run.smaller_share,
    ]


HEAD = ("workers", "calls/s", "p50 ms", "p99 ms", "CPU us/call", "calls/CPU s", "less busy one's share")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option("--rounds", default=7, show_default=True, help="How often each is measured, in turns.")
@click.option("--quick", is_flag=True, help="Three rounds of five seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(seconds: float, rounds: int, quick: bool, as_json: bool) -> None:
    """Recommend over 16 connections, by one worker and by two: calls per second of their processor time."""
    if quick:
        seconds, rounds = 5.0, 3
    pairs = asyncio.run(_all(seconds, rounds))
    ratio = median(both.calls_per_cpu_s / alone.calls_per_cpu_s for alone, both in pairs)
    if not as_json:
        print_table("Recommend, in turns", HEAD, [_row(run) for pair in pairs for run in pair])
        print(
            f"\nMedian: two workers answer {ratio:.3f} of what one does with a second of CPU (goal {GOAL})."
        )
    row = at_least("calls per CPU second, two workers, Recommend", "one process", ratio, GOAL)
    data = f"{ITEMS:,} items on one line, about 400 of them candidates of each question"
    finish(as_json, {"rows": [row], "data": data, "pairs": pairs, "calls_per_cpu_s_ratio": ratio}, UNMEASURED)


if __name__ == "__main__":
    command()
