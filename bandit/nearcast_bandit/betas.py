"""The distribution function of Beta posteriors, tabulated once and then read at any rate."""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.distributions import GAUSS_POINTS, GAUSS_WEIGHTS, measured_nodes
from nearcast_bandit.quadrature import density_shape

_NODES = 512
_SAMPLES_PER_SIDE = 32
_SMALLEST = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class BetaCurves:
    """A row per posterior: nodes in y = log(x / (1 - x)), the density of y there, the probability below."""

    nodes: Floats
    density: Floats
    cumulated: Floats

    def reach(self, row: int) -> tuple[float, float]:
        """Between which rates all but e**-36 of the mass lies."""
        low, high = 1 / (1 + np.exp(-np.clip(self.nodes[row, [0, -1]], -700, 700)))
        return float(low), float(high)

    def below(self, row: int, rates: Floats) -> Floats:
        """The probability below each rate, by cubics that meet density and probability at the nodes."""
        inside = np.clip(rates, _SMALLEST, 1 - 2**-53)
        nodes, density, cumulated = self.nodes[row], self.density[row], self.cumulated[row]
        y = np.clip(np.log(inside) - np.log1p(-inside), nodes[0], nodes[-1])
        cell = np.clip(np.searchsorted(nodes, y) - 1, 0, nodes.size - 2)
        width = nodes[cell + 1] - nodes[cell]
        t = (y - nodes[cell]) / width
        rise = cumulated[cell + 1] - cumulated[cell]
        start, end = density[cell] * width, density[cell + 1] * width
        curve = cumulated[cell] + t * (
            start + t * (3 * rise - 2 * start - end + t * (start + end - 2 * rise))
        )
        found: Floats = np.where(rates <= 0, 0.0, np.where(rates >= 1, 1.0, np.clip(curve, 0, 1)))
        return found


def beta_curves(a: Floats, b: Floats) -> BetaCurves:
    """The curves of Beta(a[i], b[i])."""
    nodes = _even_nodes(a, b)
    widths = np.diff(nodes, axis=1)
    points = (nodes[:, :-1, None] + widths[..., None] * GAUSS_POINTS).reshape(a.size, -1)
    inside = density_shape(a[:, None], b[:, None], points).reshape(a.size, -1, 3)
    cells = (inside @ GAUSS_WEIGHTS) * widths
    total = cells.sum(axis=1)[:, None]
    cumulated = np.zeros_like(nodes)
    np.cumsum(cells / total, axis=1, out=cumulated[:, 1:])
    return BetaCurves(nodes, density_shape(a[:, None], b[:, None], nodes) / total, cumulated)


def _even_nodes(a: Floats, b: Floats) -> Floats:
    found, measures = measured_nodes(a, b, _SAMPLES_PER_SIDE)
    return np.stack(
        [
            np.interp(np.linspace(measure[0], measure[-1], _NODES), measure, nodes)
            for nodes, measure in zip(found, measures, strict=True)
        ]
    )
