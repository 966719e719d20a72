"""The exact probability that each of several independent Beta posteriors has the greatest rate.

    p_f = integral of f_f(x) * product over g != f of F_g(x)

Integrated over y = log(x / (1 - x)), where the density is x**A * (1-x)**B: smooth and log-concave for
every shape, without the poles that the density in x has for shapes below 1. Each arm brings nodes evenly
spaced in the signed root of its own deviance, on which it looks nearly normal; the union of all nodes
resolves sharp and flat posteriors together. Values and slopes are both known at the nodes, so each cell
is integrated by the trapezium with end correction (fourth order).
"""

import numpy as np

from nearcast_bandit.arrays import Floats

NODES_PER_SIDE = 128
# A node at root deviance 8.5 has a density e**-36 of the mode's.
DEEPEST_ROOT = 8.5
# Where the nodes are need not be exact.
_CLOSE = 1e-4
_MOST_STEPS = 60
_TINY = 1e-200


def best_probabilities(a: Floats, b: Floats) -> Floats:
    """The chance that each of Beta(a[i], b[i]) is the greatest; they add up to 1."""
    if a.size == 1:
        return np.ones(1)
    a, b = a[:, None], b[:, None]
    nodes = _union_nodes(a, b)
    widths = np.diff(nodes)
    density, slope, below = _distribution(a, b, nodes, widths)
    others = _products_without_self(below)
    hazards = (1 - np.eye(a.size)) @ (density / np.maximum(below, _TINY))
    values = density * others
    slopes = slope * others + values * hazards
    chances = np.maximum(_cells(values, slopes, widths).sum(axis=1), 0)
    result: Floats = chances / chances.sum()
    return result


def ways_from_mode(a: Floats, b: Floats, roots: Floats) -> tuple[Floats, Floats]:
    """How far left and right of the mode the root deviance is that great; roots ascend from 0."""
    return _depths(a, b, 0.5 * roots**2), _depths(b, a, 0.5 * roots**2)


def _union_nodes(a: Floats, b: Floats) -> Floats:
    left, right = ways_from_mode(a, b, np.linspace(0, DEEPEST_ROOT, NODES_PER_SIDE + 1))
    mode = np.log(a) - np.log(b)
    nodes: Floats = np.unique(np.concatenate((mode - left, mode + right)))
    return nodes


def _depths(a: Floats, b: Floats, deviances: Floats) -> Floats:
    """How far left of the mode the log density has fallen by each deviance; (b, a) gives the right side."""
    mode = np.log(a) - np.log(b)
    # The fall is convex, and at least a * depth - (a + b) * log(1 + a / b): Newton comes from above.
    depths: Floats = (deviances[1:] + (a + b) * np.log1p(a / b)) / a
    for _ in range(_MOST_STEPS):
        places = mode - depths
        slopes = a - (a + b) * np.exp(-np.logaddexp(0, -places))
        steps = (_fall(a, b, mode, places) - deviances[1:]) / np.maximum(slopes, _TINY)
        depths = depths - np.clip(steps, 0, 0.75 * depths)
        if (steps < _CLOSE * depths).all():
            break
    return np.concatenate((np.zeros_like(a), depths), axis=1)


def _fall(a: Floats, b: Floats, mode: Floats, y: Floats) -> Floats:
    """The log density at the mode minus that at y."""
    left: Floats = a * (np.logaddexp(0, -y) - np.logaddexp(0, -mode))
    right: Floats = b * (np.logaddexp(0, y) - np.logaddexp(0, mode))
    return left + right


def density_shape(a: Floats, b: Floats, y: Floats) -> Floats:
    """The density of log(x / (1 - x)) as a share of that at the mode."""
    shape: Floats = np.exp(-_fall(a, b, np.log(a) - np.log(b), y))
    return shape


def _distribution(a: Floats, b: Floats, nodes: Floats, widths: Floats) -> tuple[Floats, Floats, Floats]:
    """Density, its slope and the cumulated probability of each arm at the nodes."""
    density = density_shape(a, b, nodes)
    rate = np.exp(-np.logaddexp(0, -nodes))
    slope = density * (a * (1 - rate) - b * rate)
    below = np.zeros_like(density)
    np.cumsum(_cells(density, slope, widths), axis=1, out=below[:, 1:])
    mass = below[:, -1:].copy()
    return density / mass, slope / mass, np.clip(below / mass, 0, 1)


def _cells(values: Floats, slopes: Floats, widths: Floats) -> Floats:
    """The integral over each cell, from values and slopes at its ends."""
    trapeziums = 0.5 * widths * (values[:, :-1] + values[:, 1:])
    corrections: Floats = widths * widths / 12 * (slopes[:, :-1] - slopes[:, 1:])
    return trapeziums + corrections


def _products_without_self(rows: Floats) -> Floats:
    """For each row the product of all the others, without a division that a zero would spoil."""
    before, after = np.ones_like(rows), np.ones_like(rows)
    np.cumprod(rows[:-1], axis=0, out=before[1:])
    after[:-1] = np.cumprod(rows[:0:-1], axis=0)[::-1]
    return before * after
