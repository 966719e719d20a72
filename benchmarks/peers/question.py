"""What every peer is asked, and the form in which it answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from benchmarks.decision.world import World
from nearcast_geo.point import Point

Calls = Sequence[Callable[[], Any]]
EARTH_RADIUS_M = 6_371_008.8
BANDS_PER_DEGREE = 20.0
NEAREST, AT_RANDOM = "nearest 20", "20 at random"
# Great-circle distance in metres, for databases that have only sines; ? are latitude, latitude, longitude.
HAVERSINE_M = (
    f"{2 * EARTH_RADIUS_M} * asin(sqrt(pow(sin(radians(lat - ?) / 2), 2)"
    " + cos(radians(lat)) * cos(radians(?)) * pow(sin(radians(lon - ?) / 2), 2)))"
)


class Peer(Protocol):
    """Something that finds what is near; `lacks` says what a decision does and this does not."""

    @property
    def name(self) -> str: ...

    @property
    def lacks(self) -> str: ...

    def ways(self, points: Sequence[Point]) -> Mapping[str, Calls]:
        """By what is asked, one call for each point; a call returns postings."""
        ...


def columns(world: World) -> dict[str, Any]:
    """All items, neighbours near each other: every peer reads fewer pages then."""
    records = world.records
    order = np.lexsort((records.lon, np.floor(records.lat * BANDS_PER_DEGREE)))
    named = {
        "posting": records.postings,
        "lat": records.lat,
        "lon": records.lon,
        "ends_at": records.expires_at,
        "category": records.category,
    }
    return {name: column[order] for name, column in named.items()}


def box(point: Point, radius_m: float) -> tuple[float, float, float, float]:
    """South, north, west and east of a circle away from poles and antimeridian, a little too wide."""
    lat = 1.001 * math.degrees(radius_m / EARTH_RADIUS_M)
    lon = lat / math.cos(math.radians(abs(point.lat) + lat))
    return point.lat - lat, point.lat + lat, point.lon - lon, point.lon + lon
