"""What a logged decision costs more than another: `python -m benchmarks.decision.logged [ITEMS]`.

Priors are learned by category; "plain" are the bytes without what is kept of them.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

import numpy as np

from benchmarks.decision.world import CATEGORIES, KINDS, LIMIT, World, make_world, places_with, queries
from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_bandit.record import Circumstances, DecisionRecord, FeedChoice, Ordering, Outcome, Pool
from nearcast_bandit.redeciding import redecide
from nearcast_replica.answering import Answerer, answerer
from nearcast_replica.query import Found, Query
from nearcast_server.capturing import Capture
from nearcast_server.decisionrecords import begun
from nearcast_server.priors import Priors
from nearcast_store.decisions.codec import pack
from nearcast_store.priors.protocol import EVERYWHERE, Region

ITEMS, WANTED, PLACES, ROUNDS = 1_000_000, (400, 8_000), 20, 5
NUMBERS, WEIGHTS = tuple(kind for kind, _ in KINDS), tuple(weight for _, weight in KINDS)


def _priors() -> Priors:
    """Of everything and of every category, as a fit leaves them."""
    rng = np.random.default_rng(7)
    lines = [
        [
            LevelPrior(
                Prior(mean, strength), Level.CATEGORY, FitKind.FITTED, 900, 1e4 * mean, 1e3 * mean, mean
            )
            for mean, strength in zip(rng.uniform(0.01, 0.2, 3), rng.uniform(10, 90, 3), strict=True)
        ]
        for _ in range(CATEGORIES + 1)
    ]
    named: dict[Region, int] = {(0, f"category {number}"): number + 1 for number in range(CATEGORIES)}
    return Priors(lines, {EVERYWHERE: 0, **named}, 1, 1)


PRIORS = _priors()


def main(items: int) -> None:
    """A line for each number of candidates; the ways take turns."""
    world, kernel = make_world(items), answerer()
    print("candidates   answer captured  ratio    pack  replay    bytes    plain")
    for wanted in WANTED:
        asked = queries(places_with(world, wanted, PLACES), len(KINDS), np.empty(0, np.int64))
        print(_line(world, kernel, asked))
    print("milliseconds, medians; load", *(f"{each:.1f}" for each in os.getloadavg()))


def _line(world: World, kernel: Answerer, asked: list[Query]) -> str:
    capture = Capture(kernel, world.segment, world.dictionaries, NUMBERS, PRIORS)
    took: dict[str, list[float]] = {name: [] for name in ("answer", "captured", "pack", "replay")}
    for query in asked * ROUNDS:
        took["answer"].append(_ms(partial(kernel.answer, world.segment, world.dictionaries, query)))
        took["captured"].append(_ms(partial(capture.take, query)))
        found, pool = capture.take(query)
        assert pool is not None
        record = _record(query, found, pool, capture)
        plain = replace(record, beginnings=None, pool=replace(pool, lines=None))
        took["pack"].append(_ms(partial(_packed, query, found, pool, capture)))
        took["replay"].append(_ms(partial(redecide, record)))
    answer, captured, packing, replay = (statistics.median(took[name]) for name in took)
    return (
        f"{found.eligible:>10} {answer:>8.3f} {captured:>8.3f} {captured / answer:>6.1f}"
        f" {packing:>7.2f} {replay:>7.2f} {len(pack(record)):>8} {len(pack(plain)):>8}"
    )


def _packed(query: Query, found: Found, pool: Pool, capture: Capture) -> bytes:
    return pack(_record(query, found, pool, capture))


def _record(query: Query, found: Found, pool: Pool, capture: Capture) -> DecisionRecord:
    name = UUID("01990000-0000-7000-8000-000000000001")
    circumstances = Circumstances(
        name,
        1,
        query.now,
        "-",
        "share",
        1,
        1,
        "default",
        0,
        found.radius_used_m,
        found.truncated,
        found.eligible,
    )
    pool, beginnings = begun(replace(pool, lines=capture.lines()), PRIORS, None)
    return DecisionRecord(
        circumstances,
        FeedChoice((("draw", 1.0),), 0.5, 0.0, 0.5, resumed=False),
        Ordering("draw", NUMBERS, WEIGHTS, 1.0, 0, query.seed, LIMIT),
        (),
        Outcome("draw", 1.0, explore=False, postings=tuple(found.postings.tolist()), scores=()),
        pool,
        beginnings=beginnings,
    )


def _ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS)
