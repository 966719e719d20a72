"""What learned priors cost: python -m benchmarks.priors [items]."""

import os
import sys
from time import process_time

import msgspec
import numpy as np

from nearcast_config.policy import Policy, Priors
from nearcast_ledger.kinds import BUILT_IN_KIND_NUMBERS, IMPRESSION, VIEW
from nearcast_server.priors import priors_of
from nearcast_statskeeper.priors import fit_of, seen_in, seen_together
from nearcast_store.counting.counted import CountColumns
from nearcast_store.counting.exposing import exposing
from nearcast_store.policies.protocol import Revision

_HOUR = 497_222
_NOW_S = _HOUR * 3600.0
_COUNTS_PER_ITEM = 10
_PAGE = 10_000
_MARKETS, _CATEGORIES = 100, 7


def some_counts(items: int) -> CountColumns:
    """Ten for each item, eight of them impressions, from the last twenty days."""
    rng, size = np.random.default_rng(2), items * _COUNTS_PER_ITEM
    one = np.ones(size, np.int64)
    return CountColumns(
        np.repeat(np.arange(1, items + 1), _COUNTS_PER_ITEM),
        0 * one,
        np.where(np.arange(size) % _COUNTS_PER_ITEM < 8, IMPRESSION, VIEW),
        _HOUR - rng.integers(20, 480, size),
        one,
        one,
        0 * one,
        rng.integers(1, 30, size),
    )


def main(arguments: list[str]) -> None:
    """Print a line for each step, in seconds of CPU."""
    items = int(arguments[0]) if arguments else 100_000
    policy = msgspec.structs.replace(Policy(), priors=Priors(mode="learned"))
    revision = Revision(1, 1, policy, BUILT_IN_KIND_NUMBERS, {}, {})
    kept = exposing(policy)
    counts = some_counts(items)
    began = process_time()
    pages = [
        seen_in(counts.take(slice(start, start + _PAGE)), revision, kept, _NOW_S)
        for start in range(0, len(counts), _PAGE)
    ]
    seen = seen_together(pages, len(policy.kinds))
    read = process_time()
    regions = {posting: (posting % _MARKETS, f"c{posting % _CATEGORIES}") for posting in range(1, items + 1)}
    placed = process_time()
    fit = fit_of(None, revision, kept, seen, regions, _NOW_S)
    fitted = process_time()
    priors_of(revision, fit)
    used = process_time()
    places = len(fit.priors[VIEW])
    print(f"{items:,} items, {len(counts):,} counts, {places} places, load {os.getloadavg()[0]:.1f}")
    print(f"evidence from counts   {read - began:7.3f} s")
    print(f"fit of {len(policy.kinds)} kinds         {fitted - placed:7.3f} s")
    print(f"a gateway takes it over{used - fitted:7.3f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
