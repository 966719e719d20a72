"""Who is near: the index the gateway reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from nearcast_catalogue.item import ServedItem
from nearcast_geo.point import Point


class Hit(msgspec.Struct, frozen=True, gc=False):
    """One item near a point, at the nearest of its places."""

    served: ServedItem
    distance_m: float
    place: int


@dataclass(frozen=True, slots=True)
class Found:
    """Items within reach, nearest first, equal distances by item id; each once."""

    hits: Sequence[Hit]
    truncated: bool


class GeoIndex(Protocol):
    """Distances are great-circle metres between the exact points; a limit is inclusive.

    An item with its own reach is found from within that reach, whatever the radius; any other
    from within the radius. Raises IndexUnavailableError.
    """

    async def near(self, tenant_id: int, center: Point, radius_m: float, most: int) -> Found:
        """Items near the centre; of more than `most` the nearest are kept and `truncated` is set."""
        ...
