"""The distributions of several scores on one set of points, fit for integrals over their products.

Independent Beta posteriors are tabulated over y = log(x / (1 - x)), where each is smooth and log-concave. The
cells are cut by the signed root of the deviance of whichever posterior is sharpest there, so flat and sharp
ones are resolved together and a crowd of alike ones costs no more than one. Within a cell density and
cumulated probability stand at the three points of Gauss: collocation, so no slope is needed.
"""

import math
from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.quadrature import DEEPEST_ROOT, density_shape, ways_from_mode

# Gauss-Legendre of three points on [0, 1]: where, how much, and the integrals from 0 to each point.
_ROOT = math.sqrt(15)
GAUSS_POINTS = np.array([0.5 - _ROOT / 10, 0.5, 0.5 + _ROOT / 10])
GAUSS_WEIGHTS = np.array([5 / 18, 8 / 18, 5 / 18])
GAUSS_UP_TO = np.array(
    [
        [5 / 36, 2 / 9 - _ROOT / 15, 5 / 36 - _ROOT / 30],
        [5 / 36 + _ROOT / 24, 2 / 9, 5 / 36 - _ROOT / 24],
        [5 / 36 + _ROOT / 30, 2 / 9 + _ROOT / 15, 5 / 36],
    ]
)
# The chance of "exactly r others are above" changes over about 1 / sqrt(k) of a posterior's width.
_STEP = 1.0
_SAMPLES_PER_SIDE = 16


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """A row per score, a column per point, ascending: the mass at the point and the probability below it.

    `points` are the scores where they are those of a sum, and None for rates alone.
    """

    mass: Floats
    below: Floats
    points: Floats | None = None


def beta_table(a: Floats, b: Floats, k: int = 1) -> ScoreTable:
    """The distributions of Beta(a[i], b[i]), fine enough for the ranks 1 to k."""
    nodes = _shared_nodes(a, b, _STEP / math.sqrt(max(k, 1)))
    points = (nodes[:-1, None] + np.diff(nodes)[:, None] * GAUSS_POINTS).reshape(-1)
    return integrated(density_shape(a[:, None], b[:, None], points), np.diff(nodes))


def integrated(density: Floats, widths: Floats) -> ScoreTable:
    """The table of densities known, up to a constant, at the three Gauss points of each cell."""
    parts = density.reshape(density.shape[0], -1, 3) * widths[:, None]
    cells = parts @ GAUSS_WEIGHTS
    total = cells.sum(axis=1)[:, None]
    before = np.cumsum(cells, axis=1) - cells
    below = (before[..., None] + parts @ GAUSS_UP_TO.T).reshape(density.shape) / total
    mass = (parts * GAUSS_WEIGHTS).reshape(density.shape) / total
    return ScoreTable(mass, np.clip(below, 0, 1))


def _shared_nodes(a: Floats, b: Floats, step: float) -> Floats:
    """Ends of cells, none more than about `step` wide in the measure of any posterior."""
    own, measures = measured_nodes(a, b, _SAMPLES_PER_SIDE)
    samples = np.unique(own)
    demand = np.zeros(samples.size - 1)
    for nodes, measure in zip(own, measures, strict=True):
        np.maximum(demand, np.diff(np.interp(samples, nodes, measure)), out=demand)
    reached = np.concatenate(([0.0], np.cumsum(demand)))
    count = math.ceil(reached[-1] / step)
    shared: Floats = np.unique(np.interp(np.linspace(0, reached[-1], count + 1), reached, samples))
    return shared


def measured_nodes(a: Floats, b: Floats, per_side: int) -> tuple[Floats, Floats]:
    """A row for each posterior: points even in its root deviance, and the measure by which cells are cut.

    The measure is the signed root deviance, in which a posterior looks normal, and a little for the way from
    the mode: shapes far below 1 are nearly exponential on one side and bend within a unit of y.
    """
    a, b = a[:, None], b[:, None]
    roots = np.linspace(0, DEEPEST_ROOT, per_side + 1)
    mode = np.log(a) - np.log(b)
    left, right = ways_from_mode(a, b, roots)
    ways = np.concatenate((-left[:, :0:-1], right), axis=1)
    measures = np.concatenate((-roots[:0:-1], roots)) + np.arcsinh(ways)
    return mode + ways, measures
