"""What it costs to multiply the scores of a decision: `python -m benchmarks.decision.factored [ITEMS]`."""

import os
import statistics
import sys
import time

import numpy as np
from msgspec.structs import replace

from benchmarks.decision.world import KINDS, OWNERS, make_world, places_with, queries
from nearcast_bandit.factors import Boost, Factors
from nearcast_replica.answering import answerer

ITEMS, WANTED, PLACES, ROUNDS = 1_000_000, (400, 8_000), 25, 20
CATEGORY, OWNER = Boost("category", "category 3", 2.0), Boost("owner", "owner 7", 3.0)
TAGS = tuple(Boost("tag", f"tag {number}", 1.5) for number in range(10, 13))
SEEN = frozenset(np.random.default_rng(1).choice(ITEMS, 100, replace=False).tolist())
MANY = tuple(Boost("owner", f"owner {number}", 3.0) for number in range(0, OWNERS, OWNERS // 62))
WAYS = {
    "none": None,
    "a category": Factors((CATEGORY,)),
    "+ 3 tags, an owner": Factors((CATEGORY, *TAGS, OWNER)),
    "100 seen": Factors(seen_share=0.5, faded=SEEN),
    "distance": Factors(distance_half_m=1500.0),
    "all of these": Factors((CATEGORY, *TAGS, OWNER), 1500.0, 0.5, SEEN),
    "63 owners": Factors(MANY),
}


def main(items: int) -> None:
    """Ways take turns; of each place the least of its rounds, and of those the median."""
    world, kernel = make_world(items), answerer()
    for wanted in WANTED:
        asked = queries(places_with(world, wanted, PLACES), len(KINDS), np.empty(0, np.int64))
        least = {name: [float("inf")] * PLACES for name in WAYS}
        for _ in range(ROUNDS):
            for place, query in enumerate(asked):
                for name, factors in WAYS.items():
                    question = replace(query, factors=factors)
                    began = time.perf_counter_ns()
                    found = kernel.answer(world.segment, world.dictionaries, question)
                    took = (time.perf_counter_ns() - began) / 1e3
                    least[name][place] = min(least[name][place], took)
        plain = statistics.median(least["none"])
        print(f"{found.eligible} candidates")
        for name, each in least.items():
            print(f"  {name:<20} {statistics.median(each):>8.1f} us {statistics.median(each) / plain:>6.2f}")
    print("load", *(f"{each:.1f}" for each in os.getloadavg()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ITEMS)
