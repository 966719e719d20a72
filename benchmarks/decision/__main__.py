"""One decision in process, beside what others take to find the same: `python -m benchmarks.decision`."""

import asyncio
import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.decision.world import (
    CITIES,
    LIMIT,
    RADIUS_M,
    SEED,
    World,
    make_world,
    places_with,
    queries,
    ring_around,
)
from benchmarks.events.report import finish, print_table, progress
from benchmarks.goals import Row, at_most, told
from benchmarks.peers.duckdb import REQUIREMENT, open_duckdb
from benchmarks.peers.installing import PeerMissingError, bring, peers_folder
from benchmarks.peers.postgres import fill, open_earthdistance
from benchmarks.peers.question import AT_RANDOM, NEAREST, Calls, Peer
from benchmarks.peers.redis import Redis, geosearch, load, plain_way
from benchmarks.peers.sqlite import open_rtree
from nearcast_cli.embedded import EmbeddedServers, Endpoints
from nearcast_compiling.native import IS_NATIVE, WHY_NOT
from nearcast_geo.outline import quick_outline
from nearcast_geo.point import Point
from nearcast_replica.answering import Answerer, answerer
from nearcast_replica.twin import Twin

CANDIDATES = (40, 400, 8_000)
KINDS = (1, 3)
GOALS = {1: 1 / 20, 3: 1 / 10}
CORNERS = (20, 2_000)
# With 40 candidates there is next to nothing to save.
GOALS_FROM = 200
POINTS = 25
GEOSEARCH = "GEOSEARCH"
LACKS = {
    GEOSEARCH: "ids alone: no filter, no expiry, no order but by distance; does not learn",
    "plain way": "no exclusions, tags, caps, tokens or pages",
    "numpy twin": "nothing: the same decision without machine code",
}
UNMEASURED = (
    "the answer's messages and the call around the decision",
    "a segment that is written to meanwhile",
    "Redis and Postgres on machines of their own, or asked by several at once",
)


class Cell(msgspec.Struct, frozen=True):
    """One way at one number of candidates. Of each point the least of its rounds, and of those the median:
    other work falls on long calls more than on short ones, and would flatter the short. `ratio` is that
    to GEOSEARCH's.
    """

    candidates: int
    way: str
    least_us: float
    median_us: float
    p99_us: float
    ratio: float


def _ways(world: World, redis: Redis, peers: Sequence[Peer], wanted: int) -> tuple[int, dict[str, Calls]]:
    points = places_with(world, wanted, POINTS)
    left_out = np.arange(1, 51, dtype=np.int64)
    kernel, twin = answerer(), Twin()
    segment, names = world.segment, world.dictionaries
    ways: dict[str, Calls] = {GEOSEARCH: geosearch(redis, points)}
    shown = 0
    for kinds in KINDS:
        asked = queries(points, kinds, left_out)
        ways[_decision(kinds)] = [partial(kernel.answer, segment, names, query) for query in asked]
        ways[f"numpy twin, kinds: {kinds}"] = [partial(twin.answer, segment, names, query) for query in asked]
        ways[f"plain way, kinds: {kinds}"] = plain_way(redis, points, kinds)
        if kinds == 1:
            ways |= _in_areas(world, kernel, points, left_out)
        shown = int(np.median([kernel.answer(segment, names, query).eligible for query in asked]))
    for peer in peers:
        ways |= {f"{peer.name}, {what}": calls for what, calls in peer.ways(points).items()}
    return shown, ways


def _in_areas(
    world: World, kernel: Answerer, points: Sequence[Point], left_out: NDArray[np.int64]
) -> dict[str, Calls]:
    """The same decisions within a polygon that leaves nothing out: what it costs to make sure of that."""
    ways: dict[str, Calls] = {}
    for corners in CORNERS:
        area = ring_around(points, corners)
        asked = queries(points, 1, left_out, area)
        ways[f"decision, {corners:,} corners"] = [
            partial(kernel.answer, world.segment, world.dictionaries, query) for query in asked
        ]
        ways[f"a new polygon, {corners:,} corners"] = [partial(quick_outline.__wrapped__, area)] * len(points)
    return ways


def _decision(kinds: int) -> str:
    return f"decision, kinds: {kinds}"


def _brought(wanted: bool) -> tuple[Any, list[str]]:
    """DuckDB's package when it is wanted and to be had; why it is not."""
    if not wanted:
        return None, []
    try:
        return bring(REQUIREMENT, peers_folder()), []
    except PeerMissingError as missing:
        progress(f"left out: {missing}")
        return None, [str(missing)]


@contextmanager
def _filled(world: World, endpoints: Endpoints, duckdb: Any) -> Iterator[tuple[Redis, list[Peer]]]:
    """Redis and the peers."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as other:
        progress("filling Postgres, and meanwhile Redis and SQLite")
        # Its index takes longer than all the others, on a processor of its own where there is one.
        postgres = other.submit(lambda: asyncio.run(fill(endpoints.postgres_dsn, world)))
        redis = Redis(endpoints.redis_url)
        load(redis, world)
        peers: list[Peer] = [stack.enter_context(open_rtree(world))]
        if duckdb is not None:
            peers.append(stack.enter_context(open_duckdb(duckdb, world)))
        postgres.result()
        peers.append(stack.enter_context(open_earthdistance(endpoints.postgres_dsn)))
        yield redis, peers


def _timed(ways: Mapping[str, Calls], rounds: int) -> dict[str, list[float]]:
    """Ways take turns, so that a slow moment of the machine falls on all of them."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    gc.disable()
    for turn in range(rounds + 1):
        for name, calls in ways.items():
            for call in calls:
                begun = time.perf_counter_ns()
                call()
                if turn:
                    taken[name].append((time.perf_counter_ns() - begun) / 1_000)
    gc.enable()
    return taken


def cells(shown: int, taken: Mapping[str, Sequence[float]]) -> list[Cell]:
    least = {
        name: float(np.median(np.reshape(each, (-1, POINTS)).min(axis=0))) for name, each in taken.items()
    }
    return [
        Cell(
            *(shown, name, least[name], float(np.median(each)), float(np.percentile(each, 99))),
            least[name] / least[GEOSEARCH],
        )
        for name, each in taken.items()
    ]


def judged(measured: Sequence[Cell], peers: Sequence[str]) -> list[Row]:
    """The decision beside GEOSEARCH, and beside each other peer."""
    rows = []
    for shown in dict.fromkeys(cell.candidates for cell in measured):
        took = {cell.way: cell.least_us for cell in measured if cell.candidates == shown}
        for kinds in KINDS:
            what, ratio = _what(shown, kinds), took[_decision(kinds)] / took[GEOSEARCH]
            against = f"one {GEOSEARCH} of {RADIUS_M / 1000:g} km"
            goal = GOALS[kinds]
            rows.append(
                at_most(what, against, ratio, goal) if shown > GOALS_FROM else told(what, against, ratio)
            )
        # An index may stop after the nearest; to choose among all, by chance or by a draw, it looks at all.
        others = [f"{peer}, {what}" for peer in peers for what in (NEAREST, AT_RANDOM)]
        others.append("plain way, kinds: 1")
        decided = took[_decision(1)]
        rows += [told(_what(shown, 1), other, decided / took[other]) for other in others]
    return rows


def _what(shown: int, kinds: int) -> str:
    return f"one decision, {shown:,} candidates, {'one kind' if kinds == 1 else f'{kinds} kinds'}"


def _measure(world: World, rounds: int, duckdb: Any) -> tuple[list[Cell], dict[str, str]]:
    """And what each peer lacks."""
    found: list[Cell] = []
    with TemporaryDirectory(prefix="nearcast-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o711)
        endpoints = stack.enter_context(EmbeddedServers(directory / "state"))
        redis, peers = stack.enter_context(_filled(world, endpoints, duckdb))
        for wanted in CANDIDATES:
            progress(f"{wanted:,} candidates")
            shown, ways = _ways(world, redis, peers, wanted)
            found += cells(shown, _timed(ways, rounds))
        return found, {peer.name: peer.lacks for peer in peers}


@click.command()
@click.option("--items", default=1_000_000, show_default=True)
@click.option("--rounds", default=20, show_default=True)
@click.option("--quick", is_flag=True, help="Five rounds.")
@click.option("--peers", is_flag=True, help="Also those that are installed for this, into a folder apart.")
@click.option("--json", "as_json", is_flag=True)
def main(items: int, rounds: int, quick: bool, peers: bool, as_json: bool) -> None:
    """Filters, expiry and fifty exclusions on; every way in turn."""
    progress(f"machine code: {'yes' if IS_NATIVE else WHY_NOT}; making {items:,} items")
    duckdb, left_out = _brought(peers)
    measured, lacks = _measure(make_world(items), 5 if quick else rounds, duckdb)
    judgement = judged(measured, list(lacks))
    if not as_json:
        head = ("candidates", "way", "least us", "median us", "p99 us", f"least to {GEOSEARCH}'s")
        print_table("One decision", head, [msgspec.structs.astuple(each) for each in measured])
        goals = ", ".join(f"{goal:g} with {kinds} kind(s)" for kinds, goal in GOALS.items())
        print(f"Goal at 400 and 8,000 candidates: at most {goals}.")
        print_table("What it does not do", ("peer", "lacks"), list({**LACKS, **lacks}.items()))
    figures = {
        "rows": judgement,
        "data": f"{items:,} items in {CITIES} cities of Zipf sizes, seed {SEED}; the best {LIMIT}",
        "cells": measured,
        "lacks": {**LACKS, **lacks},
        "left_out": left_out,
        "machine_code": IS_NATIVE,
    }
    finish(as_json, figures, UNMEASURED)


if __name__ == "__main__":
    main()
