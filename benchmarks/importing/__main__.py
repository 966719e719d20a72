"""The whole way of a catalogue, from a file to the index: `python -m benchmarks.importing`."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import click
from msgspec import Struct

from benchmarks.events.house import ROOT, House, Process, open_house
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.usage import cpu_by_name
from benchmarks.goals import Row, told
from benchmarks.importing.carrying import carried
from benchmarks.importing.catalogue import TOWNS, write_catalogue
from benchmarks.importing.peer import copy
from nearcast_store.redis_client import open_client

CARRIED = 2
HEAD = ("stage", "seconds", "items/s", "x COPY")
UNMEASURED = ("a network between the processes", "several gateways", "items that are there already")


class Stage(Struct, frozen=True):
    """One part of the way, from its own beginning."""

    name: str
    seconds: float
    items_per_s: float


class Measured(Struct, frozen=True):
    """A catalogue of so many items; processor time by process, from the first line to the last in Redis."""

    items: int
    bytes: int
    stages: list[Stage]
    cpu_us_per_item: dict[str, float]


async def _measure(items: int, seed: int, options: tuple[str, ...]) -> Measured:
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house())
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="nearcast-import-")))
        file = directory / "items.ndjson"
        size = write_catalogue(file, items, seed)
        gateway, _keeper = await house.start("gateway", "serve"), await house.start("keeper", "keeper")
        redis = open_client(house.endpoints.redis_url)
        stack.push_async_callback(redis.aclose)
        connection = await asyncpg.connect(house.endpoints.postgres_dsn)
        stack.push_async_callback(connection.close)
        progress(f"{items:,} items, {size / 1e6:,.0f} MB")
        checked_s, _ = await _import(house, gateway, file, ("--check",))
        began, before = time.perf_counter(), cpu_by_name(house.pids)
        imported_s, client_s = await _import(house, gateway, file, options)
        carried_s = await carried(house, connection, redis, began)
        used = {name: spent - before[name] for name, spent in cpu_by_name(house.pids).items()}
        progress("COPY of the same rows")
        copied_s, copy_cpu_s = await copy(house, connection, directory / "rows")
    seconds = {
        "read and checked, no server": checked_s,
        "acknowledged (Postgres and outbox)": imported_s,
        "in Redis, from the first line": carried_s,
        "COPY into the same table": copied_s,
    }
    used = {**used, "client": client_s, "COPY": copy_cpu_s}
    return Measured(
        items,
        size,
        [Stage(name, took_s, items / took_s) for name, took_s in seconds.items()],
        {name: spent / items * 1e6 for name, spent in used.items()},
    )


async def _import(
    house: House, gateway: Process, file: Path, options: tuple[str, ...]
) -> tuple[float, float]:
    """Seconds, and seconds of processor time of the command."""
    began, used = time.perf_counter(), _children_s()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nearcast_cli", "items", "import", str(file), "--json", *options),
        *("--address", house.address(gateway), "--api-key", house.key),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await child.communicate()
    if child.returncode != 0:
        raise RuntimeError(f"the import ended with {child.returncode}: {json.loads(said)}")
    return time.perf_counter() - began, _children_s() - used


def _children_s() -> float:
    """Of children that have ended; the servers run on."""
    times = os.times()
    return times.children_user + times.children_system


def _print(measured: Measured) -> None:
    copied = measured.stages[-1].seconds
    rows: list[tuple[Any, ...]] = [
        (stage.name, stage.seconds, stage.items_per_s, stage.seconds / copied) for stage in measured.stages
    ]
    print_table(f"{measured.items:,} items, {measured.bytes / 1e6:,.0f} MB", HEAD, rows)
    print_table(
        "Processor time per item",
        ("process", "µs"),
        [(name, spent) for name, spent in measured.cpu_us_per_item.items()],
    )


def judged(imports: Sequence[Measured]) -> list[Row]:
    """No goal: COPY checks nothing and carries nothing to Redis."""
    return [
        told(
            f"import of {each.items:,} items, until in Redis",
            "COPY into the same table",
            each.stages[CARRIED].seconds / each.stages[-1].seconds,
        )
        for each in imports
    ]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--items", multiple=True, type=int, default=(100_000,), show_default=True, help="Repeatable.")
@click.option("--seed", default=1, show_default=True, help="Of the catalogue.")
@click.option("--option", "options", multiple=True, help="Handed to `items import`, such as --parallel=8.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(items: tuple[int, ...], seed: int, options: tuple[str, ...], as_json: bool) -> None:
    """Import a catalogue with the command, wait until Redis has it, and COPY the same rows beside it."""
    found = [asyncio.run(_measure(count, seed, options)) for count in items]
    if not as_json:
        for measured in found:
            _print(measured)
    data = f"offers around {TOWNS} towns of Zipf sizes, seed {seed}"
    finish(as_json, {"rows": judged(found), "data": data, "imports": found}, UNMEASURED)


if __name__ == "__main__":
    command()
