"""Thompson sampling of items that come and go, with feedback in batches (Chapelle and Li 2011, table 1).

Ten items with rates from Beta(4, 4); in each step one of them is replaced with a chance of 1/1000, one is
shown, and what it earned is told to the bandit every so many steps. The prior is Beta(1, 1). Draws are those
of the gateway's machine code.
"""

import numpy as np

from benchmarks.published.draws import draw_beta
from nearcast_bandit.native import first_word, stream_key, stream_root, uniform
from nearcast_compiling.native import compiled_entry

STEPS = 1_000_000
PUBLISHED = {1: 9_105, 3: 9_199, 10: 9_049, 32: 9_451, 100: 11_550, 316: 21_594, 1000: 59_256}
"""Regret after a million steps by the number of steps between feedbacks; the mean of 100 runs."""

AT_ONCE = {1: 9_431, 3: 9_721, 10: 9_632, 32: 9_942, 100: 11_060, 316: 16_798, 1000: 34_691}
"""What nearcast measured first where the bandit hears of a replacement at once; nothing is published."""


@compiled_entry
def regret(seed: np.uint64, steps: int, delay: int, is_told_at_once: bool) -> float:
    """What was lost to the best item of each step."""
    items = 10
    rates, known_a, known_b = np.empty(items), np.ones(items), np.ones(items)
    a, b = np.ones(items), np.ones(items)
    births = stream_root(seed, 0)
    born = 0
    for item in range(items):
        rates[item] = draw_beta(stream_key(births, born), 4.0, 4.0)
        born += 1
    lost = 0.0
    for step in range(steps):
        root = stream_root(seed, step + 1)
        if uniform(first_word(stream_key(root, items))) < 0.001:
            item = int(uniform(first_word(stream_key(root, items + 1))) * items)
            rates[item] = draw_beta(stream_key(births, born), 4.0, 4.0)
            born += 1
            a[item] = b[item] = 1.0
            if is_told_at_once:
                known_a[item] = known_b[item] = 1.0
        if step % delay == 0:
            known_a[:], known_b[:] = a, b
        shown, highest, best = 0, -1.0, 0.0
        for item in range(items):
            drawn = draw_beta(stream_key(root, item), known_a[item], known_b[item])
            if drawn > highest:
                shown, highest = item, drawn
            best = max(best, rates[item])
        lost += best - rates[shown]
        if uniform(first_word(stream_key(root, items + 2))) < rates[shown]:
            a[shown] += 1.0
        else:
            b[shown] += 1.0
    return lost


def mean_regret(delay: int, is_told_at_once: bool, runs: int, steps: int = STEPS) -> tuple[float, float]:
    """The mean over runs with seeds of their own, and its standard error."""
    found = np.array([regret(np.uint64(run + 1), steps, delay, is_told_at_once) for run in range(runs)])
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(runs))
