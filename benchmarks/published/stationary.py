"""How regret grows with time where nothing changes (Chapelle and Li 2011, figure 1; Lai and Robbins 1985).

One of K arms has a rate of 0.5, the others 0.5 - gap. No bandit that is always consistent grows slower than
`bound` times the logarithm of time, and Thompson sampling comes near it.
"""

import math

import numpy as np

from benchmarks.published.draws import draw_beta
from nearcast_bandit.arrays import Floats
from nearcast_bandit.native import first_word, stream_key, stream_root, uniform
from nearcast_compiling.native import compiled_entry

BOUNDS = {(10, 0.1): 44.70, (10, 0.02): 224.9, (100, 0.1): 491.7, (100, 0.02): 2474.0}
"""The published slope by (arms, gap)."""

LEAST_SLOPE, GREATEST_SLOPE = 28.0, 56.0
"""Where the slope of ten arms with a gap of 0.1 must lie between 100,000 and a million steps."""


def bound(arms: int, gap: float) -> float:
    """The sum over the lesser arms of gap / KL(their rate, the best rate)."""
    rate = 0.5 - gap
    divergence = rate * math.log(rate / 0.5) + (1 - rate) * math.log((1 - rate) / 0.5)
    return (arms - 1) * gap / divergence


@compiled_entry
def _lost(seed: np.uint64, arms: int, gap: float, delay: int, marks: Floats, lost: Floats) -> None:
    """Regret at each of the marks, which are rising numbers of steps."""
    a, b = np.ones(arms), np.ones(arms)
    known_a, known_b = np.ones(arms), np.ones(arms)
    so_far, step = 0.0, 0
    for mark in range(marks.size):
        while step < marks[mark]:
            if step % delay == 0:
                known_a[:], known_b[:] = a, b
            root = stream_root(seed, step)
            shown, highest = 0, -1.0
            for arm in range(arms):
                drawn = draw_beta(stream_key(root, arm), known_a[arm], known_b[arm])
                if drawn > highest:
                    shown, highest = arm, drawn
            missed = gap if shown else 0.0
            so_far += missed
            if uniform(first_word(stream_key(root, arms))) < 0.5 - missed:
                a[shown] += 1.0
            else:
                b[shown] += 1.0
            step += 1
        lost[mark] = so_far


def slopes(
    arms: int, gap: float, marks: tuple[int, ...], runs: int, delay: int = 100
) -> tuple[Floats, Floats]:
    """The slope of regret in the logarithm of time between marks, mean and standard error over runs."""
    steps, found = np.array(marks, dtype=np.float64), np.empty((runs, len(marks)))
    for run in range(runs):
        _lost(np.uint64(run + 1), arms, gap, delay, steps, found[run])
    each = np.diff(found, axis=1) / np.diff(np.log(steps))
    return each.mean(axis=0), each.std(axis=0, ddof=1) / math.sqrt(runs)
