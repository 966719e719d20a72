"""The cells that an area touches, by which an index finds the areas that may cover a point."""

import math
from collections.abc import Iterator

import shapely

from nearcast_geo.area import Area

# Degrees of a cell, each a part of 360. An area is in the finest grid in which it has few cells; the last
# grid has one cell for the world.
STEPS = (0.0625, 0.25, 1.0, 4.0, 15.0, 60.0, 360.0)
MOST_CELLS = 48
# Degrees: beyond the rounding of the arithmetic here.
_MARGIN = 1e-9


def cells_of(area: Area) -> list[str]:
    """Every cell of one grid that the area touches, its border included."""
    if area.north == 90.0 or area.south == -90.0:
        # All of a pole's longitudes are one point.
        return [_name(len(STEPS) - 1, 0, 0)]
    parts = [part.bounds for part in shapely.get_parts(area.shape)]
    for level, step in enumerate(STEPS):
        if sum(_count(step, *bounds) for bounds in parts) <= MOST_CELLS:
            return sorted({_name(level, *cell) for bounds in parts for cell in _touched(area, step, bounds)})
    return [_name(len(STEPS) - 1, 0, 0)]


def cells_at(lat: float, lon: float) -> list[str]:
    """The cells, one of each grid, that an area that covers the normalised point may be in."""
    return [_name(level, _row(step, lat), _column(step, lon)) for level, step in enumerate(STEPS)]


def _touched(area: Area, step: float, bounds: tuple[float, float, float, float]) -> Iterator[tuple[int, int]]:
    west, south, east, north = bounds
    columns = round(360.0 / step)
    for row in range(_row(step, south - _MARGIN), _row(step, north + _MARGIN) + 1):
        for column in range(_column(step, west - _MARGIN), _column(step, east + _MARGIN) + 1):
            lon, lat = column * step - 180.0, row * step - 90.0
            cell = shapely.box(lon - _MARGIN, lat - _MARGIN, lon + step + _MARGIN, lat + step + _MARGIN)
            if shapely.intersects(area.shape, cell):
                yield row, column % columns


def _count(step: float, west: float, south: float, east: float, north: float) -> int:
    rows = _row(step, north + _MARGIN) - _row(step, south - _MARGIN) + 1
    return rows * (_column(step, east + _MARGIN) - _column(step, west - _MARGIN) + 1)


def _row(step: float, lat: float) -> int:
    return math.floor((lat + 90.0) / step)


def _column(step: float, lon: float) -> int:
    return math.floor((lon + 180.0) / step)


def _name(level: int, row: int, column: int) -> str:
    return f"{level}.{row}.{column}"
