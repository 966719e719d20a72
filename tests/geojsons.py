"""GeoJSON texts for tests, from (longitude, latitude) positions."""

import json
from collections.abc import Sequence

Position = tuple[float, float]

HUGE = [(-170.0 + 0.01 * place, 10.0 + place % 2) for place in range(20_001)]


def polygon(*rings: Sequence[Position]) -> str:
    """A Polygon whose rings are closed here."""
    return json.dumps({"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]})


def multipolygon(*shells: Sequence[Position]) -> str:
    """A MultiPolygon without holes."""
    return json.dumps({"type": "MultiPolygon", "coordinates": [[[*ring, ring[0]]] for ring in shells]})


def box(west: float, south: float, east: float, north: float) -> str:
    return polygon([(west, south), (east, south), (east, north), (west, north)])
