"""What places for new items and caps add to a decision: `python -m benchmarks.decision.budget [ITEMS]`."""

import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from msgspec.structs import replace

from benchmarks.decision.world import KINDS, LIMIT, World, make_world, places_with, queries
from nearcast_bandit.arranging import Diversity
from nearcast_bandit.reserving import Budget
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.answering import Answerer, answerer
from nearcast_replica.columns import build_segment
from nearcast_replica.query import Found, Query
from nearcast_server.arranging import Plan, Traits, arrange

ITEMS, WANTED, PLACES, ROUNDS = 1_000_000, (400, 8_000), 20, 25
UNTIL, CAPPED, SEED = 100, 10_000, 3


class Rows:
    """What a gateway does with an answer of two sides."""

    def __init__(self, world: World, kernel: Answerer, query: Query) -> None:
        self._ask = partial(kernel.answer, world.segment, world.dictionaries)
        self._query = query

    def best(self, count: int) -> list[Traits]:
        found: Found = self._ask(replace(self._query, limit=count, new_until=UNTIL))
        ranked = np.lexsort((found.postings, -found.scores))
        postings, is_new = found.postings[ranked].tolist(), (ranked < found.newcomers).tolist()
        return [Traits(posting, "", "", new) for posting, new in zip(postings, is_new, strict=True)]

    def eligible(self, _: object) -> list[Traits | None]:
        return []

    def known(self, _: object) -> list[Traits]:
        return []


def main(items: int) -> None:
    """A line for each number of candidates; the ways take turns, and ratios are of medians."""
    world, kernel = _told(make_world(items)), answerer()
    rng = np.random.default_rng(SEED)
    capped = np.sort(rng.choice(items, min(CAPPED, items // 10), replace=False) + 1).astype(np.int64)
    print("candidates    plain    capped  kept, kernel  kept, slate")
    for wanted in WANTED:
        asked = queries(places_with(world, wanted, PLACES), len(KINDS), np.empty(0, np.int64))
        print(_line(world, kernel, asked, capped))
    print("microseconds, medians; load", *(f"{each:.1f}" for each in os.getloadavg()))


def _told(world: World) -> World:
    """How often items were shown is told as well: half of them are new."""
    segment = build_segment(world.records, (*world.segment.shape.kinds, IMPRESSION))
    segment["stats"][:-1] = world.segment["stats"]
    segment["stats"][-1] = np.random.default_rng(SEED).integers(0, 2 * UNTIL, segment.shape.slots)
    return World(segment, world.dictionaries, world.records, world.a, world.b)


def _line(world: World, kernel: Answerer, asked: list[Query], capped: np.ndarray) -> str:
    plan = Plan(Diversity(), (), (), Budget(0.1, 0.3), UNTIL, 1, SEED)
    took: list[list[float]] = [[], [], [], []]
    answer = partial(kernel.answer, world.segment, world.dictionaries)
    for query in asked * ROUNDS:
        works: list[Callable[[], object]] = [
            partial(answer, query),
            partial(answer, replace(query, capped=capped)),
            partial(answer, replace(query, new_until=UNTIL)),
            partial(arrange, Rows(world, kernel, query), plan, LIMIT),
        ]
        for times, work in zip(took, works, strict=True):
            began = time.perf_counter()
            work()
            times.append(1e6 * (time.perf_counter() - began))
        eligible = answer(query).eligible
    plain, *others = map(statistics.median, took)
    told = " ".join(f"{each:>7.1f} ({each / plain:.2f})" for each in others)
    return f"{eligible:>10} {plain:>8.1f} {told}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS)
