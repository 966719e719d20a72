"""Events end to end beside COPY: `python -m benchmarks.events`."""

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import get_args, get_type_hints

import click
import msgspec

from benchmarks.events.house import House, open_house, put_items
from benchmarks.events.peer import Copied, copy
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.throughput import Run, measure
from benchmarks.goals import at_least, at_most
from nearcast_config.process import Log

ITEMS = 2_000
BATCHES = (1, 20, 100, 500)
GOAL_RATE, GOAL_CPU = 0.25, 4.0
GOAL_BATCH, GOAL_DURABILITY = 100, "everysec"
# More events than a cell can take, made before it begins.
PREPARED_PER_S = 20_000
UNMEASURED = (
    "a network between the processes",
    "several gateways or keepers at once, or servers on machines of their own",
    "what it costs a sender to make events: ours has them ready",
    "replicated durability, which needs a second Redis",
)


class Cell(msgspec.Struct, frozen=True):
    """One measurement between two of COPY."""

    run: Run
    copied: Copied
    rate_ratio: float
    cpu_ratio: float


async def _cell(house: House, batch: int, durability: str, seconds: float, copy_s: float) -> Cell:
    gateway = await house.start("gateway", "serve", NEARCAST_LOG__DURABILITY=durability)
    before = await copy(house, copy_s, seed=1)
    prepared = int(min(PREPARED_PER_S, batch * 1_000) * seconds)
    run = await measure(house, gateway, batch, seconds, prepared=prepared)
    after = await copy(house, copy_s, seed=2)
    house.stop(gateway)
    copied = Copied((before.rows_per_s + after.rows_per_s) / 2, (before.cpu_us + after.cpu_us) / 2)
    return Cell(run, copied, run.events_per_s / copied.rows_per_s, run.cpu_us_of_all / copied.cpu_us)


async def _all(
    seconds: float, sustained_s: float, rounds: int, batches: Sequence[int], keepers: int
) -> dict[str, list[Cell]]:
    """The goal's cell `rounds` times, between the others."""
    durabilities = get_args(get_args(get_type_hints(Log, include_extras=True)["durability"])[0])
    offered = [each for each in durabilities if each != "replicated"]
    cells, goal = [], []
    async with open_house() as house:
        gateway = await house.start("gateway", "serve")
        await put_items(house, gateway, ITEMS)
        house.stop(gateway)
        for _ in range(keepers):
            await house.start("keeper", "keeper")
        others = [(batch, durability) for durability in offered for batch in batches]
        for turn in range(max(rounds, len(others))):
            if turn < rounds:
                goal.append(await _cell(house, GOAL_BATCH, GOAL_DURABILITY, sustained_s, 3.0))
                progress(_said(goal[-1]))
            if turn < len(others):
                cells.append(await _cell(house, *others[turn], seconds, 1.0))
                progress(_said(cells[-1]))
    return {"goal": goal, "cells": cells}


def _said(cell: Cell) -> str:
    run = cell.run
    return (
        f"batch {run.batch} {run.durability}: {run.events_per_s:,.0f} events/s, {cell.rate_ratio:.2f} of COPY"
    )


def _row(cell: Cell) -> list[object]:
    run, cpu = cell.run, cell.run.cpu_us
    used = [f"{cpu[name]:.1f}" for name in ("gateway", "keeper", "postgres", "redis", "sender")]
    return [
        run.durability,
        run.batch,
        run.events_per_s,
        run.sent.ack_p50_ms,
        run.sent.ack_p99_ms,
        *used,
        f"{run.cpu_us_of_all:.1f}",
        f"{run.backlog[0]:,}>{run.backlog[1]:,}",
        cell.copied.rows_per_s,
        f"{cell.copied.cpu_us:.1f}",
        f"{cell.rate_ratio:.3f}",
        f"{cell.cpu_ratio:.1f}",
    ]


HEAD = (
    "durability",
    "batch",
    "events/s",
    "ack p50 ms",
    "p99 ms",
    *("gateway us", "keeper us", "postgres us", "redis us", "sender us", "all us"),
    "backlog",
    "COPY rows/s",
    "COPY us",
    "rate ratio",
    "CPU ratio",
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=10.0, show_default=True, help="Of each cell of the table.")
@click.option("--sustained", default=60.0, show_default=True, help="Seconds of the goal's cell.")
@click.option("--rounds", default=5, show_default=True, help="How often the goal's cell is measured.")
@click.option("--keepers", default=1, show_default=True, help="How many fold.")
@click.option("--quick", is_flag=True, help="Ten seconds of the goal, once, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(seconds: float, sustained: float, rounds: int, keepers: int, quick: bool, as_json: bool) -> None:
    """Stream events to a gateway until they are acknowledged and folded, beside COPY into the same table.

    As fast as the keeper folds: a sender stops while more than 10,000 events wait.
    """
    if quick:
        seconds, sustained, rounds = 10.0, 10.0, 1
    batches = () if quick else BATCHES
    found = asyncio.run(_all(seconds, sustained, rounds, batches, keepers))
    rate, cpu = (
        median(getattr(cell, name) for cell in found["goal"]) for name in ("rate_ratio", "cpu_ratio")
    )
    if not as_json:
        if found["cells"]:
            print_table("Every batch and durability", HEAD, [_row(cell) for cell in found["cells"]])
        print_table("Sustained, 5 % repeats", HEAD, [_row(cell) for cell in found["goal"]])
        print(
            f"\nMedians: {rate:.3f} of COPY's rate (goal {GOAL_RATE:g}, stretch 0.5),"
            f" {cpu:.1f} x its CPU (goal {GOAL_CPU:g})."
        )
    rows = [
        at_least("events folded per second, batches of 100", "COPY into the same table", rate, GOAL_RATE),
        at_most("CPU per event, all processes", "COPY into the same table", cpu, GOAL_CPU),
    ]
    data = f"slates of {ITEMS:,} items, 5 % of the events sent twice, seed 1"
    finish(as_json, {"rows": rows, "data": data, **found, "rate_ratio": rate, "cpu_ratio": cpu}, UNMEASURED)


if __name__ == "__main__":
    command()
