"""The distribution of a weighted sum of independent Beta draws, by convolution on an even grid.

A kind's mass in a cell is exact: a difference of its distribution function. Multiplied in Fourier space the
masses are those of the sum, smeared by one cell's width per kind. That smear is taken back to fourth order

    f = g - kinds / 24 * second difference of g

so a score needs only a few cells per standard deviation.
"""

import math
from collections.abc import Sequence

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.betas import BetaCurves, beta_curves
from nearcast_bandit.distributions import ScoreTable

CELLS_PER_DEVIATION = 16
MOST_CELLS = 65_536
_LEAST_CELLS = 2_048
# So many rows stay near the processor while they are worked on.
_ROWS_AT_ONCE = 8


def sum_table(
    weights: Sequence[float], a: Floats, b: Floats, factors: Floats, most_cells: int = MOST_CELLS
) -> ScoreTable:
    """The distributions of factor * sum of weight * Beta(a, b); A and B have a row per kind.

    Refuses when the sharpest score would fall between the cells: then `replaying` is the way.
    """
    slopes = np.asarray(weights)[:, None] * factors
    a, b, slopes = a[slopes[:, 0] != 0], b[slopes[:, 0] != 0], slopes[slopes[:, 0] != 0]
    curves = [beta_curves(*shapes) for shapes in zip(a, b, strict=True)]
    reaches = np.array(
        [[sorted(slope * end for end in kind.reach(row)) for row, slope in enumerate(line)]
         for kind, line in zip(curves, slopes, strict=True)]
    )  # fmt: skip
    lowest, highest = reaches[..., 0].sum(axis=0), reaches[..., 1].sum(axis=0)
    low, high = float(lowest.min()), float(highest.max())
    cell = (high - low) / _cells((high - low) / _sharpest(a, b, slopes), most_cells)
    first = math.floor(low / cell) - len(curves) - 1
    length = math.ceil(high / cell) + len(curves) + 2 - first
    size = 1 << (length + 2 * len(curves)).bit_length()
    mass, below = np.zeros((factors.size, length)), np.zeros((factors.size, length))
    for some in (slice(at, at + _ROWS_AT_ONCE) for at in range(0, factors.size, _ROWS_AT_ONCE)):
        smeared = np.zeros((mass[some].shape[0], length))
        for place, row in enumerate(range(factors.size)[some]):
            spectrum, offset = np.ones(size // 2 + 1, dtype=np.complex128), 0
            for kind, (curve, line) in enumerate(zip(curves, slopes, strict=True)):
                start, masses = _masses(curve, row, float(line[row]), reaches[kind, row], cell)
                spectrum *= np.fft.rfft(masses, size)
                offset += start
            smeared[place] = np.roll(np.fft.irfft(spectrum, size), offset - first)[:length]
        # Fourier space leaves noise of 1e-17 of either sign.
        np.maximum(smeared, 0, out=smeared)
        mass[some], below[some] = _unsmeared(smeared, len(curves))
    points: Floats = np.arange(first, first + length, dtype=np.float64) * cell
    return ScoreTable(mass, below, points)


def _sharpest(a: Floats, b: Floats, slopes: Floats) -> float:
    """The least standard deviation of any score."""
    variances = a * b / ((a + b) ** 2 * (a + b + 1)) * slopes**2
    return float(np.sqrt(variances.sum(axis=0).min()))


def _cells(deviations: float, most: int) -> int:
    wanted = max(math.ceil(CELLS_PER_DEVIATION * deviations), _LEAST_CELLS)
    if wanted > most:
        raise ValueError(
            f"the scores span {deviations:.0f} standard deviations of the sharpest one, which takes {wanted}"
            f" cells; at most {most} are allowed: replay the draws instead"
        )
    return wanted


def _masses(curve: BetaCurves, row: int, slope: float, reach: Floats, cell: float) -> tuple[int, Floats]:
    """The number of the first cell, and the mass of slope * rate around each multiple of the cell's width."""
    start, end = round(reach[0] / cell), round(reach[1] / cell)
    edges = (np.arange(start, end + 2) - 0.5) * (cell / slope)
    below = curve.below(row, edges)
    below[[0, -1]] = (0.0, 1.0) if slope > 0 else (1.0, 0.0)
    return start, np.abs(np.diff(below))


def _unsmeared(smeared: Floats, kinds: int) -> tuple[Floats, Floats]:
    """Mass and probability below at the middle of each cell."""
    mass, held = _sharpened(smeared, kinds), _sharpened(smeared, kinds - 1)
    wide = np.pad(held, ((0, 0), (1, 1)))
    tilt = np.clip((wide[:, 2:] - wide[:, :-2]) / 16, -held / 2, held / 2)
    below = np.cumsum(held, axis=1) - held / 2 - tilt
    return mass / mass.sum(axis=1)[:, None], np.clip(below, 0, 1)


def _sharpened(smeared: Floats, cells: int) -> Floats:
    """Less the smear of so many cells' widths, as a flow between neighbours that takes no more than there is.

    So no mass is lost or turned negative where a density has a pole.
    """
    flow = cells / 24 * np.diff(smeared, axis=1)
    most = np.minimum(smeared[:, :-1], smeared[:, 1:]) / 4
    sharpened: Floats = smeared - np.diff(np.pad(np.clip(flow, -most, most), ((0, 0), (1, 1))), axis=1)
    return sharpened
