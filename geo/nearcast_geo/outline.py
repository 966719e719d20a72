"""An area as one row of numbers: what a point can be held against without any object.

Words: how many there are in all, the bounds, then the borders in strips of latitude, each with every edge
that it touches. A strip is a list of points, longitude and latitude, each joined to the one before it; NaN
stands between two that are not joined, and compares with nothing.
"""

from functools import lru_cache

import numpy as np

from nearcast_geo.area import Area, edges_of
from nearcast_geo.distance import Floats
from nearcast_geo.sides import side_of
from nearcast_geo.strips import Edges, Integers

SIZE, SOUTH, NORTH, WEST, EAST, STRIPS, PER_DEGREE, STARTS = range(8)

NOWHERE: Floats = np.array([9.0, 1.0, -1.0, 1.0, -1.0, 1.0, 0.0, 9.0, 9.0])
"""Of an area that holds no point."""

_EDGES_PER_STRIP = 4
_MOST_STRIPS = 4096
_MOST_COPIES = 3
_LEAST_HEIGHT = 1e-6


def outline_of(area: Area, most_strips: int = 1) -> Floats:
    """The outline; more strips make it longer, and quicker to ask."""
    edges, height = edges_of([area]), area.north - area.south
    strips = min(edges[0].size // _EDGES_PER_STRIP, most_strips) if height > _LEAST_HEIGHT else 1
    while strips > 1:
        per_degree = strips / height
        lows, highs = (_strip_of(each, area.south, per_degree, strips) for each in _spans(edges))
        if int((highs - lows + 1).sum()) <= _MOST_COPIES * lows.size:
            break
        strips //= 2
    else:
        strips, per_degree = 1, 0.0
        lows = highs = np.zeros(edges[0].size, np.int64)
    starts, points = _points(edges, lows, highs, strips)
    head = STARTS + strips + 1
    bounds = (area.south, area.north, area.west, area.east)
    return np.concatenate(
        [[head + points.size, *bounds, strips, per_degree], head + 2.0 * starts, points.ravel()]
    )


@lru_cache(maxsize=128)
def quick_outline(area: Area) -> Floats:
    """In as many strips as pay for an area that many points are held against."""
    return outline_of(area, _MOST_STRIPS)


def holds(outline: Floats, lat: float, lon: float) -> bool:
    """Whether a normalised point is in it or on its border: what `Area.covers` says of the area."""
    south, north, west, east = outline[SOUTH:STRIPS].tolist()
    if abs(lat) == 90.0:
        return bool((north if lat > 0.0 else south) == lat)
    if not south <= lat <= north:
        return False
    if west <= lon <= east and _meets(outline, lat, lon):
        return True
    return lon == -180.0 and east == 180.0 and _meets(outline, lat, 180.0)


def _meets(outline: Floats, lat: float, lon: float) -> bool:
    """On the map: a point is in if on its way east it crosses borders an odd number of times."""
    strip = _strip_of(np.array([lat]), outline[SOUTH], outline[PER_DEGREE], int(outline[STRIPS]))[0]
    begin, end = outline[STARTS + strip : STARTS + strip + 2].astype(np.int64).tolist()
    points = outline[begin:end].reshape(-1, 2)
    (x1, y1), (x2, y2) = points[:-1].T, points[1:].T
    level = (y1 == lat) & (y2 == lat) & (np.minimum(x1, x2) <= lon) & (lon <= np.maximum(x1, x2))
    if np.any(level) or np.any((x2 == lon) & (y2 == lat)):
        return True
    passes = ((y1 > lat) & (y2 <= lat)) | ((y2 > lat) & (y1 <= lat))
    inside = False
    for edge in np.flatnonzero(passes & ((x1 >= lon) | (x2 >= lon))).tolist():
        ends = points[edge : edge + 2].ravel().tolist()
        side = side_of(ends[0], ends[1], ends[2], ends[3], lon, lat)
        if side == 0.0:
            return True
        inside ^= bool((side > 0.0) == (y2[edge] > y1[edge]))
    return inside


def _strip_of(lats: Floats, south: float, per_degree: float, strips: int) -> Integers:
    """Never falls as the latitude rises, so that an edge is in the strip of each of its points."""
    return np.minimum((lats - south) * per_degree, strips - 1.0).astype(np.int64)


def _spans(edges: Edges) -> tuple[Floats, Floats]:
    """The lowest and the highest latitude of each edge."""
    return np.minimum(edges[1], edges[3]), np.maximum(edges[1], edges[3])


def _points(edges: Edges, lows: Integers, highs: Integers, strips: int) -> tuple[Integers, Floats]:
    """Where each strip begins, and the points; edges that follow each other share a point."""
    counts = highs - lows + 1
    edge = np.repeat(np.arange(counts.size), counts)
    strip = np.repeat(lows - (np.cumsum(counts) - counts), counts) + np.arange(edge.size)
    order = np.lexsort((edge, strip))
    edge, strip = edge[order], strip[order]
    x1, y1, x2, y2 = (each[edge] for each in edges)
    joined = np.zeros(edge.size, np.bool_)
    joined[:-1] = (strip[1:] == strip[:-1]) & (x1[1:] == x2[:-1]) & (y1[1:] == y2[:-1])
    sizes = np.where(joined, 1, 3)
    begins = np.cumsum(sizes) - sizes
    points = np.full((int(sizes.sum()), 2), np.nan)
    points[begins] = np.column_stack([x1, y1])
    points[begins[~joined] + 1] = np.column_stack([x2, y2])[~joined]
    bounds = np.append(begins, points.shape[0])
    return bounds[np.searchsorted(strip, np.arange(strips + 1))], points
