"""A table of the whole map in small cells, run by run: most points are settled by looking for one integer."""

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearcast_geo.distance import Floats

Integers = NDArray[np.int64]
Edges = tuple[Floats, Floats, Floats, Floats]

UNSETTLED = -2
"""Of a cell that a border may touch: the table cannot tell."""

_FINEST = 512
_COARSEST = 4
_MOST_PIECES = 600_000
# In cells: far beyond the rounding of any arithmetic here, far below any cell.
_MARGIN = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Strips:
    """Cells in rows from the south, each from the west; a run of equal ones is told by its first.

    Within a run that is settled no border passes, so all of its points are where its first cell is.
    """

    per_degree: int
    starts: Integers
    values: NDArray[np.int32]
    _starts: "array[int]"
    _values: "array[int]"

    def value(self, lat: float, lon: float) -> int:
        """What is known of a normalised point that is neither a pole nor at -180 degrees."""
        per_degree = self.per_degree
        row = min(int((lat + 90.0) * per_degree), 180 * per_degree - 1)
        column = min(int((lon + 180.0) * per_degree), 360 * per_degree - 1)
        return self._values[bisect_right(self._starts, row * 360 * per_degree + column) - 1]

    def each(self, lats: Floats, lons: Floats) -> NDArray[np.int32]:
        """The same for many."""
        cells = _cells(self.per_degree, (lats + 90.0) * self.per_degree, (lons + 180.0) * self.per_degree)
        return self.values[np.searchsorted(self.starts, cells, side="right") - 1]


def lay_strips(edges: Edges, settle: Callable[[Floats, Floats], Integers]) -> Strips:
    """The table of areas with these borders; `settle` tells where points (latitudes, longitudes) lie."""
    per_degree = _resolution(edges)
    border = _touched(edges, per_degree)
    free = _free_runs(border, 360 * per_degree, 180 * per_degree)
    rows, columns = np.divmod(free, 360 * per_degree)
    settled = settle((rows + 0.5) / per_degree - 90.0, (columns + 0.5) / per_degree - 180.0)
    starts = np.concatenate([border, free])
    values = np.concatenate([np.full(len(border), UNSETTLED), settled]).astype(np.int32)
    order = np.argsort(starts)
    starts, values = starts[order], values[order]
    new = np.concatenate([[True], values[1:] != values[:-1]])
    starts, values = starts[new], values[new]
    return Strips(per_degree, starts, values, array("q", starts.tobytes()), array("i", values.tobytes()))


def _resolution(edges: Edges) -> int:
    """Cells per degree: as fine as keeps the number of touched cells within bounds."""
    lengths = _lengths(edges)
    per_degree = _FINEST
    while per_degree > _COARSEST and 2.0 * per_degree * lengths.sum() > _MOST_PIECES:
        per_degree //= 2
    return per_degree


def _touched(edges: Edges, per_degree: int) -> Integers:
    """Cells that an edge may touch, sorted: edges in pieces of half a cell, each with all it may lie in."""
    pieces = np.maximum(np.ceil(2.0 * per_degree * _lengths(edges)), 1.0).astype(np.int64)
    edge = np.repeat(np.arange(len(pieces)), pieces)
    first = np.cumsum(pieces) - pieces
    share = (np.arange(len(edge)) - first[edge]) / pieces[edge]
    step = 1.0 / pieces[edge]
    lon0, lat0, lon1, lat1 = (values[edge] for values in edges)
    low_x, high_x = _span((lon0 + 180.0) * per_degree, (lon1 - lon0) * per_degree, share, step)
    low_y, high_y = _span((lat0 + 90.0) * per_degree, (lat1 - lat0) * per_degree, share, step)
    corners = [_cells(per_degree, y, x) for y in (low_y, high_y) for x in (low_x, high_x)]
    return np.unique(np.concatenate(corners))


def _span(begin: Floats, length: Floats, share: Floats, step: Floats) -> tuple[Floats, Floats]:
    one, other = begin + length * share, begin + length * (share + step)
    return np.minimum(one, other) - _MARGIN, np.maximum(one, other) + _MARGIN


def _cells(per_degree: int, y: Floats, x: Floats) -> Integers:
    rows = np.clip(np.floor(y), 0, 180 * per_degree - 1).astype(np.int64)
    columns = np.clip(np.floor(x), 0, 360 * per_degree - 1).astype(np.int64)
    return rows * (360 * per_degree) + columns


def _free_runs(border: Integers, width: int, height: int) -> Integers:
    """Where runs without any border begin: after a touched cell, at the end of its row, before the next one.

    Whole rows that are free make one run, as nothing lies between them.
    """
    begins = np.concatenate([[0], border + 1])
    ends = np.concatenate([border, [width * height]])
    next_rows = -(-begins // width) * width
    last_rows = ends // width * width
    gaps = [
        begins[begins < ends],
        next_rows[next_rows < ends],
        last_rows[(last_rows < ends) & (last_rows >= begins)],
    ]
    return np.unique(np.concatenate(gaps))


def _lengths(edges: Edges) -> Floats:
    lon0, lat0, lon1, lat1 = edges
    return np.maximum(np.abs(lon1 - lon0), np.abs(lat1 - lat0))
